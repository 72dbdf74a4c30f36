#include "preprocess/normalize.h"

namespace beamcap::preprocess {

NormalizeTable::NormalizeTable(const Recipe& recipe) {
  for (std::size_t c = 0; c < 3; ++c) {
    const auto mean = static_cast<float>(recipe.image_mean[c]);
    const auto deviation = static_cast<float>(recipe.image_std[c]);
    for (std::size_t v = 0; v < 256; ++v) {
      const auto rescaled = static_cast<float>(static_cast<double>(v) * recipe.rescale_factor);
      channels_[c][v] = (rescaled - mean) / deviation;
    }
  }
}

void normalize_row(std::span<const std::uint8_t> pixels, const NormalizeTable& table,
                   const std::array<float*, 3>& out) {
  const std::size_t width = pixels.size() / 3;
  for (std::size_t x = 0; x < width; ++x) {
    out[0][x] = table.channel(0)[pixels[3 * x]];
    out[1][x] = table.channel(1)[pixels[3 * x + 1]];
    out[2][x] = table.channel(2)[pixels[3 * x + 2]];
  }
}

}  // namespace beamcap::preprocess
