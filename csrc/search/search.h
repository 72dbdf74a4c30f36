// The entry of the search: picks greedy or beam search by the options.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "search/decoder.h"
#include "search/hypothesis.h"
#include "search/options.h"

namespace beamcap::search {

// Searches captions for `images` images whose state `decoder` holds (one row an image, nothing fed yet). prompt: [P] ids,
// the start token first, the same for every image. Returns one result an image, in order.
std::vector<ImageResult> search(Decoder& decoder, std::int64_t images, std::span<const std::int64_t> prompt,
                                const Options& options);

}  // namespace beamcap::search
