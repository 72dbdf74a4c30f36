#include "search/row_scorer.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace beamcap::search {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

}  // namespace

RowScorer::RowScorer(const Options& options, std::int64_t prompt_length)
    : options_(options), processors_(options, prompt_length) {}

std::string RowScorer::score(std::span<const float> logits, std::span<const std::int64_t> tokens) {
  summarize(logits, raw_);
  const std::string fault = raw_.fault();
  if (!fault.empty() && !options_.remove_invalid_values) return fault;
  // The log-softmax of a row that holds NaN or +inf is NaN.
  log_softmax_ = fault.empty() ? raw_.log_softmax : Normalizer{kNan, 0.0f};
  scores_.reset(logits, options_.num_beams > 1 ? log_softmax_ : Normalizer{});
  processors_.process(tokens, scores_);
  return fault_of_changes();
}

std::string RowScorer::fault_of_changes() {
  bool sound = true;
  if (scores_.is_dense()) {
    summarize(scores_.logits(), changed_);
    sound = !changed_.has_nan && changed_.log_softmax.max < kInfinity;
  }
  const auto edits = scores_.edits();
  sound = sound && std::all_of(edits.begin(), edits.end(), [](const auto& edit) { return edit.score < kInfinity; });
  if (sound) return {};
  return "the options make the score of a token +inf or NaN: the biases or penalties are too great for float32";
}

float log_probability(float logit, Normalizer log_softmax) {
  const float value = log_softmax(logit);
  return value > std::numeric_limits<float>::lowest() ? value : std::numeric_limits<float>::lowest();
}

}  // namespace beamcap::search
