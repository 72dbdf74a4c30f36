// What happens to the pixels between decoding and the encoder: the fields of a preprocessor_config.json, resolved.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace beamcap::preprocess {

// Pillow's codes, which preprocessor_config.json uses too.
enum class Filter { kNearest = 0, kLanczos = 1, kBilinear = 2, kBicubic = 3, kBox = 4, kHamming = 5 };

// Which axis is resized first. The intermediate is rounded to uint8, so the order shows in the last bit.
enum class PassOrder {
  kHorizontalFirst,  // Pillow up to 12.1: what trained checkpoints saw
  kPillow12,         // 12.2 and 12.3: vertical first for very tall images that shrink
  kPillow13,         // 13.0: vertical first where that saves more
};

struct Size {
  std::int64_t height = 0;
  std::int64_t width = 0;
  bool operator==(const Size&) const = default;
};

// Longest side of an image that is taken, and of an output that is asked for: far above any real one, small enough
// that no product of sizes below overflows 64 bits.
inline constexpr std::int64_t kMaxInputSide = std::int64_t{1} << 20;
inline constexpr std::int64_t kMaxOutputSide = std::int64_t{1} << 16;
inline constexpr std::int64_t kMaxOutputPixels = std::int64_t{1} << 28;
// Of a resized image whose crop alone is computed.
inline constexpr std::int64_t kMaxResizedSide = std::int64_t{1} << 28;

// An image of uint8 RGB, height x width x 3, rows one after the other without gaps. Borrowed, never owned.
struct ImageView {
  const std::uint8_t* pixels = nullptr;
  Size size;

  // Throws std::invalid_argument if a side is zero or above kMaxInputSide.
  void validate() const;
};

// What fills the output where pad_size is larger than the image.
enum class Padding {
  kAfter,   // zeros to the right and below, after the normalisation
  kAround,  // black pixels on all sides, the smaller half first, before it
};

// Resize by one rule, or not at all; shrink to fit into `thumbnail`; cut `crop_size` out of the centre;
// float32(pixel * rescale_factor), minus mean, divided by std; pad to `pad_size`.
struct Recipe {
  // The rules, of which at most one is given; all but the first keep the aspect ratio.
  std::optional<Size> size;
  std::optional<std::int64_t> shortest_edge;
  std::optional<std::int64_t> longest_edge;  // beside shortest_edge: what the longer edge is at most
  std::optional<Size> max_size;              // as large as fits into it

  std::optional<Size> thumbnail;
  std::optional<Size> crop_size;
  std::optional<Size> pad_size;
  Padding padding = Padding::kAfter;
  Filter resample = Filter::kBilinear;
  PassOrder pass_order = PassOrder::kHorizontalFirst;
  double rescale_factor = 1.0 / 255.0;
  std::array<double, 3> image_mean = {0, 0, 0};
  std::array<double, 3> image_std = {1, 1, 1};

  // Throws std::invalid_argument that names the field, what was given and what is allowed.
  void validate() const;

  // What a channel's uint8 value becomes: (float32(double(value) * rescale_factor) - float32(mean)) / float32(std), in
  // float32. Finite for a valid recipe.
  float normalized(std::size_t channel, std::uint8_t value) const;

  // Size of every output; none if it depends on the image.
  std::optional<Size> fixed_size() const;

  // Size of the output for an image of size `input`. Throws as Layout does.
  Size output_size(Size input) const;
};

// Size that every output has. Throws std::invalid_argument if the images' outputs differ, or if there is no image
// and the recipe alone does not tell.
Size common_output_size(const Recipe& recipe, std::span<const ImageView> images);

}  // namespace beamcap::preprocess
