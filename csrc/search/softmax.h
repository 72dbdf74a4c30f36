// The probabilities of a row of scores.
#pragma once

#include <span>
#include <vector>

namespace beamcap::search {

// exp(score - max) of each score; exactly 0 where that is below float32's normal numbers, so for -inf. The same bits on
// every machine. max: the greatest of scores, not +inf; where it is -inf, every weight is 0. weights: resized to scores.
void exponentials(std::span<const float> scores, float max, std::vector<float>& weights);

}  // namespace beamcap::search
