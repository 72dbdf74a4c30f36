// One call of the decoder, with what it returns checked.
#pragma once

#include <cstdint>
#include <span>

#include "search/decoder.h"
#include "search/options.h"

namespace beamcap::search {

class Stepper {
 public:
  // Both must outlive this.
  Stepper(Decoder& decoder, const Options& options) : decoder_(decoder), options_(options) {}

  // The first step: the prompt [P], the same for every image. Returns [images, vocab]. Throws std::invalid_argument
  // where the options do not suit the vocabulary, and std::runtime_error where the decoder does not keep its contract.
  Logits first(std::span<const std::int64_t> prompt, std::int64_t images);

  // Every later step: tokens [rows]. Returns [rows, vocab]. Throws as above.
  Logits next(std::span<const std::int64_t> tokens);

 private:
  Logits step(std::span<const std::int64_t> tokens, std::int64_t width);

  Decoder& decoder_;
  const Options& options_;
  std::int64_t vocab_ = 0;  // 0 = before the first step
};

}  // namespace beamcap::search
