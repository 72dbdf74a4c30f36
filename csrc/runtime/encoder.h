// Pixels to what the decoder needs of an image.
#pragma once

#include <cstdint>
#include <vector>

#include "runtime/graphs.h"
#include "runtime/tensor.h"

namespace beamcap::runtime {

struct Encoded {
  std::int64_t images = 0;
  std::vector<Tensor> states;  // one for each of Graphs::states; empty where the encoder does not make it
};

// pixel_values: float32 [images, 3, height, width] -> states with `images` along their batch axis, in the type that the
// decoder takes. Throws std::invalid_argument for pixels that do not fit the graph, std::runtime_error if the graph
// fails or its outputs do not have a row an image.
Encoded encode(const Graphs& graphs, const Tensor& pixel_values);

}  // namespace beamcap::runtime
