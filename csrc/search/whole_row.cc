#include "search/whole_row.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace beamcap::search {
namespace {

class RemoveInvalidValues : public Processor {
 public:
  void process(std::span<const std::int64_t>, RowScores& scores) override {
    constexpr float kMost = std::numeric_limits<float>::max();
    for (float& score : scores.dense()) score = std::isnan(score) ? 0.0f : std::clamp(score, -kMost, kMost);
  }
};

class Renormalize : public Processor {
 public:
  void process(std::span<const std::int64_t>, RowScores& scores) override {
    const std::span<float> row = scores.dense();
    summarize(row, summary_);
    if (!summary_.fault().empty()) return;
    for (float& score : row) score = summary_.log_softmax(score);
  }

 private:
  RowSummary summary_;
};

}  // namespace

ProcessorPtr remove_invalid_values() { return std::make_unique<RemoveInvalidValues>(); }

ProcessorPtr renormalize() { return std::make_unique<Renormalize>(); }

}  // namespace beamcap::search
