// Sampling, with one beam and with several.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <stdexcept>
#include <vector>

#include "tests/fake_decoder.h"

namespace beamcap::search {
namespace {

// Tokens 0 (also the start) to 3, and the EOS.
constexpr std::int64_t kEos = 4;

Options sampling(std::int64_t num_return_sequences, std::int64_t max_length = 10) {
  Options options;
  options.do_sample = true;
  options.num_return_sequences = num_return_sequences;
  options.max_length = max_length;
  options.eos_token_ids = {kEos};
  return options;
}

Options beam_sampling(std::int64_t num_beams, std::int64_t max_length = 10) {
  Options options = sampling(num_beams, max_length);
  options.num_beams = num_beams;
  return options;
}

// Searches with the prompt {0} and an image's seed of 1000 + its number.
std::vector<ImageResult> sample(FakeDecoder& decoder, std::int64_t images, const Options& options) {
  std::vector<std::uint64_t> seeds;
  for (std::int64_t image = 0; image < images; ++image) seeds.push_back(1000 + static_cast<std::uint64_t>(image));
  return search(decoder, images, Tokens{0}, options, seeds);
}

ImageResult sample_one(const LogitsOf& model, const Options& options, std::uint64_t seed) {
  FakeDecoder decoder(1, model);
  return search(decoder, 1, Tokens{0}, options, std::vector<std::uint64_t>{seed}).at(0);
}

void expect_equal(const ImageResult& a, const ImageResult& b) {
  EXPECT_EQ(tokens_of(a), tokens_of(b));
  EXPECT_EQ(a.error, b.error);
  for (std::size_t i = 0; i < a.hypotheses.size(); ++i) {
    EXPECT_EQ(a.hypotheses[i].score, b.hypotheses[i].score);
    EXPECT_EQ(a.hypotheses[i].token_log_probs, b.hypotheses[i].token_log_probs);
  }
}

// One beam.

TEST(Sampling, DrawsFromTheSoftmaxOfTheScores) {
  Options options = sampling(4000, 2);
  options.suppress_tokens = {3};
  const ImageResult result = sample_one(table({}, {.1, .2, .1, .5, .1}), options, 1);
  std::map<std::int64_t, int> count;
  for (const Hypothesis& hypothesis : result.hypotheses) ++count[hypothesis.tokens.at(0)];
  EXPECT_EQ(count[3], 0);
  EXPECT_NEAR(count[1], 1600, 4 * std::sqrt(4000 * .4 * .6));
  for (const std::int64_t token : {0, 2, 4}) EXPECT_NEAR(count[token], 800, 4 * std::sqrt(4000 * .2 * .8));
}

TEST(Sampling, GoesOnFromWhatItDrew) {
  // Each token is followed by the next, whatever came first; a sequence that ended may still be fed.
  const LogitsOf model = [](std::int64_t, const Tokens& history) {
    if (history.size() == 1) return probabilities({.25, .25, .25, .25, 0});
    std::vector<double> next(5, 0);
    next.at(static_cast<std::size_t>(std::min(history.back() + 1, kEos))) = 1;
    return probabilities(next);
  };
  for (const Hypothesis& hypothesis : sample_one(model, sampling(50), 3).hypotheses) {
    for (std::size_t i = 1; i < hypothesis.tokens.size(); ++i) {
      EXPECT_EQ(hypothesis.tokens[i], hypothesis.tokens[i - 1] + 1);
    }
    EXPECT_EQ(hypothesis.tokens.back(), kEos);
    EXPECT_EQ(hypothesis.finish_reason, FinishReason::kEos);
  }
}

TEST(Sampling, TheFirstSequencesDoNotDependOnHowManyFollow) {
  const LogitsOf model = random_logits(5, 40, 6.0f);
  const std::vector<Tokens> many = tokens_of(sample_one(model, sampling(6), 9));
  EXPECT_EQ(tokens_of(sample_one(model, sampling(2), 9)), (std::vector<Tokens>{many[0], many[1]}));
  EXPECT_NE(many[0], many[1]);
}

TEST(Sampling, AnImageKeepsItsRowsUntilAllItsSequencesHaveEnded) {
  // The two of image 0 end at once; of image 1 after three tokens.
  const LogitsOf model = [](std::int64_t image, const Tokens& history) {
    const bool end = image == 0 || history.size() == 3;
    return probabilities(end ? std::vector<double>{0, 0, 0, 0, 1} : std::vector<double>{0, .5, .5, 0, 0});
  };
  FakeDecoder decoder(2, model);
  const std::vector<ImageResult> results = sample(decoder, 2, sampling(2));
  EXPECT_EQ(tokens_of(results[0]), (std::vector<Tokens>{{kEos}, {kEos}}));
  for (const Tokens& tokens : tokens_of(results[1])) EXPECT_EQ(tokens.size(), 3u);
  EXPECT_EQ(decoder.steps, (std::vector<std::size_t>{2, 2, 2}));
  EXPECT_EQ(decoder.compacts, (std::vector<std::vector<std::int32_t>>{{1}}));
  EXPECT_EQ(decoder.gathers, (std::vector<std::vector<std::int32_t>>{{0, 0}}));
}

TEST(Sampling, AnEndedSequenceStaysAsItIs) {
  const LogitsOf model = table({{{}, {0, .5, 0, 0, .5}}}, {0, 1, 0, 0, 0});
  for (const Tokens& tokens : tokens_of(sample_one(model, sampling(20, 4), 2))) {
    EXPECT_TRUE(tokens == Tokens{kEos} || tokens == (Tokens{1, 1, 1}));
  }
}

TEST(Sampling, LeavesOutADeadEnd) {
  // Token 1 has no continuation.
  const LogitsOf model = table({{{}, {0, .5, .5, 0, 0}}, {{1}, {0, 1, 0, 0, 0}}}, {0, 0, 0, 0, 1});
  Options options = sampling(20);
  options.no_repeat_ngram_size = 1;
  const ImageResult result = sample_one(model, options, 2);
  EXPECT_EQ(result.error, "");
  EXPECT_LT(result.hypotheses.size(), 20u);
  for (const Tokens& tokens : tokens_of(result)) EXPECT_EQ(tokens, (Tokens{2, kEos}));
  options.suppress_tokens = {2};
  EXPECT_NE(sample_one(model, options, 2).error, "");
}

TEST(Sampling, ScoresAndLogProbabilitiesAreOfTheRawLogits) {
  Options options = sampling(1, 3);
  options.temperature = 0.2;
  options.top_k = 1;
  options.length_penalty = 2.0;
  const ImageResult result = sample_one(table({}, {.1, .6, .1, .1, .1}), options, 4);
  EXPECT_EQ(tokens_of(result), (std::vector<Tokens>{{1, 1}}));
  for (const float log_prob : result.hypotheses[0].token_log_probs) EXPECT_NEAR(log_prob, std::log(.6), 1e-6);
  EXPECT_NEAR(result.hypotheses[0].score, 2 * std::log(.6) / 4, 1e-6);
}

// Several beams.

TEST(BeamSampling, ScoresAreThoseOfBeamSearch) {
  const LogitsOf model = table({}, {0, .6, .4, 0, 0});
  Options options = beam_sampling(2, 3);
  options.eos_token_ids = {};
  options.length_penalty = 0.0;
  for (std::uint64_t seed = 0; seed < 10; ++seed) {
    const ImageResult result = sample_one(model, options, seed);
    ASSERT_EQ(result.hypotheses.size(), 2u);
    EXPECT_GE(result.hypotheses[0].score, result.hypotheses[1].score);
    for (const Hypothesis& hypothesis : result.hypotheses) {
      const double first = hypothesis.token_log_probs.at(0);
      EXPECT_NEAR(hypothesis.score, first + hypothesis.token_log_probs.at(1), 1e-6);
    }
  }
}

TEST(BeamSampling, RankIsTheOrderOfTheDraws) {
  // At the only step K = 4 of the five tokens are drawn and all stop; the first two are the hypotheses, the better
  // first. That token 0, by far the likeliest, is drawn third or later is rare, that token 1 is, is not.
  const LogitsOf model = table({}, {.96, .01, .01, .01, .01});
  int with_0 = 0;
  int with_1 = 0;
  for (std::uint64_t seed = 0; seed < 400; ++seed) {
    for (const Tokens& tokens : tokens_of(sample_one(model, beam_sampling(2, 2), seed))) {
      if (tokens[0] == 0) ++with_0;
      if (tokens[0] == 1) ++with_1;
    }
  }
  EXPECT_GT(with_0, 390);
  EXPECT_NEAR(with_1, 100, 35);  // a quarter of the second places
}

TEST(BeamSampling, LiveBeamsAreTheBestOfTheDrawn) {
  // Every token is drawn; the two best of those that go on live, whatever the order of the draws.
  const LogitsOf model = table({{{}, {0, .3, .26, .24, .2}}, {{1}, {0, 0, 0, 0, 1}}, {{2}, {0, 0, 0, 0, 1}}},
                               {1, 0, 0, 0, 0});
  Options options = beam_sampling(2, 3);
  options.length_penalty = 0.0;
  options.early_stopping = EarlyStopping::kNever;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    for (const Tokens& tokens : tokens_of(sample_one(model, options, seed))) EXPECT_NE(tokens[0], 3);
  }
}

TEST(BeamSampling, TheIdleBeamsFillTheFirstStepWhereWarpersLeaveLess) {
  // Two tokens are left, of K = 8 candidates.
  Options options = beam_sampling(4, 4);
  options.eos_token_ids = {};
  options.top_k = 1;  // but two are kept
  const ImageResult result = sample_one(random_logits(3, 9, 3.0f), options, 5);
  EXPECT_EQ(result.error, "");
  EXPECT_EQ(result.hypotheses.size(), 4u);
}

// All of it.

TEST(Sampling, SameSeedSameResult) {
  const LogitsOf model = random_logits(8, 300, 8.0f);
  for (const Options& options : {sampling(3), beam_sampling(3)}) {
    expect_equal(sample_one(model, options, 7), sample_one(model, options, 7));
    EXPECT_NE(tokens_of(sample_one(model, options, 7)), tokens_of(sample_one(model, options, 8)));
  }
}

TEST(Sampling, DoesNotDependOnTheBatch) {
  const LogitsOf model = random_logits(11, 300, 9.0f);
  for (Options options : {sampling(3), beam_sampling(3)}) {
    options.temperature = 0.8;
    options.top_k = 20;
    options.top_p = 0.95;
    FakeDecoder decoder(64, model);
    const std::vector<ImageResult> together = sample(decoder, 64, options);
    for (const std::int64_t image : {0, 1, 31, 63}) {
      const LogitsOf its = [&](std::int64_t, const Tokens& history) { return model(image, history); };
      expect_equal(sample_one(its, options, 1000 + static_cast<std::uint64_t>(image)),
                   together[static_cast<std::size_t>(image)]);
    }
  }
}

TEST(Sampling, SeedsAreOneAnImage) {
  FakeDecoder decoder(2, random_logits(1, 9, 1.0f));
  const auto search_with = [&](std::vector<std::uint64_t> seeds, const Options& options) {
    return search(decoder, 2, Tokens{0}, options, seeds);
  };
  EXPECT_THROW(search_with({}, sampling(1)), std::invalid_argument);
  EXPECT_THROW(search_with({1}, sampling(1)), std::invalid_argument);
  EXPECT_THROW(search_with({1, 2, 3}, sampling(1)), std::invalid_argument);
  EXPECT_THROW(search_with({1, 2}, Options{}), std::invalid_argument);
  EXPECT_TRUE(decoder.steps.empty());
}

}  // namespace
}  // namespace beamcap::search
