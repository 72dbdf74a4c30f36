#include "search/processors.h"

#include <gtest/gtest.h>

#include <vector>

#include "tests/fake_decoder.h"

namespace beamcap::search {
namespace {

// The scores of a row of six tokens, -3 to +2, after the processors that the options ask for.
std::vector<float> processed(const Options& options, const Tokens& tokens, std::int64_t prompt_length = 1) {
  const std::vector<float> logits{-3.0f, -2.0f, -1.0f, 0.0f, 1.0f, 2.0f};
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

}  // namespace
}  // namespace beamcap::search
