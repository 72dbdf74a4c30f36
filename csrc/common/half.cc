#include "common/half.h"

#include <bit>

namespace beamcap {
namespace {

constexpr std::uint32_t kSign = 0x8000;              // of a half
constexpr std::uint32_t kHalfInfinity = 0x7c00;
constexpr std::uint32_t kFloatInfinity = 0x7f800000;
constexpr int kMantissaShift = 13;                   // 23 - 10 bits
constexpr std::uint32_t kRebias = (127 - 15) << 23;  // difference of the exponents' biases

}  // namespace

float float_from_half(std::uint16_t half) {
  const std::uint32_t sign = (half & kSign) << 16;
  const std::uint32_t magnitude = half & ~kSign;
  std::uint32_t bits = (magnitude << kMantissaShift) + kRebias;
  if (magnitude >= kHalfInfinity) {  // infinity or NaN
    bits = (magnitude << kMantissaShift) | kFloatInfinity;
  } else if (magnitude < 0x0400) {  // zero or subnormal: a multiple of 2^-24, exact in float32
    bits = std::bit_cast<std::uint32_t>(static_cast<float>(magnitude) * 0x1p-24f);
  }
  return std::bit_cast<float>(bits | sign);
}

std::uint16_t half_from_float(float value) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = (bits >> 16) & kSign;
  const std::uint32_t magnitude = bits & 0x7fffffff;
  const float absolute = std::bit_cast<float>(magnitude);
  std::uint32_t half = 0;
  if (magnitude > kFloatInfinity) {
    half = 0x7e00;  // NaN
  } else if (absolute >= 65520.0f) {
    half = kHalfInfinity;  // half-way between the largest half and the next power of two, and above
  } else if (absolute < 0x1p-14f) {
    // Subnormal or zero. Adding 0.5 leaves the multiples of 2^-24 in the mantissa, rounded by the addition itself.
    half = std::bit_cast<std::uint32_t>(absolute + 0.5f) - std::bit_cast<std::uint32_t>(0.5f);
  } else {
    const std::uint32_t rebiased = magnitude - kRebias;
    const std::uint32_t odd = (rebiased >> kMantissaShift) & 1;
    half = (rebiased + 0x0fff + odd) >> kMantissaShift;  // a carry into the exponent is right
  }
  return static_cast<std::uint16_t>(half | sign);
}

}  // namespace beamcap
