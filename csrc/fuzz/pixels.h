// Images for the targets of csrc/preprocess.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "fuzz/draw.h"
#include "preprocess/recipe.h"

namespace beamcap::fuzz {

inline constexpr std::int64_t kMostPixels = 1 << 13;  // of an image: for speed

// Mostly small, sometimes long and thin.
inline preprocess::Size draw_size(Draw& draw) {
  const auto height = draw.one_in(16) ? draw.within<std::int64_t>(1, kMostPixels) : draw.within<std::int64_t>(1, 40);
  const std::int64_t widest = std::min<std::int64_t>(draw.coin() ? kMostPixels : 40, kMostPixels / height);
  return {height, draw.within<std::int64_t>(1, widest)};
}

// An image that ends where its memory ends, so that the sanitizer sees what is read beyond.
struct Image {
  preprocess::Size size;
  std::vector<std::uint8_t> pixels;

  preprocess::ImageView view() const { return {pixels.data(), size}; }
};

// Values from low to high, the extremes often.
inline Image draw_image(Draw& draw) {
  Image image{draw_size(draw), {}};
  image.pixels.resize(static_cast<std::size_t>(image.size.height * image.size.width * 3));
  const auto low = draw.within<std::uint8_t>(0, 255);
  const auto high = draw.within<std::uint8_t>(low, 255);
  auto state = draw.within<std::uint32_t>(0, 0xffff'ffff);
  for (std::uint8_t& value : image.pixels) {
    state = state * 1'664'525 + 1'013'904'223;
    const std::uint32_t random = state >> 16;
    value = static_cast<std::uint8_t>(random % 4 == 0   ? low
                                      : random % 4 == 1 ? high
                                                        : low + (random >> 2) % (high - low + 1u));
  }
  return image;
}

inline preprocess::Filter draw_filter(Draw& draw) { return static_cast<preprocess::Filter>(draw.within(0, 5)); }

inline preprocess::PassOrder draw_pass_order(Draw& draw) {
  return static_cast<preprocess::PassOrder>(draw.within(0, 2));
}

}  // namespace beamcap::fuzz
