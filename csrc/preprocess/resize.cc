#include "preprocess/resize.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <string>

namespace beamcap::preprocess {
namespace {

std::size_t to_size(std::int64_t n) { return static_cast<std::size_t>(n); }

// Rows of an image by index. A horizontal kernel reads a little past the end of a row: rows so near the end of the
// image that this would leave it are copied to where there is room.
class SourceRows {
 public:
  explicit SourceRows(const ImageView& image) : image_(image), stride_(to_size(image.size.width) * 3) {
    const auto tail = std::min(to_size(image.size.height), (kRowSlack + stride_ - 1) / stride_);
    first_of_tail_ = image.size.height - static_cast<std::int64_t>(tail);
    tail_.resize(tail * stride_ + kRowSlack);
    std::memcpy(tail_.data(), image.pixels + to_size(first_of_tail_) * stride_, tail * stride_);
  }

  const std::uint8_t* operator[](std::int64_t row) const {
    return row < first_of_tail_ ? image_.pixels + to_size(row) * stride_
                                : tail_.data() + to_size(row - first_of_tail_) * stride_;
  }

 private:
  const ImageView& image_;
  std::size_t stride_;
  std::int64_t first_of_tail_;
  std::vector<std::uint8_t> tail_;
};

// Far above what a resize to any real size needs.
constexpr std::size_t kMaxRingBytes = std::size_t{1} << 30;

// A few rows of the image between the passes, each with the room that a kernel needs, row n in the place of row
// n - capacity.
class RingOfRows {
 public:
  RingOfRows(std::int64_t capacity, std::size_t row_bytes)
      : capacity_(capacity), stride_(row_bytes + kRowSlack) {
    if (to_size(capacity) * stride_ > kMaxRingBytes) {
      throw std::invalid_argument("the resize needs " + std::to_string(capacity) + " rows of " +
                                  std::to_string(row_bytes) + " bytes at once, more than " +
                                  std::to_string(kMaxRingBytes) + " bytes in all");
    }
    bytes_.resize(to_size(capacity) * stride_);
  }

  std::uint8_t* operator[](std::int64_t row) { return bytes_.data() + to_size(row % capacity_) * stride_; }

 private:
  std::int64_t capacity_;
  std::size_t stride_;
  std::vector<std::uint8_t> bytes_;
};

class HorizontalPass {
 public:
  HorizontalPass(const ResizePlan& plan, const ResizeKernels& kernels)
      : kernels_(kernels), weights_(plan.horizontal, plan.filter), arranged_(kernels.arrange(weights_)) {}

  // Resizes the rows [first, last) of `in` to those of `out`, which has the slack.
  template <typename In>
  void operator()(In&& in, RingOfRows& out, std::int64_t first, std::int64_t last) const {
    for (std::int64_t start = first; start < last; start += kRowBlock) {
      std::array<const std::uint8_t*, kRowBlock> rows;
      std::array<std::uint8_t*, kRowBlock> places;
      for (std::size_t r = 0; r < kRowBlock; ++r) {
        const std::int64_t row = std::min(start + static_cast<std::int64_t>(r), last - 1);
        rows[r] = in[row];
        places[r] = out[row];
      }
      kernels_.horizontal(rows, weights_, arranged_, places);
    }
  }

 private:
  const ResizeKernels& kernels_;
  Coefficients weights_;
  std::vector<std::int16_t> arranged_;
};

// The vertical pass of one output row, over input rows that In gives by index.
template <typename In>
void vertical_row(const ResizeKernels& kernels, const Coefficients& weights, std::int64_t row, In&& in,
                  std::size_t bytes, std::uint8_t* out) {
  std::vector<const std::uint8_t*> rows;
  rows.reserve(to_size(weights.end(row) - weights.begin(row)));
  for (std::int64_t j = weights.begin(row); j < weights.end(row); ++j) {
    rows.push_back(in[j]);
  }
  kernels.vertical(rows, weights.weights(row), bytes, out);
}

// Rows of an image, each from a given column on.
class RowsFromColumn {
 public:
  RowsFromColumn(const SourceRows& rows, std::int64_t column) : rows_(rows), offset_(to_size(column) * 3) {}
  const std::uint8_t* operator[](std::int64_t row) const { return rows_[row] + offset_; }

