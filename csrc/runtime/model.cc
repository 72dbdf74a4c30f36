#include "runtime/model.h"

#include <chrono>
#include <stdexcept>
#include <string>
#include <utility>

#include "runtime/step_decoder.h"
#include "search/search.h"

namespace beamcap::runtime {
namespace {

using Clock = std::chrono::steady_clock;

double milliseconds_since(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

const SessionConfig& checked(const SessionConfig& config) {
  if (config.intra_op_threads < 1) {
    throw std::invalid_argument("intra_op_threads=" + std::to_string(config.intra_op_threads) + ": it must be >= 1");
  }
  return config;
}

void check_vocab(std::span<const std::int64_t> prompt, const search::Options& options, std::int64_t vocab) {
  options.validate_vocab(vocab);
  for (const std::int64_t token : prompt) {
    if (token >= vocab) {
      throw std::invalid_argument("the prompt's token " + std::to_string(token) + " is not in the vocabulary of " +
                                  std::to_string(vocab));
    }
  }
}

}  // namespace

Model::Model(const BundleFiles& files, const SessionConfig& config) : graphs_(Graphs::load(files, checked(config))) {}

Encoded Model::encode(const Tensor& pixel_values) const { return runtime::encode(graphs_, pixel_values); }

Generated Model::generate(const Tensor& pixel_values, std::span<const std::int64_t> prompt,
                          const search::Options& options, std::span<const std::uint64_t> image_seeds) const {
  options.validate(prompt);
  if (graphs_.vocab) check_vocab(prompt, options, *graphs_.vocab);
  Generated generated;
  const Clock::time_point start = Clock::now();
  Encoded encoded = encode(pixel_values);
  generated.encode_ms = milliseconds_since(start);

  const Clock::time_point encoded_at = Clock::now();
  const std::int64_t images = encoded.images;
  StepDecoder decoder(graphs_, std::move(encoded));
  generated.results = search::search(decoder, images, prompt, options, image_seeds);
  generated.search_ms = milliseconds_since(encoded_at);
  generated.steps = decoder.steps();
  return generated;
}

}  // namespace beamcap::runtime
