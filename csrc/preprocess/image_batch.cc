#include "preprocess/image_batch.h"

#include <algorithm>
#include <stdexcept>
#include <string>

#include "preprocess/normalize.h"
#include "preprocess/parallel.h"
#include "preprocess/resize.h"

namespace beamcap::preprocess {
namespace {

// One axis of the centre crop: which of the resized pixels are kept, and how many zeros come before them.
struct CropAxis {
  std::int64_t first;
  std::int64_t count;
  std::int64_t padding;
};

// As transformers' center_crop: a larger image loses its margins, the smaller half first; a smaller one gets zeros on
// both sides, the larger half first.
CropAxis crop_axis(std::int64_t resized, std::int64_t wanted) {
  if (wanted <= resized) {
    return {(resized - wanted) / 2, wanted, 0};
  }
  return {0, resized, (wanted - resized + 1) / 2};
}

std::size_t image_floats(Size size) { return static_cast<std::size_t>(3 * size.height * size.width); }

// `out` has image_floats(output_size(image.size)) floats; recipe and image are valid.
void preprocess_checked(const ImageView& image, const Recipe& recipe, const NormalizeTable& table,
                        std::span<float> out) {
  const Size resized = recipe.resized_size(image.size);
  const Size output = recipe.output_size(image.size);
  const CropAxis rows = crop_axis(resized.height, output.height);
  const CropAxis columns = crop_axis(resized.width, output.width);
  const auto plane = static_cast<std::size_t>(output.height * output.width);
  if (rows.count < output.height || columns.count < output.width) {
    for (std::size_t c = 0; c < 3; ++c) {
      std::fill_n(out.begin() + static_cast<std::ptrdiff_t>(c * plane), plane, table.channel(c)[0]);
    }
  }
  const ResizePlan plan = {{image.size.height, resized.height, rows.first, rows.count},
                           {image.size.width, resized.width, columns.first, columns.count},
                           recipe.resample,
                           recipe.pass_order};
  resize_rows(image, plan, [&](std::int64_t row, std::span<const std::uint8_t> pixels) {
    float* start = out.data() + (row + rows.padding) * output.width + columns.padding;
    normalize_row(pixels, table, {start, start + plane, start + 2 * plane});
  });
}

void check_floats(std::size_t given, std::size_t needed) {
  if (given != needed) {
    throw std::invalid_argument("the output must have " + std::to_string(needed) + " floats, got " +
                                std::to_string(given));
  }
}

}  // namespace

void preprocess_image(const ImageView& image, const Recipe& recipe, std::span<float> out) {
  recipe.validate();
  image.validate();
  check_floats(out.size(), image_floats(recipe.output_size(image.size)));
  preprocess_checked(image, recipe, NormalizeTable(recipe), out);
}

void preprocess_batch(std::span<const ImageView> images, const Recipe& recipe, int threads, std::span<float> out) {
  if (threads < 1) {
    throw std::invalid_argument("threads must be at least 1, got " + std::to_string(threads));
  }
  recipe.validate();
  for (const ImageView& image : images) {
    image.validate();
  }
  const std::size_t floats = image_floats(common_output_size(recipe, images));
  check_floats(out.size(), floats * images.size());
  const NormalizeTable table(recipe);
  run_parallel(images.size(), static_cast<std::size_t>(threads), [&](std::size_t i) {
    preprocess_checked(images[i], recipe, table, out.subspan(i * floats, floats));
  });
}

}  // namespace beamcap::preprocess
