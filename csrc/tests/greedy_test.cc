#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/fake_decoder.h"

namespace beamcap::search {
namespace {

// Tokens 0 (also the start) to 3, and the EOS.
constexpr std::int64_t kEos = 4;

Options greedy(std::int64_t max_length = 10) {
  Options options;
  options.max_length = max_length;
  options.eos_token_ids = {kEos};
  return options;
}

TEST(Greedy, TakesTheBestTokenUntilEos) {
  const LogitsOf model = table({{{}, {.1, .5, .2, .1, .1}}, {{1}, {.1, .1, .1, .6, .1}}}, {0, 0, 0, 0, 1});
  const ImageResult result = search_one(model, greedy());
  EXPECT_EQ(tokens_of(result), (std::vector<Tokens>{{1, 3, kEos}}));
  EXPECT_EQ(result.hypotheses[0].finish_reason, FinishReason::kEos);
  EXPECT_EQ(result.error, "");
}

TEST(Greedy, SmallestIdOnATie) {
  EXPECT_EQ(tokens_of(search_one(table({}, {.1, .3, .3, .3, 0}), greedy(3))), (std::vector<Tokens>{{1, 1}}));
}

TEST(Greedy, StopsAtMaxLengthPromptIncluded) {
  FakeDecoder decoder(1, table({}, {.1, .6, .1, .1, .1}, 3));
  const ImageResult result = search(decoder, 1, Tokens{0, 0, 0}, greedy(5)).at(0);
  EXPECT_EQ(tokens_of(result), (std::vector<Tokens>{{1, 1}}));
  EXPECT_EQ(result.hypotheses[0].finish_reason, FinishReason::kLength);
  EXPECT_EQ(decoder.steps.size(), 2u);
}

TEST(Greedy, EosAsTheLastTokenIsTheReason) {
  const ImageResult result = search_one(table({{{}, {0, 1, 0, 0, 0}}}, {0, 0, 0, 0, 1}), greedy(3));
  EXPECT_EQ(tokens_of(result), (std::vector<Tokens>{{1, kEos}}));
  EXPECT_EQ(result.hypotheses[0].finish_reason, FinishReason::kEos);
}

TEST(Greedy, AnyEosStops) {
  Options options = greedy();
  options.eos_token_ids = {kEos, 2};
  EXPECT_EQ(tokens_of(search_one(table({}, {.1, .2, .5, .1, .1}), options)), (std::vector<Tokens>{{2}}));
}

TEST(Greedy, WithoutEosOnlyTheLengthStops) {
  Options options = greedy(4);
  options.eos_token_ids = {};
  EXPECT_EQ(tokens_of(search_one(table({}, {0, 0, 0, 0, 1}), options)), (std::vector<Tokens>{{4, 4, 4}}));
}

TEST(Greedy, ScoreIsTheLogProbabilityByTheLengthPenalty) {
  Options options = greedy();
  options.length_penalty = 2.0;
  const LogitsOf model = table({{{}, {.1, .5, .2, .1, .1}}}, {.1, .1, .1, .1, .6});
  EXPECT_NEAR(search_one(model, options).hypotheses.at(0).score, (std::log(.5) + std::log(.6)) / 4, 1e-6);
}

TEST(Greedy, ProcessorsActOnRawLogitsAndLeaveTheScoreAlone) {
  Options options = greedy(2);
  options.repetition_penalty = 2.0;
  // 3 / 2 < 2, whereas the log-probability of token 0, doubled, would still be the best.
  const LogitsOf model = [](std::int64_t, const Tokens&) { return std::vector<float>{3, 2, -9, -9, -9}; };
  const ImageResult result = search_one(model, options);
  EXPECT_EQ(tokens_of(result), (std::vector<Tokens>{{1}}));
  EXPECT_NEAR(result.hypotheses[0].score, -1 - std::log(1 + std::exp(-1)), 1e-4);
}

TEST(Greedy, AStopStringStops) {
  Options options = greedy();
  options.stop_strings = std::make_shared<StopStrings>(std::vector<std::string>{"ab"},
                                                       std::vector<std::string>{"", "xa", "bx", "b"});
  const LogitsOf model = table({{{}, {0, 0, 1, 0, 0}}, {{2}, {0, 1, 0, 0, 0}}}, {0, 0, 1, 0, 0});
  const ImageResult result = search_one(model, options);
  EXPECT_EQ(tokens_of(result), (std::vector<Tokens>{{2, 1, 2}}));
  EXPECT_EQ(result.hypotheses[0].finish_reason, FinishReason::kStopString);
}

TEST(Greedy, AStopStringMayBeginInThePrompt) {
  Options options = greedy();
  options.stop_strings =
      std::make_shared<StopStrings>(std::vector<std::string>{"ab"}, std::vector<std::string>{"a", "b"});
  options.eos_token_ids = {};
  EXPECT_EQ(tokens_of(search_one(table({}, {.4, .6}), options)), (std::vector<Tokens>{{1}}));
}

TEST(Greedy, LogProbabilitiesAreOfTheRawLogits) {
  Options options = greedy(3);
  options.repetition_penalty = 1.5;
  options.forced_eos_token_ids = {kEos};
  const ImageResult result = search_one(table({{{}, {.1, .5, .2, .1, .1}}}, {.5, .5, 0, 0, 0}), options);
  ASSERT_EQ(tokens_of(result), (std::vector<Tokens>{{1, kEos}}));
  const std::vector<float>& log_probs = result.hypotheses[0].token_log_probs;
  EXPECT_NEAR(log_probs.at(0), std::log(.5), 1e-6);
  EXPECT_EQ(log_probs.at(1), std::numeric_limits<float>::lowest());  // forced; the model would never
}

TEST(Greedy, InvalidValuesMayBeRemoved) {
  Options options = greedy(2);
  options.remove_invalid_values = true;
  const auto taken = [&](std::vector<float> logits) {
    return tokens_of(search_one([=](std::int64_t, const Tokens&) { return logits; }, options)).at(0).at(0);
  };
  EXPECT_EQ(taken({-1, -2, kNan, -3, -4}), 2);  // NaN counts as 0
  EXPECT_EQ(taken({1, 2, kNan, 3, kInf}), kEos);
  EXPECT_EQ(taken({-kInf, -kInf, -kInf, -kInf, -kInf}), 0);
}

TEST(Greedy, ScoresBeyondFloatAreAnError) {
  Options options = greedy();
  options.repetition_penalty = 1e-37;
  const LogitsOf model = [](std::int64_t, const Tokens&) { return std::vector<float>{9e5f, 1, 1, 1, 1}; };
  EXPECT_NE(search_one(model, options).error.find("+inf"), std::string::npos);
}

TEST(Greedy, AFinishedImageLeavesTheBatch) {
  // Image i ends after i + 1 tokens.
  const LogitsOf model = [](std::int64_t image, const Tokens& history) {
    const bool end = static_cast<std::int64_t>(history.size()) == image + 1;
    return probabilities(end ? std::vector<double>{0, 0, 0, 0, 1} : std::vector<double>{0, 1, 0, 0, 0});
  };
  FakeDecoder decoder(3, model);
  const std::vector<ImageResult> results = search(decoder, 3, Tokens{0}, greedy());
  EXPECT_EQ(tokens_of(results[0]), (std::vector<Tokens>{{kEos}}));
  EXPECT_EQ(tokens_of(results[1]), (std::vector<Tokens>{{1, kEos}}));
  EXPECT_EQ(tokens_of(results[2]), (std::vector<Tokens>{{1, 1, kEos}}));
  EXPECT_EQ(decoder.steps, (std::vector<std::size_t>{3, 2, 1}));
  EXPECT_EQ(decoder.compacts, (std::vector<std::vector<std::int32_t>>{{1, 2}, {1}}));
  EXPECT_TRUE(decoder.gathers.empty());
}

TEST(Greedy, NanIsTheErrorOfItsImageAlone) {
  const LogitsOf good = random_logits(3, 5, 4.0f);
  for (const float bad : {kNan, kInf}) {
    const LogitsOf model = [&](std::int64_t image, const Tokens& history) {
      std::vector<float> logits = good(image, history);
      if (image == 1 && history.size() == 2) logits[2] = bad;
      return logits;
    };
    Options options = greedy();
    options.min_new_tokens = 3;
    FakeDecoder decoder(3, model);
    const std::vector<ImageResult> results = search(decoder, 3, Tokens{0}, options);
    FakeDecoder without(3, good);
    const std::vector<ImageResult> expected = search(without, 3, Tokens{0}, options);
    EXPECT_NE(results[1].error, "");
    EXPECT_TRUE(results[1].hypotheses.empty());
    for (const std::size_t image : {0u, 2u}) {
      EXPECT_EQ(tokens_of(results[image]), tokens_of(expected[image]));
      EXPECT_EQ(results[image].error, "");
    }
  }
}

TEST(Greedy, NothingPossibleIsAnError) {
  EXPECT_NE(search_one(table({}, {0, 0, 0, 0, 0}), greedy()).error, "");
  Options options = greedy();
  options.no_repeat_ngram_size = 1;
  options.eos_token_ids = {};
  EXPECT_NE(search_one(table({}, {.2, .2, .2, .2, .2}), options).error, "");  // five tokens, and nine asked for
}

TEST(Greedy, DoesNotDependOnTheBatch) {
  const LogitsOf model = random_logits(11, 300, 12.0f);
  Options options = greedy(12);
  options.repetition_penalty = 1.3;
  FakeDecoder decoder(8, model);
  const std::vector<ImageResult> together = search(decoder, 8, Tokens{0}, options);
  for (std::int64_t image = 0; image < 8; ++image) {
    FakeDecoder alone(1, [&](std::int64_t, const Tokens& history) { return model(image, history); });
    const ImageResult result = search(alone, 1, Tokens{0}, options).at(0);
    EXPECT_EQ(tokens_of(result), tokens_of(together[static_cast<std::size_t>(image)]));
    EXPECT_EQ(result.hypotheses[0].score, together[static_cast<std::size_t>(image)].hypotheses[0].score);
  }
}

// A decoder that does not keep its contract.
class BrokenDecoder : public Decoder {
 public:
  explicit BrokenDecoder(std::vector<Logits> answers) : answers_(std::move(answers)) {}
  Logits step(std::span<const std::int64_t>, std::int64_t) override {
    if (calls_ == answers_.size()) throw std::domain_error("the decoder's own");
    return answers_[calls_++];
  }
  void gather(std::span<const std::int32_t>) override {}
  void compact(std::span<const std::int32_t>) override {}

