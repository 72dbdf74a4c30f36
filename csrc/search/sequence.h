// A row of the decoder as the search follows it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "search/hypothesis.h"

namespace beamcap::search {

struct Sequence {
  std::vector<std::int64_t> tokens;  // prompt included
  std::vector<float> log_probs;      // of the generated tokens: see Hypothesis::token_log_probs

  void append(std::int64_t token, float log_prob) {
    tokens.push_back(token);
    log_probs.push_back(log_prob);
  }

  // Of a sequence that stopped.
  Hypothesis hypothesis(double score, FinishReason reason) const {
    const auto generated = static_cast<std::ptrdiff_t>(log_probs.size());
    return {{tokens.end() - generated, tokens.end()}, log_probs, score, reason};
  }
};

}  // namespace beamcap::search
