#include "search/processors.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "tests/fake_decoder.h"

namespace beamcap::search {
namespace {

const std::vector<float> kRow{-3.0f, -2.0f, -1.0f, 0.0f, 1.0f, 2.0f};
constexpr float kMost = std::numeric_limits<float>::max();

// The scores of a row after the processors that the options ask for.
std::vector<float> processed(const Options& options, const Tokens& tokens, std::int64_t prompt_length = 1,
                             const std::vector<float>& logits = kRow) {
  RowScores scores;
  scores.reset(logits, Normalizer{});
  Processors(options, prompt_length).process(tokens, scores);
  std::vector<float> values;
  for (std::int64_t token = 0; token < scores.vocab(); ++token) values.push_back(scores[token]);
  return values;
}

TEST(Processors, NoneByDefault) {
  Options options;
  options.eos_token_ids = {5};
  EXPECT_EQ(processed(options, {0, 1, 1, 1}), (std::vector<float>{-3, -2, -1, 0, 1, 2}));
}

TEST(RepetitionPenalty, MultipliesNegativeAndDividesPositiveOncePerToken) {
  Options options;
  options.repetition_penalty = 2.0;
  EXPECT_EQ(processed(options, {1, 3, 5, 1, 5, 5}), (std::vector<float>{-3, -4, -1, 0, 1, 1}));
}

TEST(RepetitionPenalty, IgnoresTokensThatTheModelCannotWrite) {
  Options options;
  options.repetition_penalty = 2.0;
  EXPECT_EQ(processed(options, {6, 0, 1000}), (std::vector<float>{-6, -2, -1, 0, 1, 2}));
}

TEST(NoRepeatNgram, BansWhatFollowedTheSamePrefixPromptIncluded) {
  Options options;
  options.no_repeat_ngram_size = 2;
  EXPECT_EQ(processed(options, {0, 1, 2, 0}), (std::vector<float>{-3, -kInf, -1, 0, 1, 2}));
  EXPECT_EQ(processed(options, {0, 1, 0, 2, 0}), (std::vector<float>{-3, -kInf, -kInf, 0, 1, 2}));
  options.no_repeat_ngram_size = 3;
  EXPECT_EQ(processed(options, {4, 5, 2, 5, 2, 4, 5}), (std::vector<float>{-3, -2, -kInf, 0, 1, 2}));
}

TEST(NoRepeatNgram, OfOneBansEveryTokenSoFar) {
  Options options;
  options.no_repeat_ngram_size = 1;
  EXPECT_EQ(processed(options, {0, 4, 9}), (std::vector<float>{-kInf, -2, -1, 0, -kInf, 2}));
}

TEST(NoRepeatNgram, NeedsAWholeNgram) {
  Options options;
  options.no_repeat_ngram_size = 3;
  EXPECT_EQ(processed(options, {1, 1}), (std::vector<float>{-3, -2, -1, 0, 1, 2}));
  EXPECT_EQ(processed(options, {1, 1, 1}), (std::vector<float>{-3, -kInf, -1, 0, 1, 2}));
}

TEST(MinLength, BansEveryEosWhileShorterPromptIncluded) {
  Options options;
  options.min_length = 4;
  options.eos_token_ids = {2, 5};
  const std::vector<float> banned{-3, -2, -kInf, 0, 1, -kInf};
  EXPECT_EQ(processed(options, {0, 0, 0}, 2), banned);
  EXPECT_EQ(processed(options, {0, 0, 0, 0}, 2), (std::vector<float>{-3, -2, -1, 0, 1, 2}));
}

TEST(MinNewTokens, DoesNotCountThePromptAndReplacesMinLength) {
  Options options;
  options.min_new_tokens = 2;
  options.min_length = 6;
  options.eos_token_ids = {5};
  EXPECT_EQ(processed(options, {0, 0, 0, 0}, 3).at(5), -kInf);
  EXPECT_EQ(processed(options, {0, 0, 0, 0, 0}, 3).at(5), 2.0f);
}

TEST(Processors, ABanOutlastsAPenalty) {
  Options options;
  options.repetition_penalty = 0.5;
  options.no_repeat_ngram_size = 1;
  options.min_new_tokens = 9;
  options.eos_token_ids = {1};
  EXPECT_EQ(processed(options, {1, 4}), (std::vector<float>{-3, -kInf, -1, 0, -kInf, 2}));
}

TEST(SequenceBias, AddsToTheLastTokenWhereTheOthersPrecede) {
  Options options;
  options.sequence_bias = {{{2}, 10.0}, {{4, 1}, 20.0}, {{3, 4, 0}, 30.0}};
  EXPECT_EQ(processed(options, {3, 4}), (std::vector<float>{27, 18, 9, 0, 1, 2}));
  EXPECT_EQ(processed(options, {4}), (std::vector<float>{-3, 18, 9, 0, 1, 2}));
  EXPECT_EQ(processed(options, {4, 3}), (std::vector<float>{-3, -2, 9, 0, 1, 2}));
}

TEST(SequenceBias, SumsTheBiasesOfATokenBeforeItAddsThem) {
  Options options;
  options.sequence_bias = {{{0, 5}, -1e8}, {{5}, 1e8}, {{4, 0, 5}, 3.0}, {{3, 4, 0, 5}, 1.0}};
  // 2 + (1e8 - 1e8 + 3 + 1); one by one the 2 would be lost.
  EXPECT_EQ(processed(options, {3, 4, 0}).at(5), 6.0f);
}

TEST(SequenceBias, SumsTheBiasesOfSingleTokensFirst) {
  Options options;
  options.sequence_bias = {{{0, 5}, 1e8}, {{4, 0, 5}, -1e8}, {{5}, 1.0}};
  // 2 + (1 + 1e8 - 1e8): the 1 is lost. As given it would not be.
  EXPECT_EQ(processed(options, {3, 4, 0}).at(5), 2.0f);
}

TEST(SequenceBias, ComesBeforeTheRepetitionPenalty) {
  Options options;
  options.sequence_bias = {{{3}, 2.0}};
  options.repetition_penalty = 4.0;
  EXPECT_EQ(processed(options, {3}).at(3), 0.5f);
}

TEST(BadWords, BanTheirLastTokenWhereTheOthersPrecede) {
  Options options;
  options.bad_words_ids = {{2}, {0, 1}, {9, 0, 3}};
  EXPECT_EQ(processed(options, {9, 0}), (std::vector<float>{-3, -kInf, -kInf, -kInf, 1, 2}));
  EXPECT_EQ(processed(options, {0, 9}), (std::vector<float>{-3, -2, -kInf, 0, 1, 2}));
}

TEST(BadWords, IgnoreAWordThatIsAnEos) {
  Options options;
  options.eos_token_ids = {4, 5};
  options.bad_words_ids = {{5}, {0, 4}};
  EXPECT_EQ(processed(options, {0}), (std::vector<float>{-3, -2, -1, 0, -kInf, 2}));
}

TEST(ForcedBos, IsTheOnlyTokenAfterTheStartTokenAlone) {
  Options options;
  options.forced_bos_token_id = 2;
  EXPECT_EQ(processed(options, {7}), (std::vector<float>{-kInf, -kInf, 0, -kInf, -kInf, -kInf}));
  EXPECT_EQ(processed(options, {7, 7}, 2), kRow);
}

TEST(ForcedEos, AreTheOnlyLastTokens) {
  Options options;
  options.max_length = 4;
  options.forced_eos_token_ids = {1, 5};
  EXPECT_EQ(processed(options, {7, 7, 7}), (std::vector<float>{-kInf, 0, -kInf, -kInf, -kInf, 0}));
  EXPECT_EQ(processed(options, {7, 7}), kRow);
}

TEST(Forced, OverridesBansBeforeItAndYieldsToThoseAfter) {
  Options options;
  options.forced_bos_token_id = 2;
  options.bad_words_ids = {{2}};
  options.eos_token_ids = {2};
  options.min_length = 9;
  EXPECT_EQ(processed(options, {7}).at(2), 0.0f);
  options.suppress_tokens = {2};
  EXPECT_EQ(processed(options, {7}).at(2), -kInf);
}

TEST(ForcedEos, OverridesForcedBos) {
  Options options;
  options.max_length = 2;
  options.forced_bos_token_id = 2;
  options.forced_eos_token_ids = {3};
  EXPECT_EQ(processed(options, {7}), (std::vector<float>{-kInf, -kInf, -kInf, 0, -kInf, -kInf}));
}

TEST(RemoveInvalidValues, MakesEveryScoreANumber) {
  Options options;
  options.remove_invalid_values = true;
  EXPECT_EQ(processed(options, {0}, 1, {kNan, kInf, -kInf, 4}), (std::vector<float>{0, kMost, -kMost, 4}));
}

TEST(RemoveInvalidValues, ActsOnBansBeforeItNotAfter) {
  Options options;
  options.remove_invalid_values = true;
  options.no_repeat_ngram_size = 1;
  options.suppress_tokens = {1};
  EXPECT_EQ(processed(options, {0}), (std::vector<float>{-kMost, -kInf, -1, 0, 1, 2}));
}

TEST(RemoveInvalidValues, ComesAfterForcedTokens) {
  Options options;
  options.remove_invalid_values = true;
  options.forced_bos_token_id = 1;
  EXPECT_EQ(processed(options, {0}, 1, {1, 2, kNan}), (std::vector<float>{-kMost, 0, -kMost}));
}

TEST(RemoveInvalidValues, ComesBeforeTheDecayPenalty) {
  Options options;
  options.remove_invalid_values = true;
  options.eos_token_ids = {5};
  options.min_length = 9;
  options.exponential_decay_length_penalty = ExponentialDecay{1, 1.2};
  const auto growth = static_cast<float>(std::pow(1.2, 2.0) - 1.0);
  EXPECT_EQ(processed(options, {7, 7, 7, 7}).at(5), -kMost + kMost * growth);
}

TEST(ExponentialDecay, MakesEosLikelierBeyondItsStart) {
  Options options;
  options.eos_token_ids = {1, 5, 5};
  options.exponential_decay_length_penalty = ExponentialDecay{1, 3.0};
  EXPECT_EQ(processed(options, {7, 7, 7}, 2), kRow);
  EXPECT_EQ(processed(options, {7, 7, 7, 7}, 2), (std::vector<float>{-3, 2, -1, 0, 1, 6}));      // + |score| * 2
  EXPECT_EQ(processed(options, {7, 7, 7, 7, 7}, 2), (std::vector<float>{-3, 14, -1, 0, 1, 18}));  // + |score| * 8
}

TEST(ExponentialDecay, LeavesABannedEosBanned) {
  Options options;
  options.eos_token_ids = {5};
  options.min_length = 9;
  options.exponential_decay_length_penalty = ExponentialDecay{0, 2.0};
  EXPECT_EQ(processed(options, {7, 7}).at(5), -kInf);
}

TEST(ExponentialDecay, ComesBeforeSuppressTokens) {
  Options options;
  options.eos_token_ids = {5};
  options.suppress_tokens = {5};
  options.exponential_decay_length_penalty = ExponentialDecay{0, 2.0};
  EXPECT_EQ(processed(options, {7, 7}).at(5), -kInf);
}

TEST(SuppressTokens, AlwaysBans) {
  Options options;
  options.suppress_tokens = {0, 4};
  EXPECT_EQ(processed(options, {7, 7, 7}), (std::vector<float>{-kInf, -2, -1, 0, -kInf, 2}));
}

TEST(BeginSuppressTokens, BansTheFirstTokenOfTheCaption) {
  Options options;
  options.begin_suppress_tokens = {4};
  EXPECT_EQ(processed(options, {7}).at(4), -kInf);
  EXPECT_EQ(processed(options, {7, 7}).at(4), 1.0f);
  EXPECT_EQ(processed(options, {7, 7}, 2).at(4), -kInf);
}

TEST(BeginSuppressTokens, ComesAfterAForcedFirstToken) {
  Options options;
  options.begin_suppress_tokens = {4};
  options.forced_bos_token_id = 4;
  EXPECT_EQ(processed(options, {7}).at(4), 0.0f);
  EXPECT_EQ(processed(options, {7, 4}).at(4), -kInf);
  EXPECT_EQ(processed(options, {7, 7}, 2).at(4), -kInf);  // a longer prompt: nothing is forced
}

TEST(Renormalize, IsTheLogSoftmaxOfWhatTheOthersLeave) {
  Options options;
  options.renormalize_logits = true;
  options.suppress_tokens = {5};
  const std::vector<float> scores = processed(options, {7});
  EXPECT_EQ(scores.at(5), -kInf);
  double sum = 0.0;
  for (const float score : scores) sum += std::exp(score);
  EXPECT_NEAR(sum, 1.0, 1e-6);
  EXPECT_NEAR(scores.at(4) - scores.at(3), 1.0, 1e-6);
}

TEST(Renormalize, LeavesARowAloneInWhichNothingIsPossible) {
  Options options;
  options.renormalize_logits = true;
  options.suppress_tokens = {0, 1};
  EXPECT_EQ(processed(options, {7}, 1, {1, 2}), (std::vector<float>{-kInf, -kInf}));
}

TEST(RowScores, ResetForgetsTheEdits) {
  const std::vector<float> logits{1.0f, 2.0f, 3.0f};
  RowScores scores;
  scores.reset(logits, Normalizer{});
  scores.ban(1);
  scores.set(2, 7.0f);
  scores.set(2, 8.0f);
  EXPECT_EQ(scores.edits().size(), 2u);
  EXPECT_EQ(scores[2], 8.0f);
  scores.reset(logits, Normalizer{1.0f, 0.5f});
  EXPECT_TRUE(scores.edits().empty());
  EXPECT_FALSE(scores.edited(1));
  EXPECT_EQ(scores[1], 0.5f);
}

TEST(RowScores, DenseHoldsTheEditsAndTakesNewOnes) {
  const std::vector<float> logits{1.0f, 2.0f, 3.0f};
  RowScores scores;
  scores.reset(logits, Normalizer{1.0f, 0.5f});
  scores.ban(1);
  const std::span<float> row = scores.dense();
  EXPECT_EQ(std::vector<float>(row.begin(), row.end()), (std::vector<float>{-0.5f, -kInf, 1.5f}));
  EXPECT_TRUE(scores.edits().empty());
  row[0] = 4.0f;
  scores.set(2, 5.0f);
  EXPECT_EQ(scores[0], 4.0f);
  EXPECT_EQ(scores[2], 5.0f);
  EXPECT_EQ(scores.dense()[2], 5.0f);
  EXPECT_EQ(scores.dense()[0], 4.0f);
  scores.reset(logits, Normalizer{});
  EXPECT_FALSE(scores.is_dense());
  EXPECT_EQ(scores[0], 1.0f);
}

}  // namespace
}  // namespace beamcap::search
