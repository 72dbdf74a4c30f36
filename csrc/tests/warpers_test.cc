#include "search/warpers.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "search/processors.h"
#include "tests/fake_decoder.h"

namespace beamcap::search {
namespace {

std::vector<float> warped(const ProcessorPtr& warper, const std::vector<float>& logits) {
  RowScores scores;
  scores.reset(logits, Normalizer{});
  warper->process(Tokens{0}, scores);
  const std::span<float> row = scores.dense();
  return {row.begin(), row.end()};
}

// The tokens that a warper leaves possible, of tokens with these probabilities.
Tokens left(const ProcessorPtr& warper, const std::vector<double>& probabilities_of) {
  const std::vector<float> logits = probabilities(probabilities_of);
  const std::vector<float> row = warped(warper, logits);
  Tokens tokens;
  for (std::size_t token = 0; token < row.size(); ++token) {
    if (row[token] == -kInf) continue;
    EXPECT_EQ(row[token], logits[token]);
    tokens.push_back(static_cast<std::int64_t>(token));
  }
  return tokens;
}

const std::vector<double> kHalves{.0625, .25, .0625, .5, .125};

TEST(Temperature, Divides) {
  EXPECT_EQ(warped(temperature(2.0), {1, -3, -kInf}), (std::vector<float>{.5f, -1.5f, -kInf}));
}

TEST(TopKWarper, LeavesTheBestK) {
  EXPECT_EQ(left(top_k(1, 1), kHalves), (Tokens{3}));
  EXPECT_EQ(left(top_k(3, 1), kHalves), (Tokens{1, 3, 4}));
  EXPECT_EQ(left(top_k(99, 1), kHalves), (Tokens{0, 1, 2, 3, 4}));
}

TEST(TopKWarper, LeavesWhatEqualsTheKth) { EXPECT_EQ(left(top_k(4, 1), kHalves), (Tokens{0, 1, 2, 3, 4})); }

TEST(TopKWarper, LeavesAtLeastKeep) { EXPECT_EQ(left(top_k(1, 2), kHalves), (Tokens{1, 3})); }

TEST(TopP, LeavesTheFewestThatExceedP) {
  EXPECT_EQ(left(top_p(.4, 1), kHalves), (Tokens{3}));
  EXPECT_EQ(left(top_p(.6, 1), kHalves), (Tokens{1, 3}));
  EXPECT_EQ(left(top_p(.8, 1), kHalves), (Tokens{1, 3, 4}));
  EXPECT_EQ(left(top_p(.99, 1), kHalves), (Tokens{0, 1, 2, 3, 4}));
}

TEST(TopP, DropsTheSmallerIdOfEquals) { EXPECT_EQ(left(top_p(.9, 1), kHalves), (Tokens{1, 2, 3, 4})); }

TEST(TopP, LeavesAtLeastKeep) {
  EXPECT_EQ(left(top_p(0, 1), kHalves), (Tokens{3}));
  EXPECT_EQ(left(top_p(.1, 3), kHalves), (Tokens{1, 3, 4}));
}

TEST(MinP, DropsByTheShareOfTheLikeliest) {
  EXPECT_EQ(left(min_p(.4, 1), kHalves), (Tokens{1, 3}));
  EXPECT_EQ(left(min_p(.2, 1), kHalves), (Tokens{1, 3, 4}));
  EXPECT_EQ(left(min_p(1, 1), kHalves), (Tokens{3}));
  EXPECT_EQ(left(min_p(1, 2), kHalves), (Tokens{1, 3}));
}

TEST(MinP, KeepsTheSmallerIdOfEquals) { EXPECT_EQ(left(min_p(.5, 2), {.1, .8, .1}), (Tokens{0, 1})); }

// Entropy 1.875 bits. Surprises 4, 2, 4, 1, 3 bits: the distances are 2.125, .125, 2.125, .875, 1.125.
TEST(TypicalP, LeavesTheMostTypicalThatReachP) {
  EXPECT_EQ(left(typical_p(.2, 1), kHalves), (Tokens{1}));
  EXPECT_EQ(left(typical_p(.7, 1), kHalves), (Tokens{1, 3}));
  EXPECT_EQ(left(typical_p(.8, 1), kHalves), (Tokens{1, 3, 4}));
}

TEST(TypicalP, LeavesWhatIsAsTypicalAsTheLast) {
  EXPECT_EQ(left(typical_p(.9, 1), kHalves), (Tokens{0, 1, 2, 3, 4}));
}

TEST(TypicalP, KeepsTheSmallerIdOfEquals) { EXPECT_EQ(left(typical_p(.9, 2), {.0175, .965, .0175}), (Tokens{0, 1})); }

TEST(TypicalP, LeavesAtLeastKeep) { EXPECT_EQ(left(typical_p(.2, 2), kHalves), (Tokens{1, 3})); }

TEST(EpsilonCutoff, DropsWhatIsLessLikely) {
  EXPECT_EQ(left(epsilon_cutoff(.1, 1), kHalves), (Tokens{1, 3, 4}));
  EXPECT_EQ(left(epsilon_cutoff(.9, 1), kHalves), (Tokens{3}));
  EXPECT_EQ(left(epsilon_cutoff(.9, 2), kHalves), (Tokens{1, 3}));
}

// exp(-entropy) = 2^-1.875 = .273.
TEST(EtaCutoff, DropsByTheLesserOfEpsilonAndTheEntropysLimit) {
  EXPECT_EQ(left(eta_cutoff(.1, 1), kHalves), (Tokens{1, 3, 4}));          // sqrt(.1) * .273 = .086
  EXPECT_EQ(left(eta_cutoff(.05, 1), kHalves), (Tokens{0, 1, 2, 3, 4}));   // epsilon
  EXPECT_EQ(left(eta_cutoff(.3, 1), kHalves), (Tokens{1, 3}));             // .149
  EXPECT_EQ(left(eta_cutoff(.99, 3), {.05, .5, .15, .3}), (Tokens{1, 2, 3}));
}

TEST(Warpers, LeaveARowAloneInWhichNothingIsPossible) {
  const std::vector<float> row{-kInf, -kInf};
  EXPECT_EQ(warped(top_k(1, 1), row), row);
  for (const auto& warper : {top_p, min_p, typical_p, epsilon_cutoff, eta_cutoff}) {
    EXPECT_EQ(warped(warper(.5, 1), row), row);
  }
}

TEST(Warpers, DropNothingThatIsBannedAlready) {
  const std::vector<double> some{0, .5, 0, .5};
  EXPECT_EQ(left(top_k(3, 1), some), (Tokens{1, 3}));
  for (const auto& warper : {top_p, typical_p}) EXPECT_EQ(left(warper(.999, 1), some), (Tokens{1, 3}));
  for (const auto& warper : {min_p, epsilon_cutoff}) EXPECT_EQ(left(warper(.1, 3), some), (Tokens{1, 3}));
  EXPECT_EQ(left(eta_cutoff(.1, 3), some), (Tokens{1, 3}));
}

// The order of the pipeline, where it shows.

// The tokens left of kHalves, or of what is given.
Tokens left_by(const Options& options, const std::vector<double>& probabilities_of = kHalves) {
  const std::vector<float> logits = probabilities(probabilities_of);
  RowScores scores;
  scores.reset(logits, Normalizer{});
  Processors(options, 1).process(Tokens{0}, scores);
  Tokens tokens;
  for (std::int64_t token = 0; token < scores.vocab(); ++token) {
    if (scores[token] > -kInf) tokens.push_back(token);
  }
  return tokens;
}

Options sampling() {
  Options options;
  options.do_sample = true;
  return options;
}

TEST(WarperOrder, NoneWithoutDoSample) {
  Options options;
  options.temperature = .1;
  options.top_k = 1;
  options.top_p = options.min_p = options.typical_p = options.epsilon_cutoff = options.eta_cutoff = .5;
  EXPECT_EQ(left_by(options), (Tokens{0, 1, 2, 3, 4}));
}

TEST(WarperOrder, TemperatureFirst) {
  Options options = sampling();
  options.temperature = 0.5;  // .25 .0625 .015625: top_p counts the squares
  options.top_p = .9;
  EXPECT_EQ(left_by(options), (Tokens{1, 3}));
}

TEST(WarperOrder, TopKBeforeTopP) {
  Options options = sampling();
  options.top_k = 2;
  options.top_p = .6;  // 2/3 is enough; of the whole .5 is not
  EXPECT_EQ(left_by(options), (Tokens{3}));
}

TEST(WarperOrder, TopPBeforeTypicalP) {
  Options options = sampling();
  options.top_p = .6;  // leaves 3 and 1, of entropy .918 bits: 3, of surprise .58, is the more typical
  options.typical_p = .2;
  EXPECT_EQ(left_by(options), (Tokens{3}));
}

TEST(WarperOrder, MinPBeforeTypicalP) {
  Options options = sampling();
  options.min_p = .4;  // leaves the same two
  options.typical_p = .2;
  EXPECT_EQ(left_by(options), (Tokens{3}));
}

TEST(WarperOrder, TypicalPBeforeEpsilonCutoff) {
  Options options = sampling();
  options.typical_p = .2;       // leaves 1
  options.epsilon_cutoff = .3;  // alone it would leave 3
  EXPECT_EQ(left_by(options), (Tokens{1}));
}

TEST(WarperOrder, MinPBeforeEpsilonCutoff) {
  Options options = sampling();
  options.min_p = .4;           // leaves 3 and 1, of 2/3 and 1/3
  options.epsilon_cutoff = .3;  // alone it would leave 3
  EXPECT_EQ(left_by(options), (Tokens{1, 3}));
}

TEST(WarperOrder, EpsilonCutoffBeforeEtaCutoff) {
  Options options = sampling();
  options.epsilon_cutoff = .2;  // leaves 3 and 1: exp(-entropy) = .529
  options.eta_cutoff = .5;      // min(.5, .374): drops 1/3. Alone: .193, which leaves both
  EXPECT_EQ(left_by(options), (Tokens{3}));
}

TEST(WarperOrder, BeamsKeepOneMoreThanThereAreEos) {
  Options options = sampling();
  options.top_k = 1;
  EXPECT_EQ(left_by(options).size(), 1u);
  options.num_beams = 2;
  EXPECT_EQ(left_by(options).size(), 2u);
  options.eos_token_ids = {0, 1};
  EXPECT_EQ(left_by(options).size(), 3u);
}

TEST(WarperOrder, RenormalizeLast) {
  Options options = sampling();
  options.top_k = 2;
  options.renormalize_logits = true;
  const std::vector<float> logits = probabilities(kHalves);
  RowScores scores;
  scores.reset(logits, Normalizer{});
  Processors(options, 1).process(Tokens{0}, scores);
  EXPECT_NEAR(scores[3], std::log(2. / 3), 1e-6);
}

}  // namespace
}  // namespace beamcap::search
