// How to search: the resolved options of one call. Names and meaning are those of transformers' GenerationConfig.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace beamcap::search {

// Bounds on what one call may ask for: far beyond any caption, small enough that no typing error runs for days.
inline constexpr std::int64_t kMaxLength = 65'536;
inline constexpr std::int64_t kMaxBeams = 4'096;

enum class EarlyStopping {
  kHeuristic,  // False: stop when the best live beam cannot win at its present length
  kWhenFull,   // True: stop when num_beams hypotheses are finished
  kNever,      // "never": stop when no live beam can win at any length
};

struct Options {
  std::int64_t num_beams = 1;
  std::int64_t num_return_sequences = 1;
  std::int64_t max_length = 20;     // prompt included (L)
  std::int64_t min_length = 0;      // prompt included; 0 = off
  std::int64_t min_new_tokens = 0;  // 0 = off
  double length_penalty = 1.0;
  EarlyStopping early_stopping = EarlyStopping::kHeuristic;
  double repetition_penalty = 1.0;
  std::int64_t no_repeat_ngram_size = 0;  // 0 = off
  std::vector<std::int64_t> eos_token_ids;

  // Both throw std::invalid_argument that names the option, what was given and what is allowed. The first is for before
  // any work; the second for when the first logits have told how many tokens the model knows.
  void validate(std::span<const std::int64_t> prompt) const;
  void validate_vocab(std::int64_t vocab) const;

  bool is_eos(std::int64_t token) const;
};

}  // namespace beamcap::search