 private:
  const SourceRows& rows_;
  std::size_t offset_;
};

void copy_window(const SourceRows& source, const ResizePlan& plan, const RowSink& sink) {
  const RowsFromColumn rows(source, plan.horizontal.first);
  for (std::int64_t y = 0; y < plan.vertical.count; ++y) {
    sink(y, {rows[plan.vertical.first + y], to_size(plan.horizontal.count) * 3});
  }
}

void resize_vertically(const SourceRows& source, const ResizePlan& plan, const RowSink& sink,
                       const ResizeKernels& kernels) {
  const Coefficients weights(plan.vertical, plan.filter);
  const RowsFromColumn rows(source, plan.horizontal.first);
  std::vector<std::uint8_t> out(to_size(plan.horizontal.count) * 3);
  for (std::int64_t y = 0; y < plan.vertical.count; ++y) {
    vertical_row(kernels, weights, y, rows, out.size(), out.data());
    sink(y, out);
  }
}

void resize_horizontally(const SourceRows& source, const ResizePlan& plan, const RowSink& sink,
                         const ResizeKernels& kernels) {
  const HorizontalPass across(plan, kernels);
  const auto row_bytes = to_size(plan.horizontal.count) * 3;
  const std::int64_t last = plan.vertical.first + plan.vertical.count;
  RingOfRows ring(kRowBlock, row_bytes);
  for (std::int64_t start = plan.vertical.first; start < last; start += kRowBlock) {
    const std::int64_t stop = std::min(start + static_cast<std::int64_t>(kRowBlock), last);
    across(source, ring, start, stop);
    for (std::int64_t row = start; row < stop; ++row) {
      sink(row - plan.vertical.first, {ring[row], row_bytes});
    }
  }
}

void resize_horizontal_first(const SourceRows& source, const ResizePlan& plan, const RowSink& sink,
                             const ResizeKernels& kernels) {
  const HorizontalPass across(plan, kernels);
  const Coefficients down(plan.vertical, plan.filter);
  std::int64_t most_taps = 0;
  for (std::int64_t y = 0; y < plan.vertical.count; ++y) {
    most_taps = std::max(most_taps, down.end(y) - down.begin(y));
  }
  std::vector<std::uint8_t> out(to_size(plan.horizontal.count) * 3);
  RingOfRows ring(most_taps + static_cast<std::int64_t>(kRowBlock), out.size());
  std::int64_t done = down.begin(0);
  for (std::int64_t y = 0; y < plan.vertical.count; ++y) {
    while (done < down.end(y)) {
      const std::int64_t stop = std::min(done + static_cast<std::int64_t>(kRowBlock), plan.vertical.in);
      across(source, ring, done, stop);
      done = stop;
    }
    vertical_row(kernels, down, y, ring, out.size(), out.data());
    sink(y, out);
  }
}

void resize_vertical_first(const SourceRows& source, const ResizePlan& plan, const RowSink& sink,
                           const ResizeKernels& kernels) {
  const HorizontalPass across(plan, kernels);
  const Coefficients down(plan.vertical, plan.filter);
  const auto in_bytes = to_size(plan.horizontal.in) * 3;
  const auto out_bytes = to_size(plan.horizontal.count) * 3;
  RingOfRows between(kRowBlock, in_bytes);
  RingOfRows out(kRowBlock, out_bytes);
  for (std::int64_t start = 0; start < plan.vertical.count; start += kRowBlock) {
    const std::int64_t stop = std::min(start + static_cast<std::int64_t>(kRowBlock), plan.vertical.count);
    for (std::int64_t y = start; y < stop; ++y) {
      vertical_row(kernels, down, y, source, in_bytes, between[y]);
    }
    across(between, out, start, stop);
    for (std::int64_t y = start; y < stop; ++y) {
      sink(y, {out[y], out_bytes});
    }
  }
}

}  // namespace

bool vertical_first(Size from, Size to, Filter filter, PassOrder pass_order) {
  if (filter == Filter::kNearest) {
    return to.height < from.height;  // no rounding, so the order is free: drop the unused rows first
  }
  switch (pass_order) {
    case PassOrder::kHorizontalFirst:
      return false;
    case PassOrder::kPillow12:
      return from.height > 100 * from.width && to.height < from.height;
    case PassOrder::kPillow13:
      return from.height > to.height && from.height - to.height > 2 * (from.width - to.width);
  }
  throw std::invalid_argument("unknown pass_order");
}

void resize_rows(const ImageView& image, const ResizePlan& plan, const RowSink& sink, const ResizeKernels& kernels) {
  const SourceRows source(image);
  if (!plan.vertical.resizes() && !plan.horizontal.resizes()) {
    copy_window(source, plan, sink);
  } else if (!plan.horizontal.resizes()) {
    resize_vertically(source, plan, sink, kernels);
  } else if (!plan.vertical.resizes()) {
    resize_horizontally(source, plan, sink, kernels);
  } else if (vertical_first(image.size, {plan.vertical.out, plan.horizontal.out}, plan.filter, plan.pass_order)) {
    resize_vertical_first(source, plan, sink, kernels);
  } else {
    resize_horizontal_first(source, plan, sink, kernels);
  }
}

std::vector<std::uint8_t> resize(const ImageView& image, Size size, Filter filter, PassOrder pass_order,
                                 const ResizeKernels& kernels) {
  image.validate();
  Recipe recipe;
  recipe.size = size;
  recipe.validate();
  recipe.output_size(image.size);  // refuses what is too large
  std::vector<std::uint8_t> out(to_size(size.height) * to_size(size.width) * 3);
  const ResizePlan plan = {{image.size.height, size.height, 0, size.height},
                           {image.size.width, size.width, 0, size.width},
                           filter,
                           pass_order};
  resize_rows(image, plan, [&](std::int64_t row, std::span<const std::uint8_t> pixels) {
    std::memcpy(out.data() + to_size(row) * pixels.size(), pixels.data(), pixels.size());
  }, kernels);
  return out;
}

}  // namespace beamcap::preprocess
