// The weights of one resize pass, as Pillow computes them: double arithmetic, then fixed point with 22 bits.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "preprocess/recipe.h"

namespace beamcap::preprocess {

inline constexpr int kPrecisionBits = 22;
inline constexpr std::int32_t kRounding = 1 << (kPrecisionBits - 1);
// Weights are stored in groups of this many, the last filled up with zeros, so that a SIMD kernel has no remainder.
inline constexpr std::int64_t kTapGroup = 4;

// One axis of a resize from `in` to `out` pixels, of which only the outputs [first, first + count) are wanted:
// a centre crop never computes what it cuts off.
struct Axis {
  std::int64_t in = 0;
  std::int64_t out = 0;
  std::int64_t first = 0;
  std::int64_t count = 0;

  bool resizes() const { return in != out; }
};

class Coefficients {
 public:
  // Weights of the outputs [axis.first, axis.first + axis.count). axis.first >= 0 and within axis.out, sides >= 1.
  Coefficients(const Axis& axis, Filter filter);

  std::int64_t outputs() const { return static_cast<std::int64_t>(begins_.size()); }
  // First input pixel of the wanted output i.
  std::int64_t begin(std::int64_t i) const { return begins_[static_cast<std::size_t>(i)]; }
  // One past its last input pixel.
  std::int64_t end(std::int64_t i) const { return begin(i) + counts_[static_cast<std::size_t>(i)]; }
  // Its weights, times 2^22; the zeros that fill up the last group are left out.
  std::span<const std::int32_t> weights(std::int64_t i) const {
    return {padded(i), static_cast<std::size_t>(counts_[static_cast<std::size_t>(i)])};
  }
  // Its weights, with the zeros: a multiple of kTapGroup.
  const std::int32_t* padded(std::int64_t i) const { return weights_.data() + i * stride_; }

 private:
  void set_nearest(const Axis& axis);
  void set_filtered(const Axis& axis, Filter filter);

  std::vector<std::int32_t> begins_;
  std::vector<std::int32_t> counts_;
  std::vector<std::int32_t> weights_;
  std::int64_t stride_ = 0;
};

}  // namespace beamcap::preprocess
