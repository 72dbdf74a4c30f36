#include "search/topk.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <random>
#include <utility>
#include <vector>

namespace beamcap::search {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
using Pairs = std::vector<std::pair<float, std::int64_t>>;  // score, index

Pairs take(TopK& best) {
  Pairs pairs;
  for (const TopK::Entry& entry : best.sorted()) pairs.emplace_back(entry.score, entry.index);
  return pairs;
}

void offer(TopK& best, const std::vector<float>& logits, float offset = 0.0f, std::int64_t first_index = 0,
           const std::vector<std::pair<std::int64_t, float>>& edits = {}) {
  RowSummary summary;
  summarize(logits, summary);
  RowScores scores;
  scores.reset(logits, Normalizer{});
  for (const auto& [token, score] : edits) scores.set(token, score);
  best.offer_row(scores, summary.block_max, offset, first_index);
}

TEST(TopK, BestFirst) {
  TopK best;
  best.reset(3);
  offer(best, {1.0f, 5.0f, 3.0f, 4.0f});
  EXPECT_EQ(take(best), (Pairs{{5.0f, 1}, {4.0f, 3}, {3.0f, 2}}));
}

TEST(TopK, SmallerIndexFirstAmongEquals) {
  TopK best;
  best.reset(3);
  offer(best, std::vector<float>(600, 2.0f));
  offer(best, std::vector<float>(600, 2.0f), 0.0f, 600);
  EXPECT_EQ(take(best), (Pairs{{2.0f, 0}, {2.0f, 1}, {2.0f, 2}}));
}

TEST(TopK, AnEditThatEqualsTheWorstWinsByItsIndex) {
  TopK best;
  best.reset(2);
  offer(best, {0.0f, 2.0f, 9.0f, 2.0f}, 0.0f, 0, {{0, 2.0f}, {2, -kInf}});
  EXPECT_EQ(take(best), (Pairs{{2.0f, 0}, {2.0f, 1}}));
}

TEST(TopK, EditedTokensCountByTheirEdit) {
  TopK best;
  best.reset(2);
  offer(best, {1.0f, 5.0f, 3.0f, 4.0f}, 0.0f, 0, {{1, -7.0f}, {0, 8.0f}});
  EXPECT_EQ(take(best), (Pairs{{8.0f, 0}, {4.0f, 3}}));
}

TEST(TopK, ImpossibleTokensComeLastNotNever) {
  TopK best;
  best.reset(4);
  offer(best, {-kInf, 1.0f}, -1e9f);
  offer(best, {3.0f, -kInf}, 0.0f, 2);
  EXPECT_EQ(take(best), (Pairs{{3.0f, 2}, {-1e9f, 1}, {-kInf, 0}, {-kInf, 3}}));
}

TEST(TopK, ResetForgets) {
  TopK best;
  best.reset(2);
  offer(best, {9.0f, 8.0f});
  best.reset(1);
  offer(best, {1.0f, 2.0f});
  EXPECT_EQ(take(best), (Pairs{{2.0f, 1}}));
}

// Against a full sort, with few distinct values (ties) and with many, over several rows with offsets and edits.
TEST(TopK, EqualsAFullSort) {
  std::mt19937 generator(1);
  for (int round = 0; round < 200; ++round) {
    const std::size_t vocab = 1 + generator() % 700;
    const std::size_t rows = 1 + generator() % 4;
    const std::size_t k = 1 + generator() % std::min<std::size_t>(rows * vocab, 20);
    const unsigned levels = round % 2 == 0 ? 3 : 1'000'000;
    TopK best;
    best.reset(k);
    Pairs all;
    for (std::size_t row = 0; row < rows; ++row) {
      std::vector<float> logits(vocab);
      for (float& logit : logits) logit = static_cast<float>(generator() % levels);
      std::vector<std::pair<std::int64_t, float>> edits;
      for (std::size_t edit = generator() % 4; edit > 0; --edit) {
        edits.emplace_back(generator() % vocab, edit == 1 ? -kInf : static_cast<float>(generator() % levels));
      }
      const float offset = static_cast<float>(generator() % 3);
      const auto first = static_cast<std::int64_t>(row * vocab);
      offer(best, logits, offset, first, edits);
      for (const auto& [token, score] : edits) logits[static_cast<std::size_t>(token)] = score;
      for (std::size_t i = 0; i < vocab; ++i) {
        all.emplace_back(logits[i] + offset, first + static_cast<std::int64_t>(i));
      }
    }
    std::stable_sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
    all.resize(k);
    EXPECT_EQ(take(best), all) << "round " << round;
  }
}

}  // namespace
}  // namespace beamcap::search
