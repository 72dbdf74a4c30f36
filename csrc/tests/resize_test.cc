#include "preprocess/resize.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <stdexcept>
#include <vector>

namespace beamcap::preprocess {
namespace {

constexpr Filter kFilters[] = {Filter::kNearest, Filter::kLanczos, Filter::kBilinear,
                               Filter::kBicubic, Filter::kBox,     Filter::kHamming};
constexpr PassOrder kOrders[] = {PassOrder::kHorizontalFirst, PassOrder::kPillow12, PassOrder::kPillow13};

struct Image {
  Size size;
  std::vector<std::uint8_t> pixels;
  ImageView view() const { return {pixels.data(), size}; }
};

// Heap memory of exactly the image's size, so that the sanitizer sees a read beyond it.
Image random_image(Size size, unsigned seed) {
  std::mt19937 random(seed);
  Image image = {size, std::vector<std::uint8_t>(static_cast<std::size_t>(size.height * size.width * 3))};
  for (std::uint8_t& value : image.pixels) {
    value = random() % 4 == 0 ? static_cast<std::uint8_t>(random() % 2 * 255) : static_cast<std::uint8_t>(random());
  }
  return image;
}

// The channel values of a 1-pixel-wide or 1-pixel-high grey image, before and after.
std::vector<std::uint8_t> grey(const std::vector<std::uint8_t>& values) {
  std::vector<std::uint8_t> pixels;
  for (const std::uint8_t value : values) {
    pixels.insert(pixels.end(), 3, value);
  }
  return pixels;
}

TEST(Resize, SameSizeIsACopy) {
  const Image image = random_image({7, 5}, 1);
  EXPECT_EQ(resize(image.view(), image.size, Filter::kLanczos, PassOrder::kHorizontalFirst), image.pixels);
}

TEST(Resize, MeansAreRoundedHalfUp) {
  const std::vector<std::uint8_t> row = grey({0, 1, 2, 4});
  const ImageView across = {row.data(), {1, 4}};
  const ImageView down = {row.data(), {4, 1}};
  EXPECT_EQ(resize(across, {1, 2}, Filter::kBox, PassOrder::kHorizontalFirst), grey({1, 3}));
  EXPECT_EQ(resize(down, {2, 1}, Filter::kBox, PassOrder::kHorizontalFirst), grey({1, 3}));
}

TEST(Resize, OvershootIsClipped) {
  const std::vector<std::uint8_t> row = grey({0, 0, 255, 255});
  const auto larger = resize({row.data(), {1, 4}}, {1, 16}, Filter::kBicubic, PassOrder::kHorizontalFirst);
  EXPECT_EQ(larger[3 * 4], 0);     // before the edge the weights are negative
  EXPECT_EQ(larger[3 * 11], 255);  // after it they add up to more than one
}

// The intermediate is rounded to uint8, so the two orders differ in a few values.
TEST(Resize, OrderOfThePassesShows) {
  const Image image = random_image({400, 10}, 3);
  const Size size = {20, 9};
  const auto across = resize(image.view(), size, Filter::kBilinear, PassOrder::kHorizontalFirst);
  const auto down = resize(image.view(), size, Filter::kBilinear, PassOrder::kPillow13);
  EXPECT_NE(across, down);
  for (std::size_t i = 0; i < across.size(); ++i) {
    EXPECT_NEAR(across[i], down[i], 1);
  }
  EXPECT_EQ(across, resize(image.view(), size, Filter::kBilinear, PassOrder::kPillow12));
}

TEST(Resize, OrdersFollowTheVersionsOfPillow) {
  const auto order = [](Size from, Size to, PassOrder rule) { return vertical_first(from, to, Filter::kBox, rule); };
  EXPECT_FALSE(order({5000, 3}, {10, 10}, PassOrder::kHorizontalFirst));
  EXPECT_FALSE(order({300, 3}, {10, 10}, PassOrder::kPillow12));
  EXPECT_TRUE(order({301, 3}, {10, 10}, PassOrder::kPillow12));
  EXPECT_FALSE(order({301, 3}, {302, 10}, PassOrder::kPillow12));
  EXPECT_FALSE(order({30, 20}, {10, 10}, PassOrder::kPillow13));
  EXPECT_TRUE(order({31, 20}, {10, 10}, PassOrder::kPillow13));
  EXPECT_FALSE(order({10, 5}, {10, 90}, PassOrder::kPillow13));
}

// Every kernel against the plainest one, at sizes around the width of its blocks.
TEST(Resize, KernelsGiveTheSameBytes) {
  const ResizeKernels* avx2 = avx2_kernels();
  if (avx2 == nullptr) {
    GTEST_SKIP() << "no AVX2 here";
  }
  std::mt19937 random(5);
  const auto side = [&](unsigned most) { return static_cast<std::int64_t>(1 + random() % most); };
  for (unsigned round = 0; round < 150; ++round) {
    const Image image = random_image({side(round % 3 == 0 ? 600 : 40), side(round % 5 == 0 ? 600 : 40)}, round);
    const Size size = {side(60), side(60)};
    for (const Filter filter : kFilters) {
      for (const PassOrder order : kOrders) {
        ASSERT_EQ(resize(image.view(), size, filter, order, *avx2),
                  resize(image.view(), size, filter, order, portable_kernels()))
            << image.size.height << "x" << image.size.width << " to " << size.height << "x" << size.width
            << " filter " << static_cast<int>(filter);
      }
    }
  }
}

TEST(Resize, AWindowIsCutOutOfTheWhole) {
  const Image image = random_image({61, 83}, 7);
  const auto check = [&](Size size, std::int64_t top, std::int64_t rows, std::int64_t left, std::int64_t columns) {
    for (const Filter filter : kFilters) {
      for (const PassOrder order : kOrders) {
        const auto all = resize(image.view(), size, filter, order);
        const ResizePlan plan = {{61, size.height, top, rows}, {83, size.width, left, columns}, filter, order};
        std::int64_t next = 0;
        resize_rows(image.view(), plan, [&](std::int64_t row, std::span<const std::uint8_t> pixels) {
          ASSERT_EQ(row, next++);
          ASSERT_EQ(static_cast<std::int64_t>(pixels.size()), columns * 3);
          const std::uint8_t* expected = all.data() + ((top + row) * size.width + left) * 3;
          ASSERT_EQ(std::memcmp(pixels.data(), expected, pixels.size()), 0);
        });
        ASSERT_EQ(next, rows);
      }
    }
  };
  check({30, 40}, 3, 24, 5, 31);  // both passes
  check({7, 90}, 1, 5, 3, 80);
  check({61, 40}, 10, 41, 2, 30);  // one pass
  check({30, 83}, 4, 20, 10, 55);
  check({61, 83}, 5, 50, 6, 70);  // none
}

TEST(Resize, RefusesImpossibleSizes) {
  const Image image = random_image({2, 2}, 9);
  const auto resized = [&](Size from, Size to) {
    return resize({image.pixels.data(), from}, to, Filter::kBox, PassOrder::kHorizontalFirst);
  };
  EXPECT_THROW(resized({0, 2}, {1, 1}), std::invalid_argument);
  EXPECT_THROW(resized({2, -1}, {1, 1}), std::invalid_argument);
  EXPECT_THROW(resized({kMaxInputSide + 1, 2}, {1, 1}), std::invalid_argument);
  EXPECT_THROW(resized({2, 2}, {0, 1}), std::invalid_argument);
  EXPECT_THROW(resized({2, 2}, {1, kMaxOutputSide + 1}), std::invalid_argument);
  EXPECT_THROW(resized({2, 2}, {std::int64_t{1} << 62, std::int64_t{1} << 62}), std::invalid_argument);
  EXPECT_THROW(resized({2, 2}, {1 << 15, 1 << 14}), std::invalid_argument);
  // All of a million rows are needed for the one, each as wide as can be: 200 GB.
  const Image tall = random_image({kMaxInputSide, 1}, 10);
  EXPECT_THROW(resize(tall.view(), {1, kMaxOutputSide}, Filter::kBox, PassOrder::kHorizontalFirst),
               std::invalid_argument);
}

TEST(Resize, ExtremeShapes) {
  for (const Filter filter : kFilters) {
    const Image tall = random_image({4096, 1}, 11);
    EXPECT_EQ(resize(tall.view(), {1, 4096}, filter, PassOrder::kHorizontalFirst).size(), 3 * 4096U);
    const Image pixel = random_image({1, 1}, 12);
    const auto enlarged = resize(pixel.view(), {5, 9}, filter, PassOrder::kHorizontalFirst);
    for (std::size_t i = 0; i < enlarged.size(); ++i) {
      EXPECT_EQ(enlarged[i], pixel.pixels[i % 3]);
    }
  }
}

}  // namespace
}  // namespace beamcap::preprocess
