#include "search/sample_k.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <vector>

#include "tests/fake_decoder.h"

namespace beamcap::search {
namespace {

Tokens draw(const std::vector<std::vector<float>>& rows, std::size_t k, std::uint64_t seed,
            const std::vector<float>& offsets = {0, 0, 0}) {
  SampleK sample;
  sample.reset(k);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    RowScores scores;
    scores.reset(rows[i], Normalizer{});
    sample.offer_row(scores, offsets[i]);
  }
  Random random(seed, 0);
  Tokens drawn;
  for (const TopK::Entry& entry : sample.drawn(random)) {
    const auto index = static_cast<std::size_t>(entry.index);
    EXPECT_EQ(entry.score, rows[index / rows[0].size()][index % rows[0].size()] + offsets[index / rows[0].size()]);
    drawn.push_back(entry.index);
  }
  return drawn;
}

TEST(Random, IsTheSameOnEveryMachine) {
  Random random(7, 2);
  // Worked out with integers in Python.
  EXPECT_EQ(random.uniform(), 0.04774846019545764);
  EXPECT_EQ(random.uniform(), 0.40323807060795);
}

TEST(Random, StreamsAndSeedsDiffer) {
  EXPECT_EQ(Random(1, 0).uniform(), Random(1, 0).uniform());
  EXPECT_NE(Random(1, 0).uniform(), Random(1, 1).uniform());
  EXPECT_NE(Random(1, 0).uniform(), Random(2, 0).uniform());
  EXPECT_NE(Random(1, 1).uniform(), Random(2, 0).uniform());
}

TEST(SampleK, DrawsEveryTokenByItsShare) {
  const std::vector<float> row = probabilities({.1, .2, 0, .3, .4});
  std::array<int, 5> count{};
  for (std::uint64_t seed = 0; seed < 20'000; ++seed) ++count.at(static_cast<std::size_t>(draw({row}, 1, seed)[0]));
  EXPECT_EQ(count[2], 0);
  // Within four standard deviations.
  for (const auto& [token, share] : {std::pair(0, .1), {1, .2}, {3, .3}, {4, .4}}) {
    EXPECT_NEAR(count.at(static_cast<std::size_t>(token)), 20'000 * share, 4 * std::sqrt(20'000 * share * (1 - share)));
  }
}

TEST(SampleK, DrawsTheSecondByTheShareOfWhatIsLeft) {
  const std::vector<float> row = probabilities({.5, .3, .2});
  int first_is_0 = 0;
  int then_is_1 = 0;
  for (std::uint64_t seed = 0; seed < 20'000; ++seed) {
    const Tokens drawn = draw({row}, 2, seed);
    EXPECT_NE(drawn[0], drawn[1]);
    if (drawn[0] != 0) continue;
    ++first_is_0;
    if (drawn[1] == 1) ++then_is_1;
  }
  EXPECT_NEAR(then_is_1, first_is_0 * .6, 4 * std::sqrt(first_is_0 * .24));
}

TEST(SampleK, RowsAreOneDistributionWithTheirOffsets) {
  // The second row weighs e^-2 of the first.
  const std::vector<float> row{0, 0};
  int second = 0;
  for (std::uint64_t seed = 0; seed < 20'000; ++seed) {
    if (draw({row, row}, 1, seed, {5, 3})[0] >= 2) ++second;
  }
  const double share = std::exp(-2.0) / (1 + std::exp(-2.0));
  EXPECT_NEAR(second, 20'000 * share, 4 * std::sqrt(20'000 * share * (1 - share)));
}

TEST(SampleK, DrawsAcrossBlocks) {
  // Only the last of 700 tokens, and the 300th, are possible.
  std::vector<float> row(700, -kInf);
  row[699] = 1.0f;
  row[300] = 1.0f;
  int last = 0;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    const Tokens drawn = draw({row}, 2, seed);
    EXPECT_EQ(drawn[0] + drawn[1], 999);
    if (drawn[0] == 699) ++last;
  }
  EXPECT_NEAR(last, 100, 30);
}

TEST(SampleK, TheBestOfTheImpossibleFollow) {
  const std::vector<float> possible{-kInf, 2, -kInf};
  const std::vector<float> idle{-1, -kInf, -2};
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    EXPECT_EQ(draw({possible, idle}, 5, seed, {0, -1e9f}), (Tokens{1, 3, 5, 0, 2}));
  }
}

TEST(SampleK, AllImpossibleAreInOrder) { EXPECT_EQ(draw({{-kInf, -kInf, -kInf}}, 2, 1), (Tokens{0, 1})); }

TEST(SampleK, NoMoreThanThereAre) { EXPECT_EQ(draw({{1.0f, -kInf}}, 5, 1), (Tokens{0, 1})); }

TEST(SampleK, ResetForgets) {
  SampleK sample;
  Random random(1, 0);
  for (const float only : {1.0f, 2.0f}) {
    const std::vector<float> row{only};
    RowScores scores;
    scores.reset(row, Normalizer{});
    sample.reset(1);
    sample.offer_row(scores, 0.0f);
    const auto drawn = sample.drawn(random);
    ASSERT_EQ(drawn.size(), 1u);
    EXPECT_EQ(drawn[0].score, only);
  }
}

}  // namespace
}  // namespace beamcap::search
