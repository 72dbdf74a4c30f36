// The loop of every search: steps the decoder with the rows of a batch of images until the last image is finished.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "search/decoder.h"
#include "search/hypothesis.h"
#include "search/options.h"
#include "search/step.h"

namespace beamcap::search {

// Whether any row leaves its place. parents: the old row of each new one.
inline bool moves(std::span<const std::int32_t> parents, std::size_t rows) {
  if (parents.size() != rows) return true;
  for (std::size_t row = 0; row < rows; ++row) {
    if (parents[row] != static_cast<std::int32_t>(row)) return true;
  }
  return false;
}

// As search(), for valid arguments. Search is made of (prompt, options) and defines
//   Image                       what it holds of an image, with `index`, its place in the results
//   start(index, seed) -> Image
//   rows_per_image()            rows of the present step's logits an image
//   advance(logits, first_row, image, result) -> bool: takes one step; false if it has filled the image's result
//   append_rows(image, first_row, parents, tokens): the rows that the image goes on with, if its rows began at first_row
//   lengthen()                  the next step begins
template <typename Search>
std::vector<ImageResult> search_batch(Decoder& decoder, std::int64_t images, std::span<const std::int64_t> prompt,
                                      const Options& options, std::span<const std::uint64_t> image_seeds) {
  Stepper stepper(decoder, options);
  // Before any memory for the images: a decoder that has not so many fails here.
  Logits logits = stepper.first(prompt, images);
  std::vector<ImageResult> results(static_cast<std::size_t>(images));
  Search search(prompt, options);
  std::vector<typename Search::Image> batch;
  for (std::size_t index = 0; index < results.size(); ++index) {
    batch.push_back(search.start(index, options.do_sample ? image_seeds[index] : 0));
  }
  std::vector<std::int32_t> kept;     // images of the last step that go on
  std::vector<std::int32_t> parents;  // [kept * rows an image of the next step]
  std::vector<std::int64_t> tokens;   // the same
  while (true) {
    kept.clear();
    parents.clear();
    tokens.clear();
    const std::size_t rows_per_image = search.rows_per_image();
    for (std::size_t i = 0; i < batch.size(); ++i) {
      auto& image = batch[i];
      if (!search.advance(logits, static_cast<std::int64_t>(i * rows_per_image), image, results[image.index])) continue;
      search.append_rows(image, static_cast<std::int32_t>(kept.size() * rows_per_image), parents, tokens);
      if (kept.size() < i) batch[kept.size()] = std::move(image);
      kept.push_back(static_cast<std::int32_t>(i));
    }
    if (kept.empty()) return results;
    if (kept.size() < batch.size()) decoder.compact(kept);
    batch.erase(batch.begin() + static_cast<std::ptrdiff_t>(kept.size()), batch.end());
    if (moves(parents, kept.size() * rows_per_image)) decoder.gather(parents);
    search.lengthen();
    logits = stepper.next(tokens);
  }
}

}  // namespace beamcap::search
