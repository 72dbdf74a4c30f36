// Greedy search and sampling with one beam: each sequence goes its own way, a token a step.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "search/decoder.h"
#include "search/hypothesis.h"
#include "search/options.h"

namespace beamcap::search {

// As search(), for valid arguments with num_beams 1. The processors act on raw logits. Greedy takes the best token, the
// smaller id among equals. Sampling draws from the softmax of the scores; each of an image's num_return_sequences has a
// random stream of its own, so the first of them do not depend on how many follow. One that comes to where every token
// is banned is left out. The score is ours, for the reference has none: the sum of token_log_probs / (number of
// them)**length_penalty.
std::vector<ImageResult> one_beam_search(Decoder& decoder, std::int64_t images, std::span<const std::int64_t> prompt,
                                         const Options& options, std::span<const std::uint64_t> image_seeds);

}  // namespace beamcap::search
