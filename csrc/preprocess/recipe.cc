#include "preprocess/recipe.h"

#include <cmath>
#include <stdexcept>
#include <string>

#include "preprocess/layout.h"

namespace beamcap::preprocess {
namespace {

void check_side(const std::string& name, std::int64_t side) {
  if (side < 1 || side > kMaxOutputSide) {
    throw std::invalid_argument(name + " must be from 1 to " + std::to_string(kMaxOutputSide) +
                                " pixels, got " + std::to_string(side));
  }
}

void check_edge(const char* name, const std::optional<std::int64_t>& edge) {
  if (edge) {
    check_side(name, *edge);
  }
}

void check_size(const std::string& name, const std::optional<Size>& size) {
  if (size) {
    check_side(name + " height", size->height);
    check_side(name + " width", size->width);
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
                                " pixels, got " + size_text(size));
  }
}

void Recipe::validate() const {
  if (size.has_value() + (shortest_edge || longest_edge) + max_size.has_value() > 1) {
    throw std::invalid_argument(
        "size, shortest_edge or longest_edge, and max_size exclude each other: give one of them, or none for no resize");
  }
  check_size("size", size);
  check_edge("shortest_edge", shortest_edge);
  check_edge("longest_edge", longest_edge);
  check_size("max_size", max_size);
  check_size("thumbnail", thumbnail);
  check_size("crop_size", crop_size);
  check_size("pad_size", pad_size);
  const std::optional<Size> unpadded = crop_size ? crop_size : (thumbnail ? std::nullopt : size);
  if (unpadded && pad_size && (unpadded->height > pad_size->height || unpadded->width > pad_size->width)) {
    throw std::invalid_argument("pad_size must be at least " + size_text(*unpadded) + ", got " + size_text(*pad_size));
  }
  if (const auto fixed = fixed_size(); fixed && fixed->height * fixed->width > kMaxOutputPixels) {
    throw std::invalid_argument("an output may have at most " + std::to_string(kMaxOutputPixels) + " pixels, got " +
                                size_text(*fixed));
  }
  if (crop_size && pad_size && padding == Padding::kAround) {
    throw std::invalid_argument("crop_size and a pad_size that pads around exclude each other");
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
  for (std::size_t channel = 0; channel < image_std.size(); ++channel) {
    // The values between these lie between what they become.
    if (!std::isfinite(normalized(channel, 0)) || !std::isfinite(normalized(channel, 255))) {
      throw std::invalid_argument("rescale_factor, image_mean and image_std together make pixels that no float32 holds");
    }
  }
}

float Recipe::normalized(std::size_t channel, std::uint8_t value) const {
  const auto rescaled = static_cast<float>(static_cast<double>(value) * rescale_factor);
  return (rescaled - static_cast<float>(image_mean[channel])) / static_cast<float>(image_std[channel]);
}

std::optional<Size> Recipe::fixed_size() const {
  if (pad_size) {
    return pad_size;
  }
  if (crop_size) {
    return crop_size;
  }
  return thumbnail ? std::nullopt : size;
}

Size Recipe::output_size(Size input) const { return Layout(*this, input).output; }

Size common_output_size(const Recipe& recipe, std::span<const ImageView> images) {
  if (images.empty()) {
    if (const std::optional<Size> fixed = recipe.fixed_size()) {
      return *fixed;
    }
    throw std::invalid_argument("no image: the recipe has no fixed output size, so that of an empty batch is unknown");
  }
  const Size first = recipe.output_size(images.front().size);
  for (const ImageView& image : images) {
    const Size output = recipe.output_size(image.size);
    if (output != first) {
      throw std::invalid_argument("the images of a batch must have one output size, got " + size_text(first) + " and " +
                                  size_text(output) + ": without size, crop_size or pad_size it follows the image's");
    }
  }
  return first;
}

}  // namespace beamcap::preprocess
