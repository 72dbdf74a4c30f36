// Any images with any recipe: refused as an argument, or finite numbers that depend on the image and the recipe alone.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <stdexcept>
#include <vector>

#include "common/half.h"
#include "fuzz/draw.h"
#include "fuzz/pixels.h"
#include "preprocess/image_batch.h"
#include "preprocess/layout.h"

namespace beamcap::preprocess {
namespace {

using fuzz::check;

constexpr std::int64_t kMostOutput = 4 * fuzz::kMostPixels;

Size draw_sides(fuzz::Draw& draw) { return {draw.integer(1, 64), draw.integer(1, 64)}; }

// One line a field: how it is drawn.
Recipe draw_recipe(fuzz::Draw& draw) {
  Recipe recipe;
  if (draw.coin()) recipe.size = draw_sides(draw);
  if (draw.one_in(4)) recipe.shortest_edge = draw.integer(1, 64);
  if (draw.one_in(4)) recipe.longest_edge = draw.integer(1, 64);
  if (draw.one_in(8)) recipe.max_size = draw_sides(draw);
  if (draw.one_in(8)) recipe.thumbnail = draw_sides(draw);
  if (draw.one_in(4)) recipe.crop_size = draw_sides(draw);
  if (draw.one_in(4)) recipe.pad_size = draw_sides(draw);
  recipe.padding = draw.coin() ? Padding::kAround : Padding::kAfter;
  recipe.resample = fuzz::draw_filter(draw);
  recipe.pass_order = fuzz::draw_pass_order(draw);
  if (draw.coin()) recipe.rescale_factor = draw.number(-2, 2);
  for (double& mean : recipe.image_mean) mean = draw.number(-2, 2);
  for (double& deviation : recipe.image_std) deviation = draw.number(0.01, 2);
  return recipe;
}

// Null if `work` refuses its arguments.
template <typename Work>
auto unless_refused(Work work) -> std::optional<decltype(work())> {
  try {
    return work();
  } catch (const std::invalid_argument&) {
    return std::nullopt;
  }
}

std::int64_t area(Size size) { return size.height * size.width; }

std::size_t values(Size size) { return static_cast<std::size_t>(area(size) * 3); }

// Whether an image of this size is made: it is not refused, and not too large for a fuzzer.
bool is_made(Size image, const Recipe& recipe) {
  const auto layout = unless_refused([&] { return recipe.validate(), Layout(recipe, image); });
  if (!layout) return false;
  const bool is_whole = layout->resized != layout->shrunk;  // else only what is left after the crop is resized
  return area(layout->output) <= kMostOutput && (!is_whole || area(layout->resized) <= kMostOutput);
}

void check_half(const ImageView& image, const Recipe& recipe, std::span<const float> expected) {
  std::vector<std::uint16_t> out(expected.size());
  preprocess_image(image, recipe, out);
  for (std::size_t i = 0; i < out.size(); ++i) {
    check(out[i] == half_from_float(expected[i]), "a float16 is the float32, rounded");
  }
}

std::vector<float> preprocess_alone(const ImageView& image, const Recipe& recipe) {
  std::vector<float> out(values(recipe.output_size(image.size)), std::numeric_limits<float>::quiet_NaN());
  preprocess_image(image, recipe, out);  // what validate() and Layout take is not refused later
  check(std::all_of(out.begin(), out.end(), [](float value) { return std::isfinite(value); }),
        "every number is written, and finite");
  check_half(image, recipe, out);
  return out;
}

void check_batch(std::span<const ImageView> images, const Recipe& recipe, int threads,
                 std::span<const std::vector<float>> alone) {
  const auto size = unless_refused([&] { return common_output_size(recipe, images); });
  if (!size) return;
  for (const std::vector<float>& out : alone) check(out.size() == values(*size), "a batch has one size of output");
  std::vector<float> out(values(*size) * images.size(), std::numeric_limits<float>::quiet_NaN());
  preprocess_batch(images, recipe, threads, out);
  for (std::size_t i = 0; i < images.size(); ++i) {
    check(std::equal(alone[i].begin(), alone[i].end(), out.begin() + static_cast<std::ptrdiff_t>(i * values(*size))),
          "an image is in a batch what it is alone");
  }
}

void fuzz_preprocess(fuzz::Draw& draw) {
  const Recipe recipe = draw_recipe(draw);
  const std::vector<fuzz::Image> images = draw.list(3, [&] { return fuzz::draw_image(draw); });
  std::vector<ImageView> views;
  std::vector<std::vector<float>> alone;
  for (const fuzz::Image& image : images) {
    if (!is_made(image.size, recipe)) return;
    views.push_back(image.view());
    alone.push_back(preprocess_alone(image.view(), recipe));
  }
  if (!images.empty()) check_batch(views, recipe, draw.within(1, 3), alone);
}

}  // namespace
}  // namespace beamcap::preprocess

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  beamcap::fuzz::Draw draw(data, size);
  beamcap::preprocess::fuzz_preprocess(draw);
  return 0;
}
