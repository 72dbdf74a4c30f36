// Resize of a uint8 RGB image, byte for byte as Pillow's Image.resize of the whole image without a reducing_gap.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "preprocess/coefficients.h"
#include "preprocess/recipe.h"
#include "preprocess/resize_kernels.h"

namespace beamcap::preprocess {

// Takes the rows of the output in order: its index within the window, and width x 3 bytes that live until it returns.
using RowSink = std::function<void(std::int64_t row, std::span<const std::uint8_t> pixels)>;

struct ResizePlan {
  Axis vertical;
  Axis horizontal;
  Filter filter = Filter::kBilinear;
  PassOrder pass_order = PassOrder::kHorizontalFirst;
};

// Resizes `image` (whose size is that of the plan's axes) and gives the plan's window of it to `sink`, row by row:
// neither the resized image nor the one between the two passes ever exists as a whole.
void resize_rows(const ImageView& image, const ResizePlan& plan, const RowSink& sink,
                 const ResizeKernels& kernels = best_kernels());

// The whole resized image: size.height x size.width x 3. Throws std::invalid_argument if a side is zero, or the
// image or the rows between the passes too large.
std::vector<std::uint8_t> resize(const ImageView& image, Size size, Filter filter, PassOrder pass_order,
                                 const ResizeKernels& kernels = best_kernels());

// Whether the vertical pass comes first; both passes are needed.
bool vertical_first(Size from, Size to, Filter filter, PassOrder pass_order);

}  // namespace beamcap::preprocess
