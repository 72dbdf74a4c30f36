#include "search/step.h"

#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

namespace beamcap::search {

Logits Stepper::first(std::span<const std::int64_t> prompt, std::int64_t images) {
  std::vector<std::int64_t> tokens;
  tokens.reserve(prompt.size() * static_cast<std::size_t>(images));
  for (std::int64_t image = 0; image < images; ++image) tokens.insert(tokens.end(), prompt.begin(), prompt.end());
  const Logits logits = step(tokens, static_cast<std::int64_t>(prompt.size()));
  vocab_ = logits.vocab;
  options_.validate_vocab(vocab_);
  return logits;
}

Logits Stepper::next(std::span<const std::int64_t> tokens) {
  const Logits logits = step(tokens, 1);
  if (logits.vocab != vocab_) {
    throw std::runtime_error("the decoder gave logits of " + std::to_string(logits.vocab) + " tokens after logits of " +
                             std::to_string(vocab_));
  }
  return logits;
}

Logits Stepper::step(std::span<const std::int64_t> tokens, std::int64_t width) {
  const Logits logits = decoder_.step(tokens, width);
  const auto rows = static_cast<std::int64_t>(tokens.size()) / width;
  // Beams * vocabulary must be countable; 2^31 tokens are beyond any model.
  if (logits.vocab < 1 || logits.vocab > std::numeric_limits<std::int32_t>::max() ||
      logits.values.size() != static_cast<std::size_t>(rows * logits.vocab)) {
    throw std::runtime_error("the decoder gave " + std::to_string(logits.values.size()) + " logits for " +
                             std::to_string(rows) + " rows and a vocabulary of " + std::to_string(logits.vocab));
  }
  return logits;
}

}  // namespace beamcap::search
