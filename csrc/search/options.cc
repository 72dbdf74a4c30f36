#include "search/options.h"

#include <algorithm>
#include <cmath>
#include <sstream>
#include <stdexcept>
#include <string_view>

#include "search/hypothesis.h"

namespace beamcap::search {
namespace {

template <typename Value>
void require(bool allowed, std::string_view option, const Value& given, std::string_view rule) {
  if (allowed) return;
  std::ostringstream message;
  message << option << " is " << given << ", but " << rule;
  throw std::invalid_argument(message.str());
}

void require_range(std::string_view option, std::int64_t given, std::int64_t least, std::int64_t most) {
  std::ostringstream rule;
  rule << "must be from " << least << " to " << most;
  require(least <= given && given <= most, option, given, rule.str());
}

}  // namespace

void Options::validate(std::span<const std::int64_t> prompt) const {
  const auto prompt_length = static_cast<std::int64_t>(prompt.size());
  if (prompt.empty()) {
    throw std::invalid_argument("prompt is empty, but must hold at least the model's start token");
  }
  for (const std::int64_t token : prompt) require(token >= 0, "a prompt token", token, "token ids are not negative");
  for (const std::int64_t token : eos_token_ids) {
    require(token >= 0, "a token of eos_token_ids", token, "token ids are not negative");
  }

  require_range("num_beams", num_beams, 1, kMaxBeams);
  require_range("num_return_sequences", num_return_sequences, 1, num_beams);
  require_range("max_length", max_length, 1, kMaxLength);
  require(max_length > prompt_length, "max_length", max_length,
          "counts the prompt of " + std::to_string(prompt_length) + " tokens and must be greater than that");
  require_range("min_length", min_length, 0, kMaxLength);
  require_range("min_new_tokens", min_new_tokens, 0, kMaxLength);
  require_range("no_repeat_ngram_size", no_repeat_ngram_size, 0, kMaxLength);

  const auto penalty = static_cast<float>(repetition_penalty);
  require(std::isnormal(penalty) && penalty > 0, "repetition_penalty", repetition_penalty,
          "must be a finite number above 0 (1 = off)");
  require(std::isfinite(length_penalty) && std::isnormal(length_divisor(max_length - prompt_length, length_penalty)),
          "length_penalty", length_penalty,
          "must be a finite number so small that (generated tokens)**length_penalty fits in a float32");
}

void Options::validate_vocab(std::int64_t vocab) const {
  const std::string rule = "the model knows the tokens 0 to " + std::to_string(vocab - 1);
  for (const std::int64_t token : eos_token_ids) require(token < vocab, "a token of eos_token_ids", token, rule);

  // Beam search keeps that many candidates a beam: enough that some of them do not stop.
  const std::int64_t least = std::max<std::int64_t>(2, 1 + static_cast<std::int64_t>(eos_token_ids.size()));
  if (num_beams > 1 && vocab < least) {
    throw std::invalid_argument("num_beams is " + std::to_string(num_beams) + ", but with " +
                                std::to_string(eos_token_ids.size()) + " eos_token_ids beam search needs at least " +
                                std::to_string(least) + " tokens and the model knows " + std::to_string(vocab) +
                                "; use num_beams 1");
  }
}

bool Options::is_eos(std::int64_t token) const {
  return std::find(eos_token_ids.begin(), eos_token_ids.end(), token) != eos_token_ids.end();
}

}  // namespace beamcap::search
