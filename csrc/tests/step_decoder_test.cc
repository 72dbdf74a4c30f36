#include "runtime/step_decoder.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <random>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "ort_fixture.h"
#include "runtime/encoder.h"

namespace beamcap::runtime {
namespace {

using Rows = std::vector<std::int32_t>;
using Tokens = std::vector<std::int64_t>;

constexpr std::int64_t kImages = 3;

// The images are different, so that a row that goes to the wrong one is seen.
std::vector<float> pixels() {
  std::mt19937 random(5);
  std::vector<float> values(kImages * 3 * 4 * 4);
  for (float& value : values) value = static_cast<float>(random() % 2000) / 1000.0f - 1.0f;
  return values;
}

Encoded encode_tiny(const Graphs& graphs) {
  const std::vector<float> values = pixels();
  return encode(graphs, Tensor::view(values, {kImages, 3, 4, 4}));
}

using LogitsOfSteps = std::vector<std::vector<float>>;

// Grows, reorders and loses images as a search does; what each step gave.
LogitsOfSteps walk(StepDecoder& decoder) {
  LogitsOfSteps steps;
  const auto step = [&](const Tokens& tokens) {
    const search::Logits logits = decoder.step(tokens, 1);
    EXPECT_EQ(logits.values.size(), tokens.size() * static_cast<std::size_t>(logits.vocab));
    steps.emplace_back(logits.values.begin(), logits.values.end());
  };
  step({1, 1, 1});
  decoder.gather(Rows{0, 0, 1, 1, 2, 2});
  step({3, 4, 5, 6, 7, 8});
  decoder.gather(Rows{1, 0, 2, 2, 5, 4});
  step({9, 10, 11, 12, 0, 1});
  decoder.compact(Rows{0, 2});
  decoder.gather(Rows{1, 1, 2, 3});
  step({2, 3, 4, 5});
  step({6, 7, 8, 9});
  decoder.compact(Rows{1});
  step({1, 2});
  EXPECT_EQ(decoder.steps(), 6);
  return steps;
}

void expect_near(const LogitsOfSteps& found, const LogitsOfSteps& expected, float tolerance) {
  ASSERT_EQ(found.size(), expected.size());
  for (std::size_t step = 0; step < found.size(); ++step) {
    ASSERT_EQ(found[step].size(), expected[step].size()) << "step " << step;
    for (std::size_t i = 0; i < found[step].size(); ++i) {
      EXPECT_NEAR(found[step][i], expected[step][i], tolerance) << "step " << step << ", logit " << i;
    }
  }
}

class StepDecoderTest : public beamcap::testing::WithOnnxRuntime {};

// The form without a cache feeds all tokens anew: nothing but the tokens can be moved wrongly there.
TEST_F(StepDecoderTest, EveryFormOfCacheGivesWhatNoCacheGives) {
  const Graphs no_cache = beamcap::testing::load_tiny("no_cache");
  StepDecoder reference(no_cache, encode_tiny(no_cache));
  const LogitsOfSteps expected = walk(reference);
  for (const std::string form : {"split", "merged", "external", "gpt2", "half"}) {
    SCOPED_TRACE(form);
    const Graphs graphs = beamcap::testing::load_tiny(form);
    StepDecoder decoder(graphs, encode_tiny(graphs));
    expect_near(walk(decoder), expected, form == "half" ? 2e-2f : 1e-4f);
  }
}

TEST_F(StepDecoderTest, APromptIsFedAtOnce) {
  for (const std::string form : {"split", "merged", "gpt2", "no_cache", "half"}) {
    SCOPED_TRACE(form);
    const Graphs graphs = beamcap::testing::load_tiny(form);
    StepDecoder at_once(graphs, encode_tiny(graphs));
    StepDecoder one_by_one(graphs, encode_tiny(graphs));
    one_by_one.step(Tokens{1, 1, 1}, 1);
    const search::Logits expected = one_by_one.step(Tokens{4, 5, 6}, 1);
    const search::Logits found = at_once.step(Tokens{1, 4, 1, 5, 1, 6}, 2);
    ASSERT_EQ(found.values.size(), expected.values.size());
    for (std::size_t i = 0; i < found.values.size(); ++i) {
      EXPECT_NEAR(found.values[i], expected.values[i], form == "half" ? 2e-2f : 1e-4f);
    }
  }
}

TEST_F(StepDecoderTest, AStateMayHaveItsBatchOnAnyAxis) {
  const Graphs graphs = beamcap::testing::load_tiny("recurrent");
  ASSERT_EQ(graphs.states.size(), 2u);
  EXPECT_EQ(graphs.states[1].name, "hidden");
  EXPECT_EQ(graphs.states[1].batch_axis, 1u);
  StepDecoder together(graphs, encode_tiny(graphs));
  const LogitsOfSteps all = walk(together);
  // The third image alone, on the path of its first row in the walk above.
  StepDecoder alone(graphs, encode_tiny(graphs));
  alone.compact(Rows{2});
  std::vector<float> last;
  for (const std::int64_t token : {1, 7, 1, 5, 9, 2}) {
    const search::Logits logits = alone.step(Tokens{token}, 1);
    last.assign(logits.values.begin(), logits.values.end());
  }
  const std::vector<float> second_row(all.back().end() - 13, all.back().end());
  for (std::size_t i = 0; i < last.size(); ++i) EXPECT_NEAR(last[i], second_row[i], 1e-5f);
}

TEST_F(StepDecoderTest, RefusesTokensThatDoNotFillTheRows) {
  const Graphs graphs = beamcap::testing::load_tiny("split");
  StepDecoder decoder(graphs, encode_tiny(graphs));
  EXPECT_THROW(decoder.step(Tokens{1, 1}, 1), std::invalid_argument);
  EXPECT_THROW(decoder.step(Tokens{1, 1, 1}, 0), std::invalid_argument);
  EXPECT_THROW(decoder.step(Tokens{1, 1, 1}, 2), std::invalid_argument);
  decoder.compact({});
  EXPECT_THROW(decoder.step({}, 1), std::invalid_argument);
}

TEST_F(StepDecoderTest, ATokenOutsideOfTheVocabularyIsAnError) {
  const Graphs graphs = beamcap::testing::load_tiny("split");
  StepDecoder decoder(graphs, encode_tiny(graphs));
  EXPECT_THROW(decoder.step(Tokens{1, 99, 1}, 1), std::runtime_error);
}

TEST_F(StepDecoderTest, PixelsMustFitTheGraph) {
  const Graphs graphs = beamcap::testing::load_tiny("split");
  const std::vector<float> values(2 * 3 * 4 * 4);
  EXPECT_THROW(encode(graphs, Tensor::view(values, {2, 3, 2, 8})), std::invalid_argument);
  EXPECT_THROW(encode(graphs, Tensor::view(values, {6, 4, 4})), std::invalid_argument);
  EXPECT_THROW(encode(graphs, Tensor::view({}, {0, 3, 4, 4})), std::invalid_argument);
}

}  // namespace
}  // namespace beamcap::runtime
