// K of many scored tokens, drawn at random.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "search/random.h"
#include "search/row_scores.h"
#include "search/topk.h"

namespace beamcap::search {

// Draws K of the tokens offered to it without replacement, each by the softmax of the scores of those that are left.
class SampleK {
 public:
  // Begins anew. k >= 1.
  void reset(std::size_t k);

  // Offers every token of a row with the score that it has there + `offset`. The next row's indices follow. Writes the
  // row's scores out. No score may be NaN or +inf.
  void offer_row(RowScores& row, float offset);

  // The entries in the order in which they were drawn; fewer than K only if fewer were offered. Where fewer than K have
  // a probability above 0 in float32, the best of the others follow, as TopK orders them. Ends the offering.
  std::span<const TopK::Entry> drawn(Random& random);

 private:
  void weigh();
  std::span<const float> block(std::size_t index) const;
  double sum_of(std::size_t block) const;
  std::size_t draw(double target) const;
  void add_best_of_rest(std::size_t count);

  std::size_t k_ = 1;
  std::vector<float> scores_;       // [offered]: NaN once drawn
  std::vector<float> weights_;      // [offered]: exp(score - the greatest), 0 once drawn
  std::vector<double> block_sums_;  // [ceil(offered / kBlock)]: of the weights
  std::vector<TopK::Entry> drawn_;
  TopK rest_;
};

}  // namespace beamcap::search
