// uint8 pixels to the encoder's numbers: a table for each channel, exact because there are only 256 inputs.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "preprocess/recipe.h"

namespace beamcap::preprocess {

// Value is float, or std::uint16_t for the bits of a float16.
template <typename Value>
class NormalizeTable {
 public:
  // Entry v of channel c: recipe.normalized(c, v); for a float16 that, rounded to the nearest, ties to even.
  explicit NormalizeTable(const Recipe& recipe);

  const std::array<Value, 256>& channel(std::size_t c) const { return channels_[c]; }

 private:
  std::array<std::array<Value, 256>, 3> channels_;
};

// A row of interleaved RGB (width x 3 bytes) to three rows of numbers, out[c] for channel c.
template <typename Value>
void normalize_row(std::span<const std::uint8_t> pixels, const NormalizeTable<Value>& table,
                   const std::array<Value*, 3>& out);

}  // namespace beamcap::preprocess
