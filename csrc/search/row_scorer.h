// From a row of logits to the scores that the search chooses a token by.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "search/log_softmax.h"
#include "search/options.h"
#include "search/processors.h"
#include "search/row_scores.h"

namespace beamcap::search {

// Of one search; holds one row at a time.
class RowScorer {
 public:
  // The processors act on log-probabilities in beam search, on raw logits otherwise. `options` must outlive this.
  RowScorer(const Options& options, std::int64_t prompt_length);

  // Scores a row. logits: [vocab], must outlive the use of scores(). tokens: what the row holds so far, prompt included.
  // Returns why no token can be chosen from it; empty if one can. After that no score is NaN or +inf, but every token
  // may be banned.
  std::string score(std::span<const float> logits, std::span<const std::int64_t> tokens);

  RowScores& scores() { return scores_; }

  // Of scores().logits(), by kBlock.
  std::span<const float> block_max() const { return scores_.is_dense() ? changed_.block_max : raw_.block_max; }

  // What log_probability() takes for the row.
  Normalizer log_softmax() const { return log_softmax_; }

 private:
  std::string fault_of_changes();

  const Options& options_;
  Processors processors_;
  RowSummary raw_;          // of the logits
  RowSummary changed_;      // of the dense scores, where there are some
  Normalizer log_softmax_;  // of the logits
  RowScores scores_;
};

// The log-probability of a token for the caller, by its raw logit. Where the model gave it none (-inf, or a row with NaN
// or +inf, which remove_invalid_values lets pass) it is the least float32, so that it stays a number.
float log_probability(float logit, Normalizer log_softmax);

}  // namespace beamcap::search
