#include "preprocess/coefficients.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <stdexcept>

namespace beamcap::preprocess {
namespace {

double sinc(double x) { return x == 0.0 ? 1.0 : std::sin(x * std::numbers::pi) / (x * std::numbers::pi); }

double box(double x) { return x > -0.5 && x <= 0.5 ? 1.0 : 0.0; }

double bilinear(double x) { return std::abs(x) < 1.0 ? 1.0 - std::abs(x) : 0.0; }

double hamming(double x) {
  x = std::abs(x);
  if (x == 0.0) {
    return 1.0;
  }
  if (x >= 1.0) {
    return 0.0;
  }
  x *= std::numbers::pi;
  // The two constants are single precision in Pillow, and it shows.
  return std::sin(x) / x * (double{0.54F} + double{0.46F} * std::cos(x));
}

double bicubic(double x) {
  constexpr double a = -0.5;
  x = std::abs(x);
  if (x < 1.0) {
    return ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0;
  }
  return x < 2.0 ? (((x - 5.0) * x + 8.0) * x - 4.0) * a : 0.0;
}

double lanczos(double x) { return x >= -3.0 && x < 3.0 ? sinc(x) * sinc(x / 3.0) : 0.0; }

struct Kernel {
  double (*weight)(double);
  double support;
};

Kernel kernel_of(Filter filter) {
  switch (filter) {
    case Filter::kBox:
      return {box, 0.5};
    case Filter::kBilinear:
      return {bilinear, 1.0};
    case Filter::kHamming:
      return {hamming, 1.0};
    case Filter::kBicubic:
      return {bicubic, 2.0};
    case Filter::kLanczos:
      return {lanczos, 3.0};
    case Filter::kNearest:
      break;
  }
  throw std::invalid_argument("this filter has no kernel");
}

std::int32_t to_fixed_point(double weight) {
  return static_cast<std::int32_t>(weight * (1 << kPrecisionBits) + (weight < 0 ? -0.5 : 0.5));
}

std::int64_t round_up_to_group(std::int64_t taps) { return (taps + kTapGroup - 1) / kTapGroup * kTapGroup; }

}  // namespace

Coefficients::Coefficients(const Axis& axis, Filter filter) {
  begins_.reserve(static_cast<std::size_t>(axis.count));
  counts_.reserve(static_cast<std::size_t>(axis.count));
  if (filter == Filter::kNearest) {
    set_nearest(axis);
  } else {
    set_filtered(axis, filter);
  }
}

// One tap of weight 1: the rounding of a pass then gives the pixel back unchanged.
void Coefficients::set_nearest(const Axis& axis) {
  stride_ = kTapGroup;
  weights_.assign(static_cast<std::size_t>(axis.count * stride_), 0);
  const double scale = static_cast<double>(axis.in) / static_cast<double>(axis.out);
  // Pillow adds up the position step by step, and so must we: multiplying rounds differently.
  double position = scale * 0.5;
  for (std::int64_t i = 0; i < axis.first + axis.count; ++i, position += scale) {
    if (i >= axis.first) {
      begins_.push_back(static_cast<std::int32_t>(std::min(static_cast<std::int64_t>(position), axis.in - 1)));
      counts_.push_back(1);
      weights_[static_cast<std::size_t>((i - axis.first) * stride_)] = 1 << kPrecisionBits;
    }
  }
}

void Coefficients::set_filtered(const Axis& axis, Filter filter) {
  const Kernel kernel = kernel_of(filter);
  const double scale = static_cast<double>(axis.in) / static_cast<double>(axis.out);
  const double filter_scale = std::max(scale, 1.0);  // the antialiasing: a smaller output widens the filter
  const double support = kernel.support * filter_scale;
  const double inverse = 1.0 / filter_scale;
  const auto max_taps = std::min(static_cast<std::int64_t>(std::ceil(support)) * 2 + 1, axis.in);
  stride_ = round_up_to_group(max_taps);
  weights_.assign(static_cast<std::size_t>(axis.count * stride_), 0);
  std::vector<double> taps(static_cast<std::size_t>(max_taps));
  for (std::int64_t i = 0; i < axis.count; ++i) {
    const double centre = (static_cast<double>(axis.first + i) + 0.5) * scale;
    const auto low = std::max(static_cast<std::int64_t>(centre - support + 0.5), std::int64_t{0});
    const auto high = std::min(static_cast<std::int64_t>(centre + support + 0.5), axis.in);
    const std::int64_t count = high - low;
    double sum = 0.0;
    for (std::int64_t j = 0; j < count; ++j) {
      const double weight = kernel.weight((static_cast<double>(low + j) - centre + 0.5) * inverse);
      taps[static_cast<std::size_t>(j)] = weight;
      sum += weight;
    }
    for (std::int64_t j = 0; j < count; ++j) {
      const double weight = taps[static_cast<std::size_t>(j)];
      weights_[static_cast<std::size_t>(i * stride_ + j)] = to_fixed_point(sum == 0.0 ? weight : weight / sum);
    }
    begins_.push_back(static_cast<std::int32_t>(low));
    counts_.push_back(static_cast<std::int32_t>(count));
  }
}

}  // namespace beamcap::preprocess
