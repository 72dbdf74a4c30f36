// The entry of the search: picks the search by the options.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "search/decoder.h"
#include "search/hypothesis.h"
#include "search/options.h"

namespace beamcap::search {

// Searches captions for `images` images whose state `decoder` holds (one row an image, nothing fed yet). prompt: [P]
// ids, the start token first, the same for every image. Returns one result an image, in order; an image's result does
// not depend on the others. image_seeds: [images], what each image's random numbers come from alone; given if and only if
// options.do_sample. Throws std::invalid_argument for bad options or arguments, std::runtime_error if the decoder breaks
// its contract, and whatever the decoder throws.
std::vector<ImageResult> search(Decoder& decoder, std::int64_t images, std::span<const std::int64_t> prompt,
                                const Options& options, std::span<const std::uint64_t> image_seeds = {});

}  // namespace beamcap::search
