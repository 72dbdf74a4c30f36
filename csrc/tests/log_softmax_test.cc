#include "search/log_softmax.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

namespace beamcap::search {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

std::vector<float> random_row(std::size_t size, float scale) {
  std::mt19937 generator(static_cast<unsigned>(size));
  std::normal_distribution<float> normal(0.0f, scale);
  std::vector<float> row(size);
  for (float& logit : row) logit = normal(generator);
  return row;
}

double log_sum_exp(const std::vector<float>& row) {
  double max = -kInf;
  for (const float logit : row) max = std::max<double>(max, logit);
  double sum = 0.0;
  for (const float logit : row) sum += std::exp(logit - max);
  return max + std::log(sum);
}

TEST(LogSoftmax, MatchesDoublePrecisionAtEverySize) {
  RowSummary summary;
  for (const float scale : {0.01f, 1.0f, 30.0f, 1000.0f}) {
    for (const std::size_t size : {1u, 2u, 7u, 8u, 255u, 256u, 257u, 511u, 1000u, 50257u}) {
      const std::vector<float> row = random_row(size, scale);
      summarize(row, summary);
      EXPECT_TRUE(summary.fault().empty());
      const double exact = row[0] - log_sum_exp(row);
      EXPECT_NEAR(summary.log_softmax(row[0]), exact, 2e-6 * (1.0 + std::abs(exact))) << size << " x " << scale;
    }
  }
}

TEST(LogSoftmax, ReusedMemoryLeavesNoTrace) {
  RowSummary reused;
  summarize(random_row(1000, 50.0f), reused);
  const std::vector<float> row = random_row(300, 1.0f);
  summarize(row, reused);
  RowSummary fresh;
  summarize(row, fresh);
  EXPECT_EQ(reused.block_max, fresh.block_max);
  EXPECT_EQ(reused.log_softmax.log_sum, fresh.log_softmax.log_sum);
}

TEST(LogSoftmax, BlockMaximaAreTheBlocks) {
  const std::vector<float> row = random_row(600, 1.0f);
  RowSummary summary;
  summarize(row, summary);
  ASSERT_EQ(summary.block_max.size(), 3u);
  for (std::size_t block = 0; block < 3; ++block) {
    const auto begin = row.begin() + static_cast<std::ptrdiff_t>(block * kBlock);
    const auto end = block < 2 ? begin + kBlock : row.end();
    EXPECT_EQ(summary.block_max[block], *std::max_element(begin, end));
  }
}

TEST(LogSoftmax, AnImpossibleTokenIsNoFault) {
  std::vector<float> row = random_row(600, 1.0f);
  const double before = log_sum_exp(row);
  row.push_back(-kInf);
  std::fill(row.begin() + 256, row.begin() + 512, -kInf);  // a whole block
  RowSummary summary;
  summarize(row, summary);
  EXPECT_TRUE(summary.fault().empty());
  EXPECT_EQ(summary.log_softmax(-kInf), -kInf);
  EXPECT_LT(log_sum_exp(row), before);
  EXPECT_NEAR(summary.log_softmax(row[0]), row[0] - log_sum_exp(row), 1e-5);
}

TEST(LogSoftmax, FindsNanWhereverItIs) {
  RowSummary summary;
  for (const std::size_t place : {0u, 5u, 255u, 256u, 511u, 512u, 519u, 520u}) {
    std::vector<float> row = random_row(521, 1.0f);
    row[place] = kNan;
    summarize(row, summary);
    EXPECT_NE(summary.fault().find("NaN"), std::string::npos) << place;
  }
  summarize(std::vector<float>(300, kNan), summary);
  EXPECT_NE(summary.fault().find("NaN"), std::string::npos);
}

TEST(LogSoftmax, FindsNanBesideTheGreatest) {
  // For the sanitizers: NaN may hide the greatest logit, and then the others are far above what seems to be it.
  std::vector<float> row(256, 0.0f);
  row[0] = 1e36f;
  row[128] = kNan;
  RowSummary summary;
  summarize(row, summary);
  EXPECT_TRUE(summary.has_nan);
}

TEST(LogSoftmax, InfinitiesAreFaultsWhereNothingCanBeComputed) {
  std::vector<float> row = random_row(521, 1.0f);
  row[300] = kInf;
  RowSummary summary;
  summarize(row, summary);
  EXPECT_NE(summary.fault().find("+inf"), std::string::npos);
  summarize(std::vector<float>(521, -kInf), summary);
  EXPECT_NE(summary.fault().find("-inf"), std::string::npos);
}

TEST(LogSoftmax, SurvivesTheEndsOfFloat) {
  const float most = std::numeric_limits<float>::max();
  RowSummary summary;
  summarize(std::vector<float>{most, -most, 0.0f}, summary);
  EXPECT_TRUE(summary.fault().empty());
  EXPECT_EQ(summary.log_softmax(most), 0.0f);
  EXPECT_EQ(summary.log_softmax(-most), -kInf);
}

}  // namespace
}  // namespace beamcap::search
