#include "search/search.h"

#include <limits>
#include <stdexcept>
#include <string>

#include "search/beam.h"
#include "search/greedy.h"

namespace beamcap::search {

std::vector<ImageResult> search(Decoder& decoder, std::int64_t images, std::span<const std::int64_t> prompt,
                                const Options& options) {
  options.validate(prompt);
  // Rows are counted in int32.
  const std::int64_t most = std::numeric_limits<std::int32_t>::max() / options.num_beams;
  if (images < 0 || images > most) {
    throw std::invalid_argument("images is " + std::to_string(images) + ", but must be from 0 to " +
                                std::to_string(most) + " with num_beams " + std::to_string(options.num_beams));
  }
  if (images == 0) return {};
  return options.num_beams == 1 ? greedy_search(decoder, images, prompt, options)
                                : beam_search(decoder, images, prompt, options);
}

}  // namespace beamcap::search
