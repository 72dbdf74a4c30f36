#include "search/softmax.h"

#include "search/exp.h"

namespace beamcap::search {

void exponentials(std::span<const float> scores, float max, std::vector<float>& weights) {
  weights.resize(scores.size());
  for (std::size_t i = 0; i < scores.size(); ++i) {
    const float x = scores[i] - max;
    const float bounded = x > kLeastExponent ? x : kLeastExponent;
    weights[i] = x > kLeastExponent ? exp_nonpositive(bounded) : 0.0f;
  }
}

}  // namespace beamcap::search
