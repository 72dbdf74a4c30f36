// What the search knows of a model. The runtime implements it with ONNX Runtime, the tests with a table of logits.
#pragma once

#include <cstdint>
#include <span>

namespace beamcap::search {

// Scores of the next token: [rows, vocab], row-major. Owned by the decoder, valid until its next call.
struct Logits {
  std::span<const float> values;
  std::int64_t vocab = 0;

  // Of one row: [vocab].
  std::span<const float> row(std::int64_t index) const {
    return values.subspan(static_cast<std::size_t>(index * vocab), static_cast<std::size_t>(vocab));
  }
};

// Holds the state (key/value caches, recurrent state) of a batch of images. Every image has the same number of rows,
// and the rows of an image are neighbours: row = image * rows_per_image + beam. A batch begins with one row an image.
class Decoder {
 public:
  virtual ~Decoder() = default;

  // Feeds tokens [rows, width], row-major, and returns the logits [rows, vocab] after the last of them. The first call
  // feeds the prompt (width >= 1), every later one a single token a row.
  virtual Logits step(std::span<const std::int64_t> tokens, std::int64_t width) = 0;

  // New row i goes on from the old row parents[i]. parents.size() is a multiple of the number of images, and each
  // image's rows come from that image's rows: it reorders beams, and grows one row an image to num_beams after the
  // first step. Not called where every row would stay in its place.
  virtual void gather(std::span<const std::int32_t> parents) = 0;

  // Keeps only these images (indices into the present batch, ascending), with all their rows. Called before gather
  // where a step calls for both.
  virtual void compact(std::span<const std::int32_t> images) = 0;
};

}  // namespace beamcap::search
