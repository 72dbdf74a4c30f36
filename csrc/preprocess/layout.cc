#include "preprocess/layout.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace beamcap::preprocess {
namespace {

// The rules below round as transformers' do, in doubles and in the same order, or a side is one pixel off.

std::int64_t truncated(double value) { return static_cast<std::int64_t>(value); }

Size by_shortest_edge(Size image, std::int64_t edge) {
  const std::int64_t shorter = std::min(image.height, image.width);
  return {edge * image.height / shorter, edge * image.width / shorter};
}

Size by_both_edges(Size image, std::int64_t shortest_edge, std::int64_t longest_edge) {
  const auto shorter = static_cast<double>(std::min(image.height, image.width));
  const auto longer = static_cast<double>(std::max(image.height, image.width));
  auto exact = static_cast<double>(shortest_edge);
  if (longer / shorter * exact > static_cast<double>(longest_edge)) {
    exact = static_cast<double>(longest_edge) * shorter / longer;
  }
  const auto edge = truncated(std::nearbyint(exact));  // a half goes to the even number
  if (edge == std::min(image.height, image.width)) {
    return image;
  }
  const auto scaled = [&](std::int64_t side) { return truncated(exact * static_cast<double>(side) / shorter); };
  return image.width < image.height ? Size{scaled(image.height), edge} : Size{edge, scaled(image.width)};
}

Size by_longest_edge(Size image, std::int64_t edge) {
  const double scale = static_cast<double>(edge) / static_cast<double>(std::max(image.height, image.width));
  return {truncated(static_cast<double>(image.height) * scale + 0.5),
          truncated(static_cast<double>(image.width) * scale + 0.5)};
}

Size by_max_size(Size image, Size most) {
  const auto height = static_cast<double>(image.height);
  const auto width = static_cast<double>(image.width);
  const double scale = std::min(static_cast<double>(most.height) / height, static_cast<double>(most.width) / width);
  return {truncated(height * scale), truncated(width * scale)};
}

Size resized_size(const Recipe& recipe, Size image) {
  if (recipe.size) {
    return *recipe.size;
  }
  if (recipe.shortest_edge && recipe.longest_edge) {
    return by_both_edges(image, *recipe.shortest_edge, *recipe.longest_edge);
  }
  if (recipe.shortest_edge) {
    return by_shortest_edge(image, *recipe.shortest_edge);
  }
  if (recipe.longest_edge) {
    return by_longest_edge(image, *recipe.longest_edge);
  }
  return recipe.max_size ? by_max_size(image, *recipe.max_size) : image;
}

// As Donut's thumbnail: the longer side decides, even where the other one is left too long.
Size thumbnail_size(Size image, Size most) {
  const Size within = {std::min(image.height, most.height), std::min(image.width, most.width)};
  if (within == image) {
    return image;
  }
  if (image.height > image.width) {
    return {within.height, image.width * within.height / image.height};
  }
  if (image.width > image.height) {
    return {image.height * within.width / image.width, within.width};
  }
  return within;
}

bool allocatable(Size size) {
  return std::max(size.height, size.width) <= kMaxOutputSide && size.height * size.width <= kMaxOutputPixels;
}

[[noreturn]] void refuse(Size image, Size becomes, const std::string& why) {
  throw std::invalid_argument("an image of " + size_text(image) + " would become " + size_text(becomes) + ": " + why);
}

void check_resized(Size image, Size resized, Size shrunk) {
  const bool cropped_only = resized == shrunk;  // else the resized image exists as a whole
  if (std::max(resized.height, resized.width) > kMaxResizedSide || !(cropped_only || allocatable(resized))) {
    refuse(image, resized, "at most " + std::to_string(kMaxResizedSide) + " pixels a side are allowed before a crop, " +
                               std::to_string(kMaxOutputPixels) + " in all before a thumbnail");
  }
  if (std::min(shrunk.height, shrunk.width) < 1) {
    refuse(image, shrunk, "it is too narrow for this resize");
  }
}

// As transformers' center_crop: a larger image loses its margins, the smaller half first; a smaller one gets black
// on both sides, the larger half first.
AxisLayout axis_layout(std::int64_t pixels, std::int64_t crop, std::int64_t output, Padding padding) {
  const Range place = {padding == Padding::kAround ? (output - crop) / 2 : 0, crop};
  if (crop <= pixels) {
    return {{(pixels - crop) / 2, crop}, place.first, place};
  }
  return {{0, pixels}, place.first + (crop - pixels + 1) / 2, place};
}

}  // namespace

Layout::Layout(const Recipe& recipe, Size image)
    : resized(resized_size(recipe, image)),
      shrunk(recipe.thumbnail ? thumbnail_size(resized, *recipe.thumbnail) : resized) {
  check_resized(image, resized, shrunk);
  const Size crop = recipe.crop_size.value_or(shrunk);
  output = recipe.pad_size.value_or(crop);
  if (!allocatable(output)) {
    refuse(image, output, "at most " + std::to_string(kMaxOutputPixels) + " pixels are allowed, " +
                              std::to_string(kMaxOutputSide) + " a side");
  }
  if (crop.height > output.height || crop.width > output.width) {
    refuse(image, crop, "that does not fit into pad_size " + size_text(output));
  }
  rows = axis_layout(shrunk.height, crop.height, output.height, recipe.padding);
  columns = axis_layout(shrunk.width, crop.width, output.width, recipe.padding);
}

std::string size_text(Size size) { return std::to_string(size.height) + "x" + std::to_string(size.width); }

}  // namespace beamcap::preprocess
