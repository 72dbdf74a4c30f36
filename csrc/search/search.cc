#include "search/search.h"

#include <limits>
#include <stdexcept>
#include <string>

#include "search/beam.h"
#include "search/one_beam.h"

namespace beamcap::search {

std::vector<ImageResult> search(Decoder& decoder, std::int64_t images, std::span<const std::int64_t> prompt,
                                const Options& options, std::span<const std::uint64_t> image_seeds) {
  options.validate(prompt);
  // Rows are counted in int32.
  const std::int64_t most = std::numeric_limits<std::int32_t>::max() / options.rows_per_image();
  if (images < 0 || images > most) {
    throw std::invalid_argument("images is " + std::to_string(images) + ", but must be from 0 to " +
                                std::to_string(most) + " with " + std::to_string(options.rows_per_image()) +
                                " rows an image");
  }
  const std::size_t seeds = options.do_sample ? static_cast<std::size_t>(images) : 0;
  if (image_seeds.size() != seeds) {
    throw std::invalid_argument("image_seeds holds " + std::to_string(image_seeds.size()) + " seeds, but must hold " +
                                (options.do_sample ? "one an image, " + std::to_string(seeds) : "none without do_sample"));
  }
  if (images == 0) return {};
  return options.num_beams == 1 ? one_beam_search(decoder, images, prompt, options, image_seeds)
                                : beam_search(decoder, images, prompt, options, image_seeds);
}

}  // namespace beamcap::search
