#include "preprocess/image_batch.h"

#include <algorithm>
#include <stdexcept>
#include <string>
#include <vector>

#include "preprocess/layout.h"
#include "preprocess/normalize.h"
#include "preprocess/parallel.h"
#include "preprocess/resize.h"

namespace beamcap::preprocess {
namespace {

std::size_t image_values(Size size) { return static_cast<std::size_t>(3 * size.height * size.width); }

// A value for the rectangle rows x columns of a channel, which has `row_length` values a row.
template <typename Value>
void fill(Value* channel, std::int64_t row_length, Range rows, Range columns, Value value) {
  for (std::int64_t row = rows.first; row < rows.first + rows.count; ++row) {
    std::fill_n(channel + row * row_length + columns.first, columns.count, value);
  }
}

// What the pixels of the image leave free: the padding, and in it the crop where the image is smaller.
template <typename Value>
void fill_background(const Layout& layout, Padding padding, const NormalizeTable<Value>& table, std::span<Value> out) {
  for (std::size_t c = 0; c < 3; ++c) {
    Value* const channel = out.data() + c * out.size() / 3;
    const Value black = table.channel(c)[0];
    if (layout.padded()) {
      fill(channel, layout.output.width, {0, layout.output.height}, {0, layout.output.width},
           padding == Padding::kAround ? black : Value{});
    }
    if (layout.crop_exceeds()) {
      fill(channel, layout.output.width, layout.rows.crop, layout.columns.crop, black);
    }
  }
}

// `out` has image_values(layout.output) values; recipe and image are valid.
template <typename Value>
void preprocess_checked(const ImageView& image, const Recipe& recipe, const NormalizeTable<Value>& table,
                        std::span<Value> out) {
  const Layout layout(recipe, image.size);
  fill_background(layout, recipe.padding, table, out);
  std::vector<std::uint8_t> resized;  // only where a thumbnail is made of it
  ImageView source = image;
  if (layout.shrunk != layout.resized) {
    resized = resize(image, layout.resized, recipe.resample, recipe.pass_order);
    source = {resized.data(), layout.resized};
  }
  const ResizePlan plan = {
      {source.size.height, layout.shrunk.height, layout.rows.kept.first, layout.rows.kept.count},
      {source.size.width, layout.shrunk.width, layout.columns.kept.first, layout.columns.kept.count},
      recipe.resample,
      recipe.pass_order};
  const std::size_t channel = out.size() / 3;
  resize_rows(source, plan, [&](std::int64_t row, std::span<const std::uint8_t> pixels) {
    Value* const start = out.data() + (row + layout.rows.offset) * layout.output.width + layout.columns.offset;
    normalize_row<Value>(pixels, table, {start, start + channel, start + 2 * channel});
  });
}

void check_values(std::size_t given, std::size_t needed) {
  if (given != needed) {
    throw std::invalid_argument("the output must have " + std::to_string(needed) + " values, got " +
                                std::to_string(given));
  }
}

template <typename Value>
void preprocess_one(const ImageView& image, const Recipe& recipe, std::span<Value> out) {
  recipe.validate();
  image.validate();
  check_values(out.size(), image_values(recipe.output_size(image.size)));
  preprocess_checked(image, recipe, NormalizeTable<Value>(recipe), out);
}

template <typename Value>
void preprocess_all(std::span<const ImageView> images, const Recipe& recipe, int threads, std::span<Value> out) {
  if (threads < 1) {
    throw std::invalid_argument("threads must be at least 1, got " + std::to_string(threads));
  }
  recipe.validate();
  for (const ImageView& image : images) {
    image.validate();
  }
  const std::size_t values = image_values(common_output_size(recipe, images));
  check_values(out.size(), values * images.size());
  const NormalizeTable<Value> table(recipe);
  run_parallel(images.size(), static_cast<std::size_t>(threads), [&](std::size_t i) {
    preprocess_checked(images[i], recipe, table, out.subspan(i * values, values));
  });
}

}  // namespace

void preprocess_image(const ImageView& image, const Recipe& recipe, std::span<float> out) {
  preprocess_one(image, recipe, out);
}

void preprocess_image(const ImageView& image, const Recipe& recipe, std::span<std::uint16_t> out) {
  preprocess_one(image, recipe, out);
}

void preprocess_batch(std::span<const ImageView> images, const Recipe& recipe, int threads, std::span<float> out) {
  preprocess_all(images, recipe, threads, out);
}

void preprocess_batch(std::span<const ImageView> images, const Recipe& recipe, int threads,
                      std::span<std::uint16_t> out) {
  preprocess_all(images, recipe, threads, out);
}

}  // namespace beamcap::preprocess
