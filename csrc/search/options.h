// How to search: the resolved options of one call. Names and meaning are those of transformers' GenerationConfig.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "search/stop_strings.h"

namespace beamcap::search {

// Bounds on what one call may ask for: far beyond any caption, small enough that no typing error runs for days.
inline constexpr std::int64_t kMaxLength = 65'536;
inline constexpr std::int64_t kMaxBeams = 4'096;

enum class EarlyStopping {
  kHeuristic,  // False: stop when the best live beam cannot win at its present length
  kWhenFull,   // True: stop when num_beams hypotheses are finished
  kNever,      // "never": stop when no live beam can win at any length
};

// A bias for the last of some tokens where the others precede it.
struct SequenceBias {
  std::vector<std::int64_t> tokens;
  double bias = 0.0;

  bool operator==(const SequenceBias&) const = default;
};

// With n > start generated tokens, the score of EOS grows by |score| * (factor**(n - start) - 1).
struct ExponentialDecay {
  std::int64_t start = 0;
  double factor = 1.0;
};

struct Options {
  std::int64_t num_beams = 1;
  std::int64_t num_return_sequences = 1;
  std::int64_t max_length = 20;     // prompt included (L)
  std::int64_t min_length = 0;      // prompt included; 0 = off
  std::int64_t min_new_tokens = 0;  // 0 = off
  double length_penalty = 1.0;
  EarlyStopping early_stopping = EarlyStopping::kHeuristic;
  std::vector<std::int64_t> eos_token_ids;
  std::shared_ptr<const StopStrings> stop_strings;  // null = off

  // Rules for the scores; an empty list = off.
  std::vector<SequenceBias> sequence_bias;
  double repetition_penalty = 1.0;
  std::int64_t no_repeat_ngram_size = 0;  // 0 = off
  std::vector<std::vector<std::int64_t>> bad_words_ids;
  std::optional<std::int64_t> forced_bos_token_id;
  std::vector<std::int64_t> forced_eos_token_ids;
  bool remove_invalid_values = false;
  std::optional<ExponentialDecay> exponential_decay_length_penalty;
  std::vector<std::int64_t> suppress_tokens;
  std::vector<std::int64_t> begin_suppress_tokens;
  bool renormalize_logits = false;

  // Sampling; without do_sample the rest is not looked at, as in the reference.
  bool do_sample = false;
  double temperature = 1.0;
  std::int64_t top_k = 0;  // 0 = off
  double top_p = 1.0;
  double min_p = 0.0;
  double typical_p = 1.0;
  double epsilon_cutoff = 0.0;
  double eta_cutoff = 0.0;

  // Both throw std::invalid_argument that names the option, what was given and what is allowed. The first is for before
  // any work; the second for when the first logits have told how many tokens the model knows.
  void validate(std::span<const std::int64_t> prompt) const;
  void validate_vocab(std::int64_t vocab) const;

  bool is_eos(std::int64_t token) const;

  // Rows of the decoder that an image grows to after the first step.
  std::int64_t rows_per_image() const { return num_beams > 1 ? num_beams : num_return_sequences; }

  // Candidates a beam of beam search, and the tokens that no warper drops: enough that some of them do not stop.
  std::int64_t candidates_per_beam() const;
};

}  // namespace beamcap::search
