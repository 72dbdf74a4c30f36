// Greedy search: the best token at every step, one row an image.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "search/decoder.h"
#include "search/hypothesis.h"
#include "search/options.h"

namespace beamcap::search {

// As search(), for valid options with num_beams 1. The processors act on raw logits. The score is ours, for the
// reference has none: the sum of log-softmax(raw logits) of the generated tokens, EOS included, divided by (number of
// them)**length_penalty.
std::vector<ImageResult> greedy_search(Decoder& decoder, std::int64_t images, std::span<const std::int64_t> prompt,
                                       const Options& options);

}  // namespace beamcap::search
