#include "preprocess/recipe.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <string>

namespace beamcap::preprocess {
namespace {

std::string text(Size size) { return std::to_string(size.height) + "x" + std::to_string(size.width); }

void check_side(const char* name, std::int64_t side) {
  if (side < 1 || side > kMaxOutputSide) {
    throw std::invalid_argument(std::string(name) + " must be from 1 to " + std::to_string(kMaxOutputSide) +
                                " pixels, got " + std::to_string(side));
  }
}

// What matters is the float32 that the arithmetic uses: 1e-50 is a zero there, 1e50 an infinity.
void check_finite(const std::string& name, double value) {
  if (!std::isfinite(static_cast<float>(value))) {
    throw std::invalid_argument(name + " must be a finite float32, got " + std::to_string(value));
  }
}

}  // namespace

void ImageView::validate() const {
  if (size.height < 1 || size.width < 1 || size.height > kMaxInputSide || size.width > kMaxInputSide) {
    throw std::invalid_argument("an image must have sides from 1 to " + std::to_string(kMaxInputSide) +
                                " pixels, got " + text(size));
  }
}

void Recipe::validate() const {
  if (size && shortest_edge) {
    throw std::invalid_argument("size and shortest_edge exclude each other: give one of them, or none for no resize");
  }
  if (size) {
    check_side("size height", size->height);
    check_side("size width", size->width);
  }
  if (shortest_edge) {
    check_side("shortest_edge", *shortest_edge);
  }
  if (crop_size) {
    check_side("crop_size height", crop_size->height);
    check_side("crop_size width", crop_size->width);
  }
  check_finite("rescale_factor", rescale_factor);
  for (const double mean : image_mean) {
    check_finite("image_mean", mean);
  }
  for (const double deviation : image_std) {
    check_finite("image_std", deviation);
    if (static_cast<float>(deviation) == 0.0F) {
      throw std::invalid_argument("image_std must not be zero: the pixels are divided by it");
    }
  }
}

Size Recipe::resized_size(Size input) const {
  if (size) {
    return *size;
  }
  if (shortest_edge) {
    const std::int64_t shorter = std::min(input.height, input.width);
    const auto scaled = [&](std::int64_t side) { return *shortest_edge * side / shorter; };
    return {scaled(input.height), scaled(input.width)};
  }
  return input;
}

Size Recipe::output_size(Size input) const {
  const Size resized = resized_size(input);
  const Size output = crop_size ? *crop_size : resized;
  if (std::max(output.height, output.width) > kMaxOutputSide || output.height * output.width > kMaxOutputPixels ||
      std::max(resized.height, resized.width) > kMaxResizedSide) {
    throw std::invalid_argument("an image of " + text(input) + " would become " + text(resized) +
                                ": at most " + std::to_string(kMaxOutputPixels) + " pixels are allowed, " +
                                std::to_string(kMaxOutputSide) + " a side (" + std::to_string(kMaxResizedSide) +
                                " before a crop)");
  }
  return output;
}

Size common_output_size(const Recipe& recipe, std::span<const ImageView> images) {
  if (images.empty()) {
    if (recipe.crop_size || recipe.size) {
      return recipe.crop_size ? *recipe.crop_size : *recipe.size;
    }
    throw std::invalid_argument("no image: the recipe has no fixed output size, so that of an empty batch is unknown");
  }
  const Size first = recipe.output_size(images.front().size);
  for (const ImageView& image : images) {
    const Size output = recipe.output_size(image.size);
    if (output != first) {
      throw std::invalid_argument("the images of a batch must have one output size, got " + text(first) + " and " +
                                  text(output) + ": " +
                                  (recipe.shortest_edge ? "shortest_edge without crop_size follows each image's shape"
                                                        : "without a resize or crop_size the output is as the input"));
    }
  }
  return first;
}

}  // namespace beamcap::preprocess
