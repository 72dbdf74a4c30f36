// uint8 pixels to the encoder's floats: a table for each channel, exact because there are only 256 inputs.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "preprocess/recipe.h"

namespace beamcap::preprocess {

class NormalizeTable {
 public:
  // Entry v of channel c: (float32(double(v) * rescale_factor) - float32(mean[c])) / float32(std[c]), in float32.
  explicit NormalizeTable(const Recipe& recipe);

  const std::array<float, 256>& channel(std::size_t c) const { return channels_[c]; }

 private:
  std::array<std::array<float, 256>, 3> channels_;
};

// A row of interleaved RGB (width x 3 bytes) to three rows of floats, out[c] for channel c.
void normalize_row(std::span<const std::uint8_t> pixels, const NormalizeTable& table,
                   const std::array<float*, 3>& out);

}  // namespace beamcap::preprocess
