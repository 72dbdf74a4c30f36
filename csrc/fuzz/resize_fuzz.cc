// Any shape to any shape, any window of it: the kernels agree byte by byte, a window is what the whole has there, and
// averages stay within the range of what they are made of.
#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "fuzz/draw.h"
#include "fuzz/pixels.h"
#include "preprocess/resize.h"

namespace beamcap::preprocess {
namespace {

using fuzz::check;

Axis draw_window(fuzz::Draw& draw, std::int64_t in, std::int64_t out, std::int64_t most) {
  Axis axis{in, out, draw.within<std::int64_t>(0, out - 1), 0};
  axis.count = draw.within<std::int64_t>(1, std::min(out - axis.first, most));
  return axis;
}

// The window that the plan wants: count x count x 3.
std::vector<std::uint8_t> resize_window(const ImageView& image, const ResizePlan& plan, const ResizeKernels& kernels) {
  std::vector<std::uint8_t> window;
  resize_rows(image, plan, [&](std::int64_t row, std::span<const std::uint8_t> pixels) {
    const auto row_bytes = static_cast<std::size_t>(plan.horizontal.count) * 3;
    check(pixels.size() == row_bytes, "a row has the window's width");
    check(static_cast<std::size_t>(row) * row_bytes == window.size(), "rows come in order, each once");
    window.insert(window.end(), pixels.begin(), pixels.end());
  }, kernels);
  check(window.size() == static_cast<std::size_t>(plan.vertical.count * plan.horizontal.count) * 3, "all rows come");
  return window;
}

void check_is_part_of_whole(const ImageView& image, const ResizePlan& plan, std::span<const std::uint8_t> window) {
  const Size size = {plan.vertical.out, plan.horizontal.out};
  const std::vector<std::uint8_t> whole = resize(image, size, plan.filter, plan.pass_order, portable_kernels());
  const auto row_bytes = static_cast<std::size_t>(plan.horizontal.count) * 3;
  for (std::int64_t y = 0; y < plan.vertical.count; ++y) {
    const auto begin = whole.begin() + ((plan.vertical.first + y) * size.width + plan.horizontal.first) * 3;
    const auto row = window.subspan(static_cast<std::size_t>(y) * row_bytes, row_bytes);
    check(std::equal(row.begin(), row.end(), begin), "a window is what the whole has there");
  }
}

// Of filters without negative weights. The weights have 22 bits: many of them add up to a little more or less than 1.
void check_range(const fuzz::Image& image, Filter filter, std::span<const std::uint8_t> window) {
  if (filter == Filter::kLanczos || filter == Filter::kBicubic) return;
  const auto [low, high] = std::minmax_element(image.pixels.begin(), image.pixels.end());
  const auto tolerance = filter == Filter::kNearest ? 0 : 1 + (image.size.height + image.size.width) / 8192;
  for (const std::uint8_t value : window) {
    check(value + tolerance >= *low && value <= *high + tolerance, "an average stays within the image's range");
  }
}

void fuzz_resize(fuzz::Draw& draw) {
  const fuzz::Image image = fuzz::draw_image(draw);
  const bool huge = draw.one_in(16);  // a crop of what would be too large as a whole
  const Size out = huge ? Size{draw.within<std::int64_t>(1, kMaxResizedSide >> 8),
                               draw.within<std::int64_t>(1, kMaxResizedSide >> 8)}
                        : fuzz::draw_size(draw);
  const std::int64_t most = huge ? 32 : fuzz::kMostPixels;
  const ResizePlan plan = {draw_window(draw, image.size.height, draw.one_in(8) ? image.size.height : out.height, most),
                           draw_window(draw, image.size.width, draw.one_in(8) ? image.size.width : out.width, most),
                           fuzz::draw_filter(draw), fuzz::draw_pass_order(draw)};
  const std::vector<std::uint8_t> window = resize_window(image.view(), plan, portable_kernels());
  check(window == resize_window(image.view(), plan, best_kernels()), "the kernels give the same bytes");
  if (plan.vertical.out * plan.horizontal.out <= 2 * fuzz::kMostPixels) {
    check_is_part_of_whole(image.view(), plan, window);
  }
  check_range(image, plan.filter, window);
}

}  // namespace
}  // namespace beamcap::preprocess

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  beamcap::fuzz::Draw draw(data, size);
  beamcap::preprocess::fuzz_resize(draw);
  return 0;
}
