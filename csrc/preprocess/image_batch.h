// Decoded images to the encoder's input, as float32 or as the bits of float16.
#pragma once

#include <cstdint>
#include <span>

#include "preprocess/recipe.h"

namespace beamcap::preprocess {

// One image, any height x width x 3 uint8, to `out`: [3, H, W] with H, W = recipe.output_size(image.size).
// Throws std::invalid_argument if the recipe, the image or the size of `out` is not valid.
void preprocess_image(const ImageView& image, const Recipe& recipe, std::span<float> out);
void preprocess_image(const ImageView& image, const Recipe& recipe, std::span<std::uint16_t> out);

// Images, whose sizes may differ, to `out`: [N, 3, H, W] with H, W = common_output_size(recipe, images).
// Runs on up to `threads` threads, the caller's among them. Throws what an image throws, of several the first by
// index; std::invalid_argument if threads < 1.
void preprocess_batch(std::span<const ImageView> images, const Recipe& recipe, int threads, std::span<float> out);
void preprocess_batch(std::span<const ImageView> images, const Recipe& recipe, int threads,
                      std::span<std::uint16_t> out);

}  // namespace beamcap::preprocess
