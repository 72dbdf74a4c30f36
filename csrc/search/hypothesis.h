// What a search returns.
#pragma once

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

namespace beamcap::search {

enum class FinishReason { kEos, kStopString, kLength };

struct Hypothesis {
  std::vector<std::int64_t> tokens;    // generated ones, with the EOS that ended them, without the prompt
  std::vector<float> token_log_probs;  // [tokens]: log-softmax of the model's raw logits; see log_probability()
  double score = 0.0;
  FinishReason finish_reason = FinishReason::kLength;
};

// Of one image: its hypotheses, best first (of sampling with one beam: in the order of their random streams), or why it has
// none (a model that gives NaN). They are num_return_sequences; fewer where bans and impossible tokens leave no more. An
// error of one image leaves the others of its batch alone.
struct ImageResult {
  std::vector<Hypothesis> hypotheses;
  std::string error;  // empty = none
};

// What a sum of log-probabilities is divided by for its score. length: generated tokens, EOS included.
inline float length_divisor(std::int64_t length, double length_penalty) {
  return static_cast<float>(std::pow(static_cast<double>(length), length_penalty));
}

}  // namespace beamcap::search