 private:
  std::vector<Logits> answers_;
  std::size_t calls_ = 0;
};

TEST(Search, RefusesLogitsOfAWrongSize) {
  const std::vector<float> values(20, 1.0f);
  const auto given = [&](std::size_t size, std::int64_t vocab) {
    return Logits{std::span<const float>(values).first(size), vocab};
  };
  const auto search_with = [](std::vector<Logits> answers) {
    BrokenDecoder decoder(std::move(answers));
    return search(decoder, 2, Tokens{0}, greedy());
  };
  EXPECT_THROW(search_with({given(9, 5)}), std::runtime_error);
  EXPECT_THROW(search_with({given(20, 5)}), std::runtime_error);
  EXPECT_THROW(search_with({given(0, 0)}), std::runtime_error);
  EXPECT_THROW(search_with({given(10, -5)}), std::runtime_error);
  EXPECT_THROW(search_with({given(10, std::numeric_limits<std::int64_t>::max())}), std::runtime_error);
  EXPECT_THROW(search_with({given(10, 5), given(12, 6)}), std::runtime_error);
  EXPECT_THROW(search_with({given(8, 4)}), std::invalid_argument);  // the EOS is token 4
}

TEST(Search, PassesOnWhatTheDecoderThrows) {
  BrokenDecoder decoder({});
  EXPECT_THROW(search(decoder, 1, Tokens{0}, greedy()), std::domain_error);
}

}  // namespace
}  // namespace beamcap::search
