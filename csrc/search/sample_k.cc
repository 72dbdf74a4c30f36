#include "search/sample_k.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "search/softmax.h"

namespace beamcap::search {
namespace {

// The place where the running sum of weights first exceeds `target`, and the sum before it. Where rounding leaves the
// whole sum no greater than the target, the last place of a weight above 0.
template <typename Weight>
std::size_t place_of(std::span<const Weight> weights, double& target) {
  std::size_t last = 0;
  double before_last = 0.0;
  double sum = 0.0;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    if (!(weights[i] > 0)) continue;
    last = i;
    before_last = sum;
    sum += weights[i];
    if (sum > target) break;
  }
  target -= before_last;
  return last;
}

}  // namespace

void SampleK::reset(std::size_t k) {
  k_ = k;
  scores_.clear();
  drawn_.clear();
}

void SampleK::offer_row(RowScores& row, float offset) {
  for (const float score : row.dense()) scores_.push_back(score + offset);
}

std::span<const TopK::Entry> SampleK::drawn(Random& random) {
  weigh();
  const std::size_t count = std::min(k_, scores_.size());
  while (drawn_.size() < count) {
    const double total = std::accumulate(block_sums_.begin(), block_sums_.end(), 0.0);
    if (!(total > 0)) break;
    const std::size_t index = draw(random.uniform() * total);
    drawn_.push_back({scores_[index], static_cast<std::int64_t>(index)});
    scores_[index] = std::numeric_limits<float>::quiet_NaN();
    weights_[index] = 0.0f;
    block_sums_[index / kBlock] = sum_of(index / kBlock);
  }
  if (drawn_.size() < count) add_best_of_rest(count - drawn_.size());
  return drawn_;
}

void SampleK::weigh() {
  exponentials(scores_, *std::max_element(scores_.begin(), scores_.end()), weights_);
  block_sums_.resize((weights_.size() + kBlock - 1) / kBlock);
  for (std::size_t block = 0; block < block_sums_.size(); ++block) block_sums_[block] = sum_of(block);
}

std::span<const float> SampleK::block(std::size_t index) const {
  const std::span<const float> rest = std::span<const float>(weights_).subspan(index * kBlock);
  return rest.first(std::min(kBlock, rest.size()));
}

double SampleK::sum_of(std::size_t index) const {
  const std::span<const float> weights = block(index);
  return std::accumulate(weights.begin(), weights.end(), 0.0);
}

std::size_t SampleK::draw(double target) const {
  const std::size_t index = place_of(std::span<const double>(block_sums_), target);
  return index * kBlock + place_of(block(index), target);
}

void SampleK::add_best_of_rest(std::size_t count) {
  rest_.reset(count);
  for (std::size_t i = 0; i < scores_.size(); ++i) {
    if (!std::isnan(scores_[i])) rest_.offer({scores_[i], static_cast<std::int64_t>(i)});
  }
  const std::span<const TopK::Entry> best = rest_.sorted();
  drawn_.insert(drawn_.end(), best.begin(), best.end());
}

}  // namespace beamcap::search
