// Beam search: each test is of one numbered step of the search semantics, by probabilities small enough to work out by
// hand.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/fake_decoder.h"

namespace beamcap::search {
namespace {

// Tokens 0 (also the start) to 3, and the EOS.
constexpr std::int64_t kEos = 4;
constexpr double kNoLengthPenalty = 0.0;  // the score is the log-probability

Options two_beams(std::int64_t max_length, double length_penalty = kNoLengthPenalty) {
  Options options;
  options.num_beams = options.num_return_sequences = 2;
  options.max_length = max_length;
  options.length_penalty = length_penalty;
  options.eos_token_ids = {kEos};
  return options;
}

void expect_hypotheses(const ImageResult& result, const std::vector<Tokens>& tokens,
                       const std::vector<double>& probabilities_of) {
  EXPECT_EQ(result.error, "");
  EXPECT_EQ(tokens_of(result), tokens);
  ASSERT_EQ(result.hypotheses.size(), probabilities_of.size());
  for (std::size_t i = 0; i < probabilities_of.size(); ++i) {
    EXPECT_NEAR(result.hypotheses[i].score, std::log(probabilities_of[i]), 1e-6) << "hypothesis " << i;
  }
}

// Step 1.

TEST(BeamScores, AreSumsOfLogSoftmax) {
  const LogitsOf model =
      table({{{}, {0, .6, .4, 0, 0}}, {{1}, {0, .3, 0, .7, 0}}, {{2}, {0, .4, .6, 0, 0}}}, {1, 0, 0, 0, 0});
  expect_hypotheses(search_one(model, two_beams(3)), {{1, 3}, {2, 2}}, {.42, .24});
}

TEST(BeamScores, ProcessorsActOnLogProbabilitiesAndNothingIsRenormalised) {
  Options options = two_beams(2);
  options.repetition_penalty = 2.0;
  // The start token 0 was seen: log(.5) * 2 = log(.25).
  expect_hypotheses(search_one(table({}, {.5, .3, .2, 0, 0}), options), {{1}, {0}}, {.3, .25});
}

TEST(BeamScores, ProcessorsSeeTheTokensOfTheirBeam) {
  Options options = two_beams(4);
  options.no_repeat_ngram_size = 1;
  options.eos_token_ids = {};
  // The start token 0 is banned at once, and each beam's own tokens after it.
  expect_hypotheses(search_one(table({}, {.4, .3, .2, .1}), options), {{1, 2, 3}, {2, 1, 3}}, {.006, .006});
}

TEST(BeamScores, AreRenormalisedIfAskedFor) {
  Options options = two_beams(2);
  options.suppress_tokens = {0};
  options.renormalize_logits = true;
  expect_hypotheses(search_one(table({}, {.5, .3, .2, 0, 0}), options), {{1}, {2}}, {.6, .4});
}

TEST(BeamScores, OfInvalidLogitsAreAllEqualIfTheseAreRemoved) {
  Options options = two_beams(2);
  options.remove_invalid_values = true;
  for (const float bad : {kNan, kInf}) {
    const LogitsOf model = [bad](std::int64_t, const Tokens&) { return std::vector<float>{1, 2, bad, 3, 4}; };
    const ImageResult result = search_one(model, options);
    expect_hypotheses(result, {{0}, {1}}, {1, 1});
    EXPECT_EQ(result.hypotheses[0].token_log_probs, std::vector<float>{std::numeric_limits<float>::lowest()});
  }
}

TEST(BeamScores, AForcedTokenAddsNothing) {
  Options options = two_beams(3);
  options.forced_eos_token_ids = {kEos};
  const LogitsOf model = table({{{}, {0, .6, .4, 0, 0}}}, {0, .9, 0, 0, .1});
  const ImageResult result = search_one(model, options);
  expect_hypotheses(result, {{1, kEos}, {2, kEos}}, {.6, .4});
  EXPECT_NEAR(result.hypotheses[1].token_log_probs.at(0), std::log(.4), 1e-6);
  EXPECT_NEAR(result.hypotheses[1].token_log_probs.at(1), std::log(.1), 1e-6);
}

TEST(BeamScores, BeyondFloatAreAnError) {
  Options options = two_beams(9);
  options.sequence_bias = {{{1}, 3e38}, {{2}, 3e38}};
  options.min_new_tokens = 5;
  EXPECT_NE(search_one(random_logits(1, 5, 1.0f), options).error.find("+inf"), std::string::npos);
}

TEST(BeamRows, TheFirstStepHasOneRowAnImage) {
  FakeDecoder decoder(3, random_logits(1, 9, 3.0f));
  Options options = two_beams(5);
  options.eos_token_ids = {};
  search(decoder, 3, Tokens{0}, options);
  EXPECT_EQ(decoder.steps, (std::vector<std::size_t>{3, 6, 6, 6}));
  EXPECT_EQ(decoder.gathers.at(0), (std::vector<std::int32_t>{0, 0, 1, 1, 2, 2}));
}

// Step 2.

TEST(BeamCandidates, AreEnoughToOutlastEveryEosOfEveryBeam) {
  // Two EOS, 3 and 4, are the four best continuations of the two beams: K = 6 reaches the two that live on.
  const LogitsOf model = table(
      {{{}, {0, .5, .5, 0, 0, 0}}, {{1}, {0, 0, 0, .4, .4, .2}}, {{2}, {0, 0, 0, .4, .4, .2}}}, {0, 0, 0, 1, 0, 0});
  Options options = two_beams(4, 2.0);
  options.eos_token_ids = {3, 4};
  options.early_stopping = EarlyStopping::kNever;
  EXPECT_EQ(tokens_of(search_one(model, options)), (std::vector<Tokens>{{1, 5, 3}, {2, 5, 3}}));
}

TEST(BeamCandidates, SmallerFlatIndexFirstAmongEquals) {
  Options options = two_beams(3);
  options.eos_token_ids = {};
  expect_hypotheses(search_one(table({}, {.25, .25, .25, .25}), options), {{0, 0}, {0, 1}}, {1. / 16, 1. / 16});
}

TEST(BeamCandidates, OfASmallVocabularyCountTheIdleBeams) {
  // Four beams of three tokens: at first only one beam counts, and the second step fills the others.
  Options options = two_beams(3);
  options.num_beams = options.num_return_sequences = 4;
  options.eos_token_ids = {};
  const LogitsOf model = table({{{}, {.5, .3, .2}}}, {.6, .3, .1});
  expect_hypotheses(search_one(model, options), {{0, 0}, {1, 0}, {0, 1}, {2, 0}}, {.3, .18, .15, .12});
}

// Step 3.

TEST(BeamStops, AtAnyEos) {
  Options options = two_beams(9);
  options.eos_token_ids = {kEos, 2};
  const ImageResult result = search_one(table({}, {0, 0, .6, 0, .4}), options);
  expect_hypotheses(result, {{2}, {kEos}}, {.6, .4});
  EXPECT_EQ(result.hypotheses[0].finish_reason, FinishReason::kEos);
}

TEST(BeamStops, AtMaxLengthPromptIncluded) {
  FakeDecoder decoder(1, table({}, {0, .6, .4, 0, 0}, 3));
  const ImageResult result = search(decoder, 1, Tokens{0, 0, 0}, two_beams(5)).at(0);
  expect_hypotheses(result, {{1, 1}, {1, 2}}, {.36, .24});
  EXPECT_EQ(result.hypotheses[0].finish_reason, FinishReason::kLength);
  EXPECT_EQ(decoder.steps.size(), 2u);
}

// Two stop strings; tokens 1, 2 and 3 spell a, b and c.
Options two_beams_with_stop_strings(std::vector<std::string> strings, std::int64_t max_length) {
  Options options = two_beams(max_length);
  options.stop_strings = std::make_shared<StopStrings>(std::move(strings), std::vector<std::string>{"", "a", "b", "c"});
  return options;
}

TEST(BeamStops, WhereAStopStringIsComplete) {
  // {1 2} completes "ab" as the best, at the second step.
  const LogitsOf model = table({{{}, {0, .6, .4, 0, 0}}, {{1}, {0, 0, .9, .1, 0}}, {{2}, {0, 0, 0, 1, 0}}},
                               {0, 0, 0, 0, 1});
  const ImageResult result = search_one(model, two_beams_with_stop_strings({"ab"}, 9));
  expect_hypotheses(result, {{1, 2}, {2, 3, kEos}}, {.54, .4});
  EXPECT_EQ(result.hypotheses[0].finish_reason, FinishReason::kStopString);
  EXPECT_EQ(result.hypotheses[1].finish_reason, FinishReason::kEos);
}

TEST(BeamStops, AStopStringRankedBOrWorseIsDroppedForGood) {
  const LogitsOf model = table({{{}, {0, .4, .35, .25, 0}}}, {0, .5, .5, 0, 0});
  expect_hypotheses(search_one(model, two_beams_with_stop_strings({"c"}, 3)), {{1, 1}, {1, 2}}, {.2, .2});
}

TEST(BeamStops, ReasonsInOrder) {
  Options options = two_beams_with_stop_strings({"a", "b"}, 2);
  options.eos_token_ids = {2};
  const ImageResult result = search_one(table({}, {0, .6, .4, 0, 0}), options);
  EXPECT_EQ(result.hypotheses.at(0).finish_reason, FinishReason::kStopString);  // and length
  EXPECT_EQ(result.hypotheses.at(1).finish_reason, FinishReason::kEos);         // and both others
}

// Step 4.

TEST(BeamLive, AStoppedCandidateDoesNotLiveOn) {
  const LogitsOf model =
      table({{{}, {0, .3, .1, 0, .6}}, {{1}, {0, 0, 0, 0, 1}}, {{2}, {0, 1, 0, 0, 0}}}, {0, 1, 0, 0, 0});
  FakeDecoder decoder(1, [&](std::int64_t image, const Tokens& history) {
    EXPECT_NE(history.back(), kEos);
    return model(image, history);
  });
  expect_hypotheses(search(decoder, 1, Tokens{0}, two_beams(9)).at(0), {{kEos}, {1, kEos}}, {.6, .3});
}

TEST(BeamLive, AreTheBestOfThoseThatGoOn) {
  // At the second step the best two of {1 2} .3, {2 1} .28, {1 1} .18, {2 2} .12.
  const LogitsOf model = table({{{}, {0, .48, .4, 0, .12}}, {{1}, {0, .375, .625, 0, 0}}, {{2}, {0, .7, .3, 0, 0}}},
                               {0, 0, 0, 0, 1});
  expect_hypotheses(search_one(model, two_beams(9)), {{1, 2, kEos}, {2, 1, kEos}}, {.3, .28});
}

// Step 5.

TEST(BeamFinished, LengthCountsGeneratedTokensWithEos) {
  FakeDecoder decoder(1, table({{{}, {0, .7, .3, 0, 0}}}, {0, 0, 0, 0, 1}, 3));
  const ImageResult result = search(decoder, 1, Tokens{0, 0, 0}, two_beams(9, 2.0)).at(0);
  EXPECT_EQ(tokens_of(result), (std::vector<Tokens>{{1, kEos}, {2, kEos}}));
  EXPECT_NEAR(result.hypotheses[0].score, std::log(.7) / 4, 1e-6);
  EXPECT_NEAR(result.hypotheses[1].score, std::log(.3) / 4, 1e-6);
}

TEST(BeamFinished, AnEosRankedBOrWorseIsDroppedForGood) {
  const LogitsOf model = table({{{}, {0, .4, .35, 0, .25}}}, {0, .5, .5, 0, 0});
  expect_hypotheses(search_one(model, two_beams(3)), {{1, 1}, {1, 2}}, {.2, .2});
}

TEST(BeamFinished, TheBestStayInOrder) {
  // {EOS} .35, then {1 EOS} .36 and {2 EOS} .25.
  const LogitsOf model =
      table({{{}, {0, .4, .25, 0, .35}}, {{1}, {0, .1, 0, 0, .9}}, {{2}, {0, 0, 0, 0, 1}}}, {0, 1, 0, 0, 0});
  expect_hypotheses(search_one(model, two_beams(9)), {{1, kEos}, {kEos}}, {.36, .35});
}

TEST(BeamFinished, TheOlderFirstAmongEquals) {
  const LogitsOf model = table({{{}, {0, .5, 0, 0, .5}}}, {0, 0, 0, 0, 1});
  expect_hypotheses(search_one(model, two_beams(9)), {{kEos}, {1, kEos}}, {.5, .5});
}

// Step 6.

TEST(BeamGather, RowsFollowTheBeamsThatCross) {
  const LogitsOf model = table({{{}, {0, .6, .4, 0, 0}},
                                {{1}, {.25, .25, .25, .25, 0}},
                                {{2}, {0, 0, 0, 1, 0}},
                                {{2, 3}, {0, 1, 0, 0, 0}},
                                {{1, 0}, {0, 0, 1, 0, 0}}},
                               {1, 0, 0, 0, 0});
  FakeDecoder decoder(1, model);
  const ImageResult result = search(decoder, 1, Tokens{0}, two_beams(5)).at(0);
  expect_hypotheses(result, {{2, 3, 1, 0}, {1, 0, 2, 0}}, {.4, .15});
  // Grown, crossed; then every row stays in its place.
  EXPECT_EQ(decoder.gathers, (std::vector<std::vector<std::int32_t>>{{0, 0}, {1, 0}}));
}

TEST(BeamGather, AFinishedImageLeavesTheBatchBefore) {
  // Image 1 ends at the first step, image 0 at the second.
  const LogitsOf model = [](std::int64_t image, const Tokens& history) {
    if (image == 1) return probabilities({0, 0, 0, .4, .6});
    if (image == 0 && history.size() == 2) return probabilities({.1, 0, 0, .2, .7});
    return probabilities(history.size() == 1 ? std::vector<double>{0, .7, .3, 0, 0}
                                             : std::vector<double>{.15, .6, .25, 0, 0});
  };
  Options options = two_beams(5);
  options.eos_token_ids = {3, kEos};
  FakeDecoder decoder(3, model);
  const std::vector<ImageResult> results = search(decoder, 3, Tokens{0}, options);
  expect_hypotheses(results[0], {{1, kEos}, {2, kEos}}, {.49, .21});
  expect_hypotheses(results[1], {{kEos}, {3}}, {.6, .4});
  expect_hypotheses(results[2], {{1, 1, 1, 1}, {2, 1, 1, 1}}, {.1512, .0648});
  EXPECT_EQ(decoder.steps, (std::vector<std::size_t>{3, 4, 2, 2}));
  EXPECT_EQ(decoder.compacts, (std::vector<std::vector<std::int32_t>>{{0, 2}, {1}}));
  EXPECT_EQ(decoder.gathers.at(0), (std::vector<std::int32_t>{0, 0, 1, 1}));
}

// Step 7.

// {EOS} has log(.5); {1 EOS} log(.2) / 2 = -.80; {1 0} log(.15) / 2 = -.95 by its present length, but nothing more is
// lost on its way to the fifth token: -.38.
const LogitsOf kLateBloomer =
    table({{{}, {0, .5, 0, 0, .5}}, {{1}, {.3, .1, .1, .1, .4}}, {{1, 0, 1, 1}, {0, 0, 0, 0, 1}}}, {0, 1, 0, 0, 0});

TEST(BeamImprovable, ByThePresentLength) {
  EXPECT_EQ(tokens_of(search_one(kLateBloomer, two_beams(6, 1.0))), (std::vector<Tokens>{{kEos}, {1, kEos}}));
}

TEST(BeamImprovable, ThePresentLengthIsThatOfTheLongerSequences) {
  // {1 EOS} log(.2) / 2 = -.80; {1 0} log(.3) / 2 = -.60, though / 1 it would be -1.2.
  const LogitsOf model = table({{{}, {0, .5, 0, 0, .5}}, {{1}, {.6, 0, 0, 0, .4}}}, {0, 0, 0, 0, 1});
  EXPECT_EQ(tokens_of(search_one(model, two_beams(9, 1.0))), (std::vector<Tokens>{{1, 0, kEos}, {kEos}}));
}

TEST(BeamImprovable, NotByADraw) {
  FakeDecoder decoder(1, table({{{}, {0, .5, 0, 0, .5}}, {{1}, {.5, 0, 0, 0, .5}}}, {0, 0, 0, 0, 1}));
  expect_hypotheses(search(decoder, 1, Tokens{0}, two_beams(9)).at(0), {{kEos}, {1, kEos}}, {.5, .25});
  EXPECT_EQ(decoder.steps.size(), 2u);
}

TEST(BeamImprovable, ByTheGreatestLengthIfNever) {
  Options options = two_beams(6, 1.0);
  options.early_stopping = EarlyStopping::kNever;
  EXPECT_EQ(tokens_of(search_one(kLateBloomer, options)), (std::vector<Tokens>{{1, 0, 1, 1, kEos}, {1, 1, 1, 1, 1}}));
}

TEST(BeamImprovable, TheGreatestLengthIsThatOfTheCaptionAlone) {
  // {1 EOS} log(.067 * .99) / 2 = -1.4. {1 1} log(.067 * .01) / 5 = -1.5 at best, though / 6 it would be -1.2.
  FakeDecoder decoder(1, table({{{}, {0, .067, 0, 0, .933}}, {{1}, {0, .01, 0, 0, .99}}}, {0, 0, 0, 0, 1}));
  Options options = two_beams(6, 1.0);
  options.early_stopping = EarlyStopping::kNever;
  EXPECT_EQ(tokens_of(search(decoder, 1, Tokens{0}, options).at(0)), (std::vector<Tokens>{{kEos}, {1, kEos}}));
  EXPECT_EQ(decoder.steps.size(), 2u);
}

TEST(BeamImprovable, ByThePresentLengthIfNeverAndLongIsWorse) {
  // {1 EOS} log(.1) * 2 = -4.6. {1 0} log(.4) * 2 = -1.8 now, and -2.7 when it ends; * 6 would be -5.5.
  const LogitsOf model = table({{{}, {0, .5, 0, 0, .5}}, {{1}, {.8, 0, 0, 0, .2}}}, {0, 0, 0, 0, 1});
  Options options = two_beams(7, -1.0);
  options.early_stopping = EarlyStopping::kNever;
  EXPECT_EQ(tokens_of(search_one(model, options)), (std::vector<Tokens>{{kEos}, {1, 0, kEos}}));
}

TEST(BeamImprovable, WhileASlotIsEmpty) {
  const LogitsOf model = table({{{}, {0, .1, 0, 0, .9}}, {{1}, {0, .5, .5, 0, 0}}}, {0, 0, 0, 0, 1});
  expect_hypotheses(search_one(model, two_beams(9)), {{kEos}, {1, 1, kEos}}, {.9, .05});
}

// Steps 7 and 8: {EOS} .5 and {1 EOS} .16 fill the slots, while {1 1} .24 beats the worse of them.
const LogitsOf kBetterThird = table({{{}, {0, .4, .1, 0, .5}}, {{1}, {0, .6, 0, 0, .4}}, {{2}, {0, 1, 0, 0, 0}}},
                                    {0, 0, 0, 0, 1});

TEST(BeamImprovable, IfTheBestLiveBeatsTheWorstSlot) {
  expect_hypotheses(search_one(kBetterThird, two_beams(9)), {{kEos}, {1, 1, kEos}}, {.5, .24});
}

// Step 8.

TEST(BeamGoesOn, NotWhenFullIfEarlyStopping) {
  Options options = two_beams(9);
  options.early_stopping = EarlyStopping::kWhenFull;
  FakeDecoder decoder(1, kBetterThird);
  expect_hypotheses(search(decoder, 1, Tokens{0}, options).at(0), {{kEos}, {1, kEos}}, {.5, .16});
  EXPECT_EQ(decoder.steps.size(), 2u);
}

TEST(BeamGoesOn, WhenNotFullIfEarlyStopping) {
  Options options = two_beams(9);
  options.early_stopping = EarlyStopping::kWhenFull;
  const LogitsOf model = table({{{}, {0, .1, 0, 0, .9}}, {{1}, {0, .5, .5, 0, 0}}}, {0, 0, 0, 0, 1});
  expect_hypotheses(search_one(model, options), {{kEos}, {1, 1, kEos}}, {.9, .05});
}

TEST(BeamGoesOn, NotWhenNoLiveBeamCanWin) {
  FakeDecoder decoder(1, kBetterThird);
  search(decoder, 1, Tokens{0}, two_beams(9));
  EXPECT_EQ(decoder.steps.size(), 3u);
}

TEST(BeamGoesOn, NotBeyondMaxLength) {
  Options options = two_beams(4);
  options.eos_token_ids = {};
  options.early_stopping = EarlyStopping::kNever;
  FakeDecoder decoder(1, random_logits(1, 9, 3.0f));
  search(decoder, 1, Tokens{0}, options);
  EXPECT_EQ(decoder.steps.size(), 3u);
}

TEST(BeamGoesOn, NotBeyondMaxLengthThoughASlotIsEmpty) {
  // Each token once: {1} may only be followed by 2, which the model denies, and {2} by 1.
  Options options = two_beams(3, 1.0);
  options.no_repeat_ngram_size = 1;
  options.eos_token_ids = {};
  FakeDecoder decoder(1, table({{{}, {0, .5, .5}}, {{1}, {.5, .5, 0}}}, {.5, .5, 0}));
  EXPECT_EQ(tokens_of(search(decoder, 1, Tokens{0}, options).at(0)), (std::vector<Tokens>{{2, 1}}));
  EXPECT_EQ(decoder.steps.size(), 2u);
}

// The result.

TEST(BeamResult, IsAsManyAsAskedFor) {
  Options options = two_beams(3);
  options.num_return_sequences = 1;
  expect_hypotheses(search_one(table({}, {0, .6, .4, 0, 0}), options), {{1, 1}}, {.36});
}

TEST(BeamResult, LogProbabilitiesAreOfTheRawLogitsOfTheHypothesis) {
  // The beams cross: {2 3 1 0} and {1 0 2 0}. The penalty changes the scores, not these.
  const LogitsOf model = table({{{}, {0, .6, .4, 0, 0}},
                                {{1}, {.25, .25, .25, .25, 0}},
                                {{2}, {0, 0, 0, 1, 0}},
                                {{2, 3}, {0, .5, 0, 0, .5}},
                                {{1, 0}, {0, 0, .9, 0, .1}}},
                               {1, 0, 0, 0, 0});
  Options options = two_beams(5);
  options.repetition_penalty = 0.99;
  options.suppress_tokens = {kEos};
  const ImageResult result = search_one(model, options);
  ASSERT_EQ(tokens_of(result), (std::vector<Tokens>{{2, 3, 1, 0}, {1, 0, 2, 0}}));
  const std::vector<std::vector<double>> expected{{.4, 1, .5, 1}, {.6, .25, .9, 1}};
  for (std::size_t i = 0; i < 2; ++i) {
    ASSERT_EQ(result.hypotheses[i].token_log_probs.size(), 4u);
    for (std::size_t j = 0; j < 4; ++j) {
      EXPECT_NEAR(result.hypotheses[i].token_log_probs[j], std::log(expected[i][j]), 1e-6);
    }
  }
}

TEST(BeamResult, IsFewerWhereNoMoreArePossible) {
  expect_hypotheses(search_one(table({}, {0, 0, 0, 0, 1}), two_beams(9)), {{kEos}}, {1});
}

TEST(BeamResult, HoldsNoCopyOfWhatIsForced) {
  Options options = two_beams(3, 1.0);
  options.forced_bos_token_id = 3;
  options.forced_eos_token_ids = {kEos};
  expect_hypotheses(search_one(table({}, {.2, .2, .2, .2, .2}), options), {{3, kEos}}, {1});
}

TEST(BeamResult, GoesNotBeyondAnEnd) {
  // Only {1} can go on, so {EOS} lives on for want of another.
  const LogitsOf model = table({{{}, {0, .6, 0, 0, .4}}, {{1}, {0, 0, 0, 1, 0}}}, {0, 0, 0, 1, 0});
  Options options = two_beams(4, 1.0);
  options.num_beams = options.num_return_sequences = 3;
  EXPECT_EQ(tokens_of(search_one(model, options)), (std::vector<Tokens>{{1, 3, 3}, {kEos}}));
}

TEST(BeamResult, IsAnErrorWhereTheScoreOverflows) {
  Options options = two_beams(3, -2.0);
  options.sequence_bias = {{{1, 1}, 3e38}};  // fits, but not divided by 2**-2
  const ImageResult result = search_one(table({}, {0, .6, .4, 0, 0}), options);
  EXPECT_NE(result.error.find("+inf"), std::string::npos);
  EXPECT_TRUE(result.hypotheses.empty());
}

TEST(BeamResult, IsAnErrorWhereNoneIsPossible) {
  Options options = two_beams(9);
  options.no_repeat_ngram_size = 1;
  options.eos_token_ids = {};
  const ImageResult result = search_one(table({}, {.2, .2, .2, .2, .2}), options);
  EXPECT_NE(result.error, "");
  EXPECT_TRUE(result.hypotheses.empty());
}

TEST(BeamResult, NanIsTheErrorOfItsImageAlone) {
  const LogitsOf good = random_logits(3, 40, 6.0f);
  Options options = two_beams(8);
  options.min_new_tokens = 5;
  FakeDecoder without(4, good);
  const std::vector<ImageResult> expected = search(without, 4, Tokens{0}, options);
  for (const std::size_t fed : {1u, 3u, 6u}) {
    for (const float bad : {kNan, kInf}) {
      FakeDecoder decoder(4, [&](std::int64_t image, const Tokens& history) {
        std::vector<float> logits = good(image, history);
        if (image == 2 && history.size() == fed) logits[39] = bad;
        return logits;
      });
      const std::vector<ImageResult> results = search(decoder, 4, Tokens{0}, options);
      EXPECT_NE(results[2].error.find("the model gave"), std::string::npos);
      EXPECT_TRUE(results[2].hypotheses.empty());
      for (const std::size_t image : {0u, 1u, 3u}) EXPECT_EQ(tokens_of(results[image]), tokens_of(expected[image]));
    }
  }
}

TEST(BeamResult, DoesNotDependOnTheBatch) {
  std::uint64_t seed = 0;
  for (const EarlyStopping early_stopping :
       {EarlyStopping::kHeuristic, EarlyStopping::kWhenFull, EarlyStopping::kNever}) {
    for (const double length_penalty : {-1.0, 0.0, 1.0, 2.5}) {
      const LogitsOf model = random_logits(++seed, 30, 9.0f);
      Options options = two_beams(10, length_penalty);
      options.num_beams = options.num_return_sequences = 3;
      options.early_stopping = early_stopping;
      options.repetition_penalty = 1.2;
      FakeDecoder decoder(8, model);
      const std::vector<ImageResult> together = search(decoder, 8, Tokens{0}, options);
      for (std::int64_t image = 0; image < 8; ++image) {
        FakeDecoder alone(1, [&](std::int64_t, const Tokens& history) { return model(image, history); });
        const ImageResult result = search(alone, 1, Tokens{0}, options).at(0);
        const ImageResult& other = together[static_cast<std::size_t>(image)];
        EXPECT_EQ(tokens_of(result), tokens_of(other));
        for (std::size_t i = 0; i < result.hypotheses.size(); ++i) {
          EXPECT_EQ(result.hypotheses[i].score, other.hypotheses[i].score);
        }
      }
    }
  }
}

}  // namespace
}  // namespace beamcap::search
