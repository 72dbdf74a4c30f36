// The inner loops of a resize: plain C++ for every machine, AVX2 where the CPU has it; both give the same bytes.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "preprocess/coefficients.h"

namespace beamcap::preprocess {

// Rows that a horizontal kernel takes at once, so that a weight is loaded once for all of them.
inline constexpr std::size_t kRowBlock = 4;
// Bytes past the end of a row that a horizontal kernel may read, or write, and that mean nothing.
inline constexpr std::size_t kRowSlack = 16;

struct ResizeKernels {
  // The weights once more, in the order in which the horizontal kernel takes them: made once for all rows.
  std::vector<std::int16_t> (*arrange)(const Coefficients& weights);

  // Resizes kRowBlock rows of RGB pixels: out[r] gets weights.outputs() pixels. A block that is not full names a row
  // twice, with the same output.
  void (*horizontal)(const std::array<const std::uint8_t*, kRowBlock>& rows, const Coefficients& weights,
                     std::span<const std::int16_t> arranged, const std::array<std::uint8_t*, kRowBlock>& out);

  // One output row of `bytes` channel values: the sum of rows[j] * weights[j].
  void (*vertical)(std::span<const std::uint8_t* const> rows, std::span<const std::int32_t> weights, std::size_t bytes,
                   std::uint8_t* out);
};

const ResizeKernels& portable_kernels();

// Null where the compiler or the CPU does not have AVX2.
const ResizeKernels* avx2_kernels();

// The fastest that this CPU runs.
const ResizeKernels& best_kernels();

}  // namespace beamcap::preprocess
