#include "preprocess/normalize.h"

#include "common/half.h"

namespace beamcap::preprocess {
namespace {

void assign(float& entry, float value) { entry = value; }
void assign(std::uint16_t& entry, float value) { entry = half_from_float(value); }

}  // namespace

template <typename Value>
NormalizeTable<Value>::NormalizeTable(const Recipe& recipe) {
  for (std::size_t c = 0; c < 3; ++c) {
    for (std::size_t v = 0; v < 256; ++v) {
      assign(channels_[c][v], recipe.normalized(c, static_cast<std::uint8_t>(v)));
    }
  }
}

template <typename Value>
void normalize_row(std::span<const std::uint8_t> pixels, const NormalizeTable<Value>& table,
                   const std::array<Value*, 3>& out) {
  const std::size_t width = pixels.size() / 3;
  for (std::size_t x = 0; x < width; ++x) {
    out[0][x] = table.channel(0)[pixels[3 * x]];
    out[1][x] = table.channel(1)[pixels[3 * x + 1]];
    out[2][x] = table.channel(2)[pixels[3 * x + 2]];
  }
}

template class NormalizeTable<float>;
template class NormalizeTable<std::uint16_t>;
template void normalize_row(std::span<const std::uint8_t>, const NormalizeTable<float>&, const std::array<float*, 3>&);
template void normalize_row(std::span<const std::uint8_t>, const NormalizeTable<std::uint16_t>&,
                            const std::array<std::uint16_t*, 3>&);

}  // namespace beamcap::preprocess
