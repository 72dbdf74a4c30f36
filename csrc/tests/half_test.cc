#include "common/half.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

namespace beamcap {
namespace {

// The definition, by exponent and mantissa.
float expected_float(std::uint32_t half) {
  const int exponent = static_cast<int>(half >> 10) & 31;
  const int mantissa = static_cast<int>(half) & 1023;
  float magnitude = std::ldexp(static_cast<float>(1024 + mantissa), exponent - 25);
  if (exponent == 0) magnitude = std::ldexp(static_cast<float>(mantissa), -24);
  if (exponent == 31) magnitude = std::numeric_limits<float>::infinity();
  return (half & 0x8000) != 0 ? -magnitude : magnitude;
}

bool is_nan(std::uint32_t half) { return (half & 0x7fff) > 0x7c00; }

TEST(Half, EveryValueBecomesTheSameFloat) {
  for (std::uint32_t half = 0; half < 0x10000; ++half) {
    const float value = float_from_half(static_cast<std::uint16_t>(half));
    if (is_nan(half)) {
      EXPECT_TRUE(std::isnan(value)) << half;
    } else {
      EXPECT_EQ(std::bit_cast<std::uint32_t>(value), std::bit_cast<std::uint32_t>(expected_float(half))) << half;
    }
  }
}

TEST(Half, EveryValueSurvivesTheWayThroughFloat) {
  for (std::uint32_t half = 0; half < 0x10000; ++half) {
    const std::uint16_t back = half_from_float(float_from_half(static_cast<std::uint16_t>(half)));
    if (is_nan(half)) {
      EXPECT_TRUE(is_nan(back)) << half;
    } else {
      EXPECT_EQ(back, half);
    }
  }
}

TEST(Half, RoundsToTheNearestAndTiesToEven) {
  for (std::uint32_t half = 0; half < 0x7bff; ++half) {
    const float low = float_from_half(static_cast<std::uint16_t>(half));
    const float high = float_from_half(static_cast<std::uint16_t>(half + 1));
    const float middle = (low + high) / 2;  // exact: a half has 13 bits less
    EXPECT_EQ(half_from_float(middle), (half & 1) == 0 ? half : half + 1);
    EXPECT_EQ(half_from_float(std::nextafter(middle, low)), half);
    EXPECT_EQ(half_from_float(std::nextafter(middle, high)), half + 1);
  }
}

TEST(Half, WhatIsTooLargeIsInfinite) {
  EXPECT_EQ(half_from_float(std::nextafter(65520.0f, 0.0f)), 0x7bff);
  EXPECT_EQ(half_from_float(65520.0f), 0x7c00);
  EXPECT_EQ(half_from_float(-std::numeric_limits<float>::max()), 0xfc00);
  EXPECT_EQ(half_from_float(std::numeric_limits<float>::denorm_min()), 0);
}

}  // namespace
}  // namespace beamcap
