#include <algorithm>

#include "preprocess/resize_kernels.h"

namespace beamcap::preprocess {
namespace {

std::uint8_t to_byte(std::int32_t sum) {
  return static_cast<std::uint8_t>(std::clamp(sum >> kPrecisionBits, 0, 255));
}

std::vector<std::int16_t> arrange(const Coefficients&) { return {}; }

void horizontal(const std::array<const std::uint8_t*, kRowBlock>& rows, const Coefficients& weights,
                std::span<const std::int16_t>, const std::array<std::uint8_t*, kRowBlock>& out) {
  for (std::size_t r = 0; r < kRowBlock; ++r) {
    std::uint8_t* pixel = out[r];
    for (std::int64_t i = 0; i < weights.outputs(); ++i, pixel += 3) {
      const std::uint8_t* tap = rows[r] + 3 * weights.begin(i);
      std::int32_t red = kRounding;
      std::int32_t green = kRounding;
      std::int32_t blue = kRounding;
      for (const std::int32_t weight : weights.weights(i)) {
        red += tap[0] * weight;
        green += tap[1] * weight;
        blue += tap[2] * weight;
        tap += 3;
      }
      pixel[0] = to_byte(red);
      pixel[1] = to_byte(green);
      pixel[2] = to_byte(blue);
    }
  }
}

void vertical(std::span<const std::uint8_t* const> rows, std::span<const std::int32_t> weights, std::size_t bytes,
              std::uint8_t* out) {
  // A block of sums that stays in the first-level cache while all the rows pass over it.
  constexpr std::size_t kBlock = 256;
  std::array<std::int32_t, kBlock> sums;
  for (std::size_t start = 0; start < bytes; start += kBlock) {
    const std::size_t count = std::min(kBlock, bytes - start);
    sums.fill(kRounding);
    for (std::size_t j = 0; j < rows.size(); ++j) {
      const std::uint8_t* row = rows[j] + start;
      for (std::size_t i = 0; i < count; ++i) {
        sums[i] += row[i] * weights[j];
      }
    }
    for (std::size_t i = 0; i < count; ++i) {
      out[start + i] = to_byte(sums[i]);
    }
  }
}

}  // namespace

const ResizeKernels& portable_kernels() {
  static constexpr ResizeKernels kernels = {arrange, horizontal, vertical};
  return kernels;
}

const ResizeKernels& best_kernels() {
  static const ResizeKernels& best = avx2_kernels() != nullptr ? *avx2_kernels() : portable_kernels();
  return best;
}

}  // namespace beamcap::preprocess
