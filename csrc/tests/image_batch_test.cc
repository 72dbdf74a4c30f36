#include "preprocess/image_batch.h"

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <vector>

#include "common/half.h"

namespace beamcap::preprocess {
namespace {

// Pixel (y, x) is (10 y + x, the same + 100, the same + 200).
std::vector<std::uint8_t> counted(Size size) {
  std::vector<std::uint8_t> pixels;
  for (std::int64_t y = 0; y < size.height; ++y) {
    for (std::int64_t x = 0; x < size.width; ++x) {
      for (const int base : {0, 100, 200}) {
        pixels.push_back(static_cast<std::uint8_t>(base + 10 * y + x));
      }
    }
  }
  return pixels;
}

// Keeps the pixels as they are, but for the crop; -1 where the crop reaches beyond the image.
Recipe crop(std::int64_t height, std::int64_t width) {
  Recipe recipe;
  recipe.crop_size = {height, width};
  recipe.rescale_factor = 1.0;
  recipe.image_mean = {1, 1, 1};
  return recipe;
}

std::vector<float> first_plane(const Recipe& recipe, Size size) {
  const std::vector<std::uint8_t> pixels = counted(size);
  const Size output = recipe.output_size(size);
  std::vector<float> out(static_cast<std::size_t>(3 * output.height * output.width), 777.0F);
  preprocess_image({pixels.data(), size}, recipe, out);
  out.resize(out.size() / 3);
  for (float& value : out) {
    value += 1;
  }
  return out;
}

TEST(ImageBatch, CropLosesTheSmallerHalfFirst) {
  EXPECT_EQ(first_plane(crop(2, 2), {3, 5}), (std::vector<float>{1, 2, 11, 12}));
}

TEST(ImageBatch, CropOfASmallerImageAddsTheLargerHalfFirst) {
  EXPECT_EQ(first_plane(crop(1, 5), {1, 2}), (std::vector<float>{0, 0, 0, 1, 0}));
  EXPECT_EQ(first_plane(crop(4, 1), {1, 1}), (std::vector<float>{0, 0, 0, 0}));
  EXPECT_EQ(first_plane(crop(4, 1), {1, 3}), (std::vector<float>{0, 0, 1, 0}));
}

TEST(ImageBatch, PaddingAroundIsBlackAndTheSmallerHalfIsFirst) {
  Recipe recipe = crop(1, 2);
  recipe.crop_size = {};
  recipe.pad_size = {1, 5};
  recipe.padding = Padding::kAround;
  recipe.image_mean = {3, 1, 1};  // first_plane() adds one: black is -2
  EXPECT_EQ(first_plane(recipe, {1, 2}), (std::vector<float>{-2, -2, -1, -2, -2}));
}

TEST(ImageBatch, PaddingAfterIsZeroWhateverBlackIs) {
  Recipe recipe = crop(3, 1);
  recipe.pad_size = {4, 2};
  recipe.image_mean = {3, 1, 1};
  // Of 2 rows and 1 column: one black row of the crop before them, and zeros where the crop ends.
  EXPECT_EQ(first_plane(recipe, {2, 1}), (std::vector<float>{-2, 1, -2, 1, 8, 1, 1, 1}));
}

TEST(ImageBatch, AThumbnailIsAResizeOfItsOwn) {
  Recipe recipe = crop(1, 1);
  recipe.crop_size = {};
  recipe.resample = Filter::kBox;
  recipe.shortest_edge = 4;
  recipe.thumbnail = {4, 4};
  // 2x4 becomes 4x8, every pixel four times, and of that 2x4 again.
  EXPECT_EQ(first_plane(recipe, {2, 4}), (std::vector<float>{0, 1, 2, 3, 10, 11, 12, 13}));
}

TEST(ImageBatch, HalvesAreTheFloatsRounded) {
  Recipe recipe = crop(9, 4);
  recipe.size = {5, 7};
  recipe.pad_size = {9, 9};
  recipe.image_std = {3, 7, 0.3};
  const std::vector<std::uint8_t> pixels = counted({8, 6});
  const ImageView image = {pixels.data(), {8, 6}};
  std::vector<float> floats(3 * 9 * 9);
  std::vector<std::uint16_t> halves(floats.size());
  preprocess_image(image, recipe, floats);
  preprocess_image(image, recipe, halves);
  for (std::size_t i = 0; i < floats.size(); ++i) {
    EXPECT_EQ(halves[i], half_from_float(floats[i]));
  }
}

TEST(ImageBatch, ChannelsBecomePlanes) {
  const std::vector<std::uint8_t> pixels = counted({1, 2});
  std::vector<float> out(6);
  preprocess_image({pixels.data(), {1, 2}}, crop(1, 2), out);
  EXPECT_EQ(out, (std::vector<float>{-1, 0, 99, 100, 199, 200}));
}

TEST(ImageBatch, ThreadsDoNotChangeTheResult) {
  Recipe recipe;
  recipe.size = {9, 7};
  std::vector<std::vector<std::uint8_t>> pixels;
  std::vector<ImageView> images;
  for (std::int64_t i = 0; i < 13; ++i) {
    const Size size = {4 + i, 20 - i};
    pixels.push_back(counted(size));
    images.push_back({pixels.back().data(), size});
  }
  const std::size_t floats = 3 * 9 * 7;
  std::vector<float> one(floats * images.size());
  std::vector<float> many(floats * images.size());
  preprocess_batch(images, recipe, 1, one);
  preprocess_batch(images, recipe, 5, many);
  EXPECT_EQ(one, many);
  std::vector<float> alone(floats);
  preprocess_image(images[7], recipe, alone);
  EXPECT_TRUE(std::equal(alone.begin(), alone.end(), one.begin() + 7 * floats));
}

TEST(ImageBatch, RefusesWhatItCannotDo) {
  const std::vector<std::uint8_t> pixels = counted({2, 2});
  const std::vector<ImageView> images = {{pixels.data(), {2, 2}}};
  std::vector<float> out(3);
  EXPECT_THROW(preprocess_batch(images, crop(1, 1), 0, out), std::invalid_argument);
  EXPECT_THROW(preprocess_batch(images, crop(2, 1), 1, out), std::invalid_argument);  // 6 floats
  EXPECT_THROW(preprocess_image(images[0], crop(2, 1), out), std::invalid_argument);
  EXPECT_THROW(preprocess_image({pixels.data(), {0, 2}}, crop(1, 1), out), std::invalid_argument);
  EXPECT_THROW(preprocess_image(images[0], crop(0, 1), out), std::invalid_argument);
}

TEST(ImageBatch, NoImagesAreNoWork) {
  std::vector<float> nothing;
  preprocess_batch({}, crop(2, 2), 3, nothing);
}

}  // namespace
}  // namespace beamcap::preprocess
