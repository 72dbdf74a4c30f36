#include "search/topk.h"

#include <algorithm>

namespace beamcap::search {
namespace {

bool is_better(const TopK::Entry& a, const TopK::Entry& b) {
  return a.score > b.score || (a.score == b.score && a.index < b.index);
}

}  // namespace

void TopK::reset(std::size_t k) {
  k_ = k;
  heap_.clear();
}

void TopK::offer(Entry entry) {
  if (heap_.size() == k_) {
    if (!is_better(entry, heap_.front())) return;
    std::pop_heap(heap_.begin(), heap_.end(), is_better);
    heap_.pop_back();
  }
  heap_.push_back(entry);
  std::push_heap(heap_.begin(), heap_.end(), is_better);
}

void TopK::offer_row(const RowScores& row, std::span<const float> block_max, float offset, std::int64_t first_index) {
  const std::span<const float> logits = row.logits();
  const Normalizer normalize = row.normalizer();
  // Indices ascend, so a token that only equals the worst entry is not better than it. Rounding keeps the order of the
  // logits, so no token of a block beats the block's greatest.
  const auto can_enter = [&](float logit) {
    return heap_.size() < k_ || normalize(logit) + offset > heap_.front().score;
  };
  for (std::size_t block = 0; block < block_max.size(); ++block) {
    if (!can_enter(block_max[block])) continue;
    const std::size_t begin = block * kBlock;
    const std::size_t end = std::min(begin + kBlock, logits.size());
    for (std::size_t i = begin; i < end; ++i) {
      const auto token = static_cast<std::int64_t>(i);
      if (can_enter(logits[i]) && !row.edited(token)) offer({normalize(logits[i]) + offset, first_index + token});
    }
  }
  for (const RowScores::Edit& edit : row.edits()) offer({edit.score + offset, first_index + edit.token});
}

std::span<const TopK::Entry> TopK::sorted() {
  std::sort_heap(heap_.begin(), heap_.end(), is_better);
  return heap_;
}

}  // namespace beamcap::search
