// What the search needs of a row of logits, in one pass over the vocabulary: its log-softmax (as two numbers, never
// written out) and the maxima of its blocks, by which a search for the best tokens skips nearly all of the row.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace beamcap::search {

// Logit -> score: log-probability, or the raw logit where both numbers are 0. In float32 and in this order, as torch's
// log_softmax computes it.
struct Normalizer {
  float max = 0.0f;
  float log_sum = 0.0f;

  float operator()(float logit) const { return (logit - max) - log_sum; }
};

inline constexpr std::size_t kBlock = 256;  // tokens

struct RowSummary {
  Normalizer log_softmax;
  std::vector<float> block_max;  // [ceil(vocab / kBlock)]
  std::vector<float> block_sum;  // the same: sum of exp(logit - block_max)
  bool has_nan = false;

  // Why no token can be chosen from this row; empty if one can. A single -inf is only an impossible token.
  std::string fault() const;
};

// Depends on this row alone, bit by bit. logits: [vocab], vocab >= 1. Reuses the summary's memory. log_softmax is
// meaningless if the row has a fault.
void summarize(std::span<const float> logits, RowSummary& summary);

}  // namespace beamcap::search
