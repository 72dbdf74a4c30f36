// What a search returns.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace beamcap::search {

enum class FinishReason { kEos, kLength };

struct Hypothesis {
  std::vector<std::int64_t> tokens;  // generated ones, with the EOS that ended them, without the prompt
  double score = 0.0;
  FinishReason finish_reason = FinishReason::kLength;
};

// Of one image: its hypotheses, best first, or why it has none (a model that gives NaN). An error of one image leaves the
// others of its batch alone.
struct ImageResult {
  std::vector<Hypothesis> hypotheses;
  std::string error;  // empty = none
};

}  // namespace beamcap::search
