// Beam search, as transformers' generate() does it.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "search/decoder.h"
#include "search/hypothesis.h"
#include "search/options.h"

namespace beamcap::search {

// As search(), for valid options with num_beams > 1. The processors act on log-probabilities.
std::vector<ImageResult> beam_search(Decoder& decoder, std::int64_t images, std::span<const std::int64_t> prompt,
                                     const Options& options);

}  // namespace beamcap::search
