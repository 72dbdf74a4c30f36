#include "preprocess/coefficients.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <numeric>
#include <vector>

namespace beamcap::preprocess {
namespace {

constexpr std::int32_t kOne = 1 << kPrecisionBits;

Axis whole(std::int64_t in, std::int64_t out) { return {in, out, 0, out}; }

std::vector<std::int32_t> weights_of(const Coefficients& coefficients, std::int64_t i) {
  const auto weights = coefficients.weights(i);
  return {weights.begin(), weights.end()};
}

TEST(Coefficients, BilinearHalvingWeighsFourPixels) {
  const Coefficients coefficients(whole(8, 4), Filter::kBilinear);
  // Output 1 has its centre at 3, and the filter, widened to +-2, takes pixels 1 to 4 at distances 1.5 .5 .5 1.5.
  EXPECT_EQ(coefficients.begin(1), 1);
  EXPECT_EQ(coefficients.end(1), 5);
  EXPECT_EQ(weights_of(coefficients, 1), (std::vector<std::int32_t>{kOne / 8, kOne * 3 / 8, kOne * 3 / 8, kOne / 8}));
}

TEST(Coefficients, AtTheEdgeTheWeightsThatAreLeftAreNormalised) {
  const Coefficients coefficients(whole(8, 4), Filter::kBilinear);
  // 3/8, 3/8, 1/8 over their sum 7/8, rounded half away from zero.
  EXPECT_EQ(coefficients.begin(0), 0);
  EXPECT_EQ(weights_of(coefficients, 0), (std::vector<std::int32_t>{1797559, 1797559, 599186}));
}

TEST(Coefficients, EnlargingKeepsTheFilterAsWideAsItIs) {
  const Coefficients coefficients(whole(2, 4), Filter::kBilinear);
  EXPECT_EQ(weights_of(coefficients, 1), (std::vector<std::int32_t>{kOne * 3 / 4, kOne / 4}));
}

TEST(Coefficients, NegativeWeightsAreRoundedAwayFromZero) {
  const Coefficients coefficients(whole(4, 8), Filter::kBicubic);
  // At -1.75 -.75 .25 1.25 (a = -.5): -.0078125, .10546875... the sum is 1, so these are exact in binary.
  const auto weights = weights_of(coefficients, 4);
  ASSERT_EQ(weights.size(), 4U);
  EXPECT_LT(weights.front(), 0);
  EXPECT_EQ(std::accumulate(weights.begin(), weights.end(), 0), kOne);
}

TEST(Coefficients, BoxOfAWholeRatioIsTheMean) {
  const Coefficients coefficients(whole(12, 4), Filter::kBox);
  for (std::int64_t i = 0; i < 4; ++i) {
    EXPECT_EQ(coefficients.begin(i), 3 * i);
    EXPECT_EQ(weights_of(coefficients, i), (std::vector<std::int32_t>(3, 1398101)));  // 2^22 / 3
  }
}

TEST(Coefficients, NearestTakesOnePixelWhole) {
  const Coefficients coefficients(whole(5, 3), Filter::kNearest);
  const std::vector<std::int64_t> expected = {0, 2, 4};
  for (std::int64_t i = 0; i < 3; ++i) {
    EXPECT_EQ(coefficients.begin(i), expected[static_cast<std::size_t>(i)]);
    EXPECT_EQ(weights_of(coefficients, i), std::vector<std::int32_t>{kOne});
  }
}

TEST(Coefficients, AWindowHasTheWeightsOfTheWhole) {
  for (const Filter filter : {Filter::kNearest, Filter::kLanczos, Filter::kHamming}) {
    const Coefficients all(whole(640, 299), filter);
    const Coefficients window({640, 299, 100, 50}, filter);
    ASSERT_EQ(window.outputs(), 50);
    for (std::int64_t i = 0; i < 50; ++i) {
      EXPECT_EQ(window.begin(i), all.begin(100 + i));
      EXPECT_EQ(weights_of(window, i), weights_of(all, 100 + i));
    }
  }
}

TEST(Coefficients, GroupsAreFilledUpWithZeros) {
  const Coefficients coefficients(whole(100, 9), Filter::kBicubic);
  for (std::int64_t i = 0; i < 9; ++i) {
    const std::int64_t taps = coefficients.end(i) - coefficients.begin(i);
    for (std::int64_t j = taps; j % kTapGroup != 0; ++j) {
      EXPECT_EQ(coefficients.padded(i)[j], 0);
    }
  }
}

// The sums of a pass are 32-bit: no filter at any ratio may reach beyond.
TEST(Coefficients, SumsFitThirtyTwoBits) {
  for (const Filter filter : {Filter::kNearest, Filter::kLanczos, Filter::kBilinear, Filter::kBicubic, Filter::kBox,
                              Filter::kHamming}) {
    for (const std::int64_t in : {1, 2, 3, 4, 5, 7, 16, 100, 427, 3000}) {
      for (const std::int64_t out : {1, 2, 3, 5, 8, 29, 224, 1000}) {
        const Coefficients coefficients(whole(in, out), filter);
        for (std::int64_t i = 0; i < out; ++i) {
          std::int64_t magnitude = 0;
          ASSERT_GE(coefficients.begin(i), 0);
          ASSERT_LE(coefficients.end(i), in);
          ASSERT_LT(coefficients.begin(i), coefficients.end(i));
          for (const std::int32_t weight : coefficients.weights(i)) {
            magnitude += std::abs(static_cast<std::int64_t>(weight));
          }
          ASSERT_LT(255 * magnitude + kRounding, std::int64_t{1} << 31) << "filter " << static_cast<int>(filter);
        }
      }
    }
  }
}

}  // namespace
}  // namespace beamcap::preprocess
