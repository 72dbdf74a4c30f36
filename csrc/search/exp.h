// exp in float32: the same bits on every machine, which std::exp is not, and in a form that compilers vectorise.
#pragma once

#include <bit>
#include <cstdint>

namespace beamcap::search {

// exp(x) for x in [kLeastExponent, 0], relative error below 2e-7.
inline constexpr float kLeastExponent = -87.0f;  // exp of it is 1.6e-38, where float32's normal numbers end
[[gnu::always_inline]] inline float exp_nonpositive(float x) {
  constexpr float kLog2E = 1.44269504f;
  constexpr float kLn2High = 0.693359375f;  // 9 bits: n * kLn2High is exact
  constexpr float kLn2Low = -2.12194440e-4f;
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding it leaves no bit for a fraction
  const float n = (x * kLog2E + kRound) - kRound;
  const float r = (x - n * kLn2High) - n * kLn2Low;
  // Taylor's series to r^7; |r| <= ln(2)/2 leaves less than 1e-8 beyond it.
  float p = 1.0f / 5040.0f;
  p = p * r + 1.0f / 720.0f;
  p = p * r + 1.0f / 120.0f;
  p = p * r + 1.0f / 24.0f;
  p = p * r + 1.0f / 6.0f;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  // times 2^n, in the exponent: p is in [0.7, 1.42] and n >= -126, so the exponent stays in its field.
  return std::bit_cast<float>(std::bit_cast<std::int32_t>(p) + static_cast<std::int32_t>(n) * (1 << 23));
}

}  // namespace beamcap::search
