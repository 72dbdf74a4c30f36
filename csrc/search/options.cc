#include "search/options.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>

#include "search/hypothesis.h"

namespace beamcap::search {
namespace {

template <typename Value>
void require(bool allowed, std::string_view option, const Value& given, std::string_view rule) {
  if (allowed) return;
  std::ostringstream message;
  message.precision(9);  // so that no float32 is shown as its neighbour
  message << option << " is " << given << ", but " << rule;
  throw std::invalid_argument(message.str());
}

void require_range(std::string_view option, std::int64_t given, std::int64_t least, std::int64_t most) {
  std::ostringstream rule;
  rule << "must be from " << least << " to " << most;
  require(least <= given && given <= most, option, given, rule.str());
}

// Calls check(name of the option, token) for every token that the options name.
template <typename Check>
void for_each_token(const Options& options, Check check) {
  const auto check_all = [&](std::string_view option, const std::vector<std::int64_t>& tokens) {
    for (const std::int64_t token : tokens) check("a token of " + std::string(option), token);
  };
  check_all("eos_token_ids", options.eos_token_ids);
  for (const SequenceBias& sequence : options.sequence_bias) check_all("sequence_bias", sequence.tokens);
  for (const std::vector<std::int64_t>& word : options.bad_words_ids) check_all("bad_words_ids", word);
  if (options.forced_bos_token_id) check("forced_bos_token_id", *options.forced_bos_token_id);
  check_all("forced_eos_token_ids", options.forced_eos_token_ids);
  check_all("suppress_tokens", options.suppress_tokens);
  check_all("begin_suppress_tokens", options.begin_suppress_tokens);
}

bool is_positive_float(double value) {
  const auto rounded = static_cast<float>(value);
  return std::isnormal(rounded) && rounded > 0;
}

void validate_lengths(const Options& options, std::int64_t prompt_length) {
  require_range("num_beams", options.num_beams, 1, kMaxBeams);
  const bool independent = options.do_sample && options.num_beams == 1;
  require_range("num_return_sequences", options.num_return_sequences, 1, independent ? kMaxBeams : options.num_beams);
  require_range("max_length", options.max_length, 1, kMaxLength);
  require(options.max_length > prompt_length, "max_length", options.max_length,
          "counts the prompt of " + std::to_string(prompt_length) + " tokens and must be greater than that");
  require_range("min_length", options.min_length, 0, kMaxLength);
  require_range("min_new_tokens", options.min_new_tokens, 0, kMaxLength);
  const double penalty = options.length_penalty;
  require(std::isfinite(penalty) && std::isnormal(length_divisor(options.max_length - prompt_length, penalty)),
          "length_penalty", penalty,
          "must be a finite number so near 0 that (generated tokens)**length_penalty is a normal float32");
}

void validate_decay(const Options& options, std::int64_t prompt_length) {
  if (!options.exponential_decay_length_penalty) return;
  const auto [start, factor] = *options.exponential_decay_length_penalty;
  if (options.eos_token_ids.empty()) {
    throw std::invalid_argument("exponential_decay_length_penalty is set, but makes EOS likelier and there are no "
                                "eos_token_ids");
  }
  require_range("the start of exponential_decay_length_penalty", start, -kMaxLength, kMaxLength);
  const std::int64_t most = std::max<std::int64_t>(options.max_length - 1 - prompt_length - start, 1);
  require(std::isfinite(static_cast<float>(std::pow(factor, static_cast<double>(most)))),
          "the factor of exponential_decay_length_penalty", factor,
          "must be a finite number so small that factor**" + std::to_string(most) + " fits in a float32");
}

void validate_sequences(const Options& options) {
  std::set<std::vector<std::int64_t>> seen;
  for (const SequenceBias& sequence : options.sequence_bias) {
    if (sequence.tokens.empty()) {
      throw std::invalid_argument("sequence_bias holds an empty sequence, but a bias is for at least one token");
    }
    require(static_cast<float>(sequence.bias) < std::numeric_limits<float>::infinity(), "a bias of sequence_bias",
            sequence.bias, "must be a float32 below +inf (-inf bans)");
    if (!seen.insert(sequence.tokens).second) {
      throw std::invalid_argument("sequence_bias gives the same sequence two biases");
    }
  }
  for (const std::vector<std::int64_t>& word : options.bad_words_ids) {
    if (word.empty()) throw std::invalid_argument("bad_words_ids holds an empty word, but must hold tokens");
  }
}

void validate_warpers(const Options& options) {
  require(is_positive_float(options.temperature), "temperature", options.temperature,
          "must be a normal float32 above 0 (1 = off)");
  require_range("top_k", options.top_k, 0, std::numeric_limits<std::int32_t>::max());
  require(0 <= options.top_p && options.top_p <= 1, "top_p", options.top_p, "must be from 0 to 1 (1 = off)");
  require(0 <= options.min_p && options.min_p <= 1, "min_p", options.min_p, "must be from 0 to 1 (0 = off)");
  require(0 < options.typical_p && options.typical_p <= 1, "typical_p", options.typical_p,
          "must be above 0 and at most 1 (1 = off)");
  const auto require_cutoff = [](std::string_view option, double cutoff) {
    require(0 <= cutoff && cutoff < 1, option, cutoff, "must be at least 0 and below 1 (0 = off)");
  };
  require_cutoff("epsilon_cutoff", options.epsilon_cutoff);
  require_cutoff("eta_cutoff", options.eta_cutoff);
}

}  // namespace

void Options::validate(std::span<const std::int64_t> prompt) const {
  if (prompt.empty()) {
    throw std::invalid_argument("prompt is empty, but must hold at least the model's start token");
  }
  const auto require_token = [](std::string_view name, std::int64_t token) {
    require(token >= 0, name, token, "token ids are not negative");
  };
  for (const std::int64_t token : prompt) require_token("a prompt token", token);
  for_each_token(*this, require_token);

  const auto prompt_length = static_cast<std::int64_t>(prompt.size());
  validate_lengths(*this, prompt_length);
  require(is_positive_float(repetition_penalty), "repetition_penalty", repetition_penalty,
          "must be a normal float32 above 0 (1 = off)");
  require_range("no_repeat_ngram_size", no_repeat_ngram_size, 0, kMaxLength);
  validate_sequences(*this);
  validate_decay(*this, prompt_length);
  validate_warpers(*this);
}

void Options::validate_vocab(std::int64_t vocab) const {
  const std::string rule = "the model knows the tokens 0 to " + std::to_string(vocab - 1);
  for_each_token(*this, [&](std::string_view name, std::int64_t token) { require(token < vocab, name, token, rule); });

  if (num_beams > 1 && vocab < candidates_per_beam()) {
    throw std::invalid_argument("num_beams is " + std::to_string(num_beams) + ", but with " +
                                std::to_string(eos_token_ids.size()) + " eos_token_ids beam search needs at least " +
                                std::to_string(candidates_per_beam()) + " tokens and the model knows " +
                                std::to_string(vocab) + "; use num_beams 1");
  }
}

bool Options::is_eos(std::int64_t token) const {
  return std::find(eos_token_ids.begin(), eos_token_ids.end(), token) != eos_token_ids.end();
}

std::int64_t Options::candidates_per_beam() const {
  return std::max<std::int64_t>(2, 1 + static_cast<std::int64_t>(eos_token_ids.size()));
}

}  // namespace beamcap::search
