// The best K of many scored tokens.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "search/row_scores.h"

namespace beamcap::search {

// Keeps the K best entries offered to it: greater score first, smaller index first among equals. No score may be NaN.
class TopK {
 public:
  struct Entry {
    float score;
    std::int64_t index;
  };

  // Begins anew. k >= 1.
  void reset(std::size_t k);

  // Offers every token of a row with the score that it has there + `offset`, as index first_index + token. Rows must
  // come in the ascending order of first_index. block_max: of the row's logits.
  void offer_row(const RowScores& row, std::span<const float> block_max, float offset, std::int64_t first_index);
  void offer(Entry entry);

  // The entries, best first; fewer than K only if fewer were offered. Ends the offering: reset comes next.
  std::span<const Entry> sorted();

 private:
  std::size_t k_ = 1;
  std::vector<Entry> heap_;  // the worst on top
};

}  // namespace beamcap::search
