// A bundle's graphs, loaded: images to captions' tokens.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "runtime/encoder.h"
#include "runtime/graphs.h"
#include "search/hypothesis.h"
#include "search/options.h"

namespace beamcap::runtime {

struct Generated {
  std::vector<search::ImageResult> results;  // one an image, in order
  double encode_ms = 0.0;
  double search_ms = 0.0;
  std::int64_t steps = 0;  // of the decoder
};

// Safe to use from several threads at once: all that changes lives in the call.
class Model {
 public:
  // Throws std::invalid_argument for a bad configuration, std::runtime_error as Graphs::load does.
  Model(const BundleFiles& files, const SessionConfig& config);

  const Graphs& graphs() const { return graphs_; }

  // pixel_values: float32 [images, 3, height, width]. Throws as runtime::encode does.
  Encoded encode(const Tensor& pixel_values) const;

  // Encodes, then searches from the prompt: [P] ids, the start token first. image_seeds: [images], as search::search
  // takes them. Throws std::invalid_argument for an empty prompt, ids outside of the vocabulary, or options or seeds
  // that do not fit; std::runtime_error if a graph fails.
  Generated generate(const Tensor& pixel_values, std::span<const std::int64_t> prompt, const search::Options& options,
                     std::span<const std::uint64_t> image_seeds) const;

 private:
  Graphs graphs_;
};

}  // namespace beamcap::runtime
