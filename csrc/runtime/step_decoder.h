// The model as the search sees it: tokens to logits, with the state of a batch of images behind it.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "runtime/encoder.h"
#include "runtime/graphs.h"
#include "runtime/state.h"
#include "runtime/tensor.h"
#include "search/decoder.h"

namespace beamcap::runtime {

// One batch of images in one thread. `graphs` must outlive it.
class StepDecoder final : public search::Decoder {
 public:
  StepDecoder(const Graphs& graphs, Encoded encoded);

  // Throws std::invalid_argument for tokens that do not fill the rows, std::runtime_error if a graph fails or gives
  // something of another shape than it must.
  search::Logits step(std::span<const std::int64_t> tokens, std::int64_t width) override;
  void gather(std::span<const std::int32_t> parents) override;
  void compact(std::span<const std::int32_t> images) override;

  std::int64_t steps() const { return steps_; }

 private:
  // What one run of a graph is fed: tokens [rows, width], after `past` tokens that the caches hold.
  struct Fed {
    std::span<const std::int64_t> tokens;
    std::int64_t width;
    std::int64_t past;
  };

  void move_rows();
  void remember(std::span<const std::int64_t> tokens, std::int64_t width);
  search::Logits run(const Fed& fed);
  Tensor make_input(ElementType type, Meaning meaning, const Fed& fed) const;
  void keep(const Graph& graph, std::size_t output, Tensor value);
  void forget_first();
  search::Logits last_logits(const Session& session, std::int64_t width);

  const Graphs& graphs_;
  RowMap rows_;
  std::vector<Tensor> states_;         // one for each of graphs_.states
  std::int64_t encoder_length_ = 0;    // of the encoder's hidden states [images, length, width]
  std::int64_t past_ = 0;              // tokens fed so far, to each row
  std::vector<std::int64_t> history_;  // [rows, past_] where there are no caches; else empty
  std::int64_t steps_ = 0;
  Tensor logits_;                      // as the graph gave them
  std::vector<float> last_;            // [rows, vocab], where logits_ holds more than that, or float16
  std::int64_t vocab_ = 0;
};

}  // namespace beamcap::runtime
