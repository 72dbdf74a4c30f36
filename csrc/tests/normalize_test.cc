#include "preprocess/normalize.h"

#include <gtest/gtest.h>

#include <array>
#include <vector>

#include "common/half.h"

namespace beamcap::preprocess {
namespace {

TEST(Normalize, RescalesInDoubleAndNormalisesInFloat) {
  Recipe recipe;
  recipe.image_mean = {0.48145466, 0.4578275, 0.40821073};
  recipe.image_std = {0.26862954, 0.26130258, 0.27577711};
  const NormalizeTable<float> table(recipe);
  for (std::size_t c = 0; c < 3; ++c) {
    for (int v = 0; v < 256; ++v) {
      // Volatile, so that each step is rounded by itself.
      volatile float value = static_cast<float>(static_cast<double>(v) * (1.0 / 255.0));
      value = value - static_cast<float>(recipe.image_mean[c]);
      value = value / static_cast<float>(recipe.image_std[c]);
      EXPECT_EQ(table.channel(c)[static_cast<std::size_t>(v)], value);
    }
  }
}

TEST(Normalize, WithoutRescaleOrNormaliseThePixelsAreKept) {
  Recipe recipe;
  recipe.rescale_factor = 1.0;
  const NormalizeTable<float> table(recipe);
  for (std::size_t v = 0; v < 256; ++v) {
    EXPECT_EQ(table.channel(1)[v], static_cast<float>(v));
  }
}

TEST(Normalize, HalvesAreTheFloatsRoundedOnce) {
  Recipe recipe;
  recipe.image_mean = {0.48145466, 0.4578275, 0.40821073};
  recipe.image_std = {0.26862954, 1e-7, 1e7};  // the second is beyond the largest half, the third below the smallest
  const NormalizeTable<float> floats(recipe);
  const NormalizeTable<std::uint16_t> halves(recipe);
  for (std::size_t c = 0; c < 3; ++c) {
    for (std::size_t v = 0; v < 256; ++v) {
      EXPECT_EQ(halves.channel(c)[v], half_from_float(floats.channel(c)[v]));
    }
  }
  EXPECT_EQ(halves.channel(1)[0], 0xfc00);
  EXPECT_EQ(halves.channel(1)[255], 0x7c00);
}

TEST(Normalize, TakesInterleavedPixelsToPlanes) {
  Recipe recipe;
  recipe.rescale_factor = 1.0;
  recipe.image_mean = {0, 10, 20};
  const std::vector<std::uint8_t> pixels = {1, 2, 3, 4, 5, 6};
  std::array<float, 2> red;
  std::array<float, 2> green;
  std::array<float, 2> blue;
  normalize_row(pixels, NormalizeTable<float>(recipe), {red.data(), green.data(), blue.data()});
  EXPECT_EQ(red, (std::array<float, 2>{1, 4}));
  EXPECT_EQ(green, (std::array<float, 2>{-8, -5}));
  EXPECT_EQ(blue, (std::array<float, 2>{-17, -14}));
}

}  // namespace
}  // namespace beamcap::preprocess
