#include "search/options.h"

#include <gtest/gtest.h>

#include <limits>
#include <stdexcept>
#include <string>

#include "tests/fake_decoder.h"

namespace beamcap::search {
namespace {

constexpr std::int64_t kHuge = std::numeric_limits<std::int64_t>::max();
constexpr double kNotANumber = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinite = std::numeric_limits<double>::infinity();

// What validate() says of these options with a prompt of three tokens; empty if it accepts them.
std::string complaint(const Options& options, const Tokens& prompt = {7, 8, 9}) {
  try {
    options.validate(prompt);
    return {};
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
}

TEST(Options, DefaultsAreValid) { EXPECT_EQ(complaint({}), ""); }

TEST(Options, BoundsAreValid) {
  Options options;
  options.num_beams = options.num_return_sequences = kMaxBeams;
  options.max_length = options.min_length = options.min_new_tokens = options.no_repeat_ngram_size = kMaxLength;
  EXPECT_EQ(complaint(options), "");
}

TEST(Options, ComplaintNamesTheOptionTheValueAndTheRule) {
  Options options;
  options.num_beams = 0;
  EXPECT_EQ(complaint(options), "num_beams is 0, but must be from 1 to 4096");
}

TEST(Options, RefusesIntegersOutOfRange) {
  const auto refuses = [](std::int64_t Options::*option, std::int64_t value, const std::string& name) {
    Options options;
    options.*option = value;
    EXPECT_EQ(complaint(options).rfind(name + " is " + std::to_string(value) + ", but ", 0), 0u)
        << name << "=" << value << ": " << complaint(options);
  };
  for (const std::int64_t value : {std::int64_t{-1}, kHuge}) {
    refuses(&Options::num_beams, value, "num_beams");
    refuses(&Options::num_return_sequences, value, "num_return_sequences");
    refuses(&Options::max_length, value, "max_length");
    refuses(&Options::min_length, value, "min_length");
    refuses(&Options::min_new_tokens, value, "min_new_tokens");
    refuses(&Options::no_repeat_ngram_size, value, "no_repeat_ngram_size");
  }
  refuses(&Options::num_return_sequences, 0, "num_return_sequences");
  refuses(&Options::num_return_sequences, 2, "num_return_sequences");  // > num_beams
  refuses(&Options::max_length, 3, "max_length");                      // = the prompt
}

TEST(Options, RefusesNumbersThatCannotBeComputedWith) {
  for (const double value : {0.0, -1.0, kNotANumber, kInfinite, 1e-60, 1e60}) {
    Options options;
    options.repetition_penalty = value;
    EXPECT_EQ(complaint(options).rfind("repetition_penalty is ", 0), 0u) << value;
  }
  for (const double value : {kNotANumber, kInfinite, -kInfinite, 1e3, -1e3}) {
    Options options;
    options.length_penalty = value;
    EXPECT_EQ(complaint(options).rfind("length_penalty is ", 0), 0u) << value;
  }
}

TEST(Options, RefusesBadTokens) {
  Options options;
  EXPECT_NE(complaint(options, {}).find("prompt is empty"), std::string::npos);
  EXPECT_NE(complaint(options, {5, -1}).find("prompt token is -1"), std::string::npos);
  options.eos_token_ids = {2, -3};
  EXPECT_NE(complaint(options).find("eos_token_ids is -3"), std::string::npos);
}

TEST(Options, EosMustBeInTheVocabulary) {
  Options options;
  options.eos_token_ids = {2, 10};
  EXPECT_NO_THROW(options.validate_vocab(11));
  EXPECT_THROW(options.validate_vocab(10), std::invalid_argument);
}

TEST(Options, BeamsNeedATokenThatDoesNotStop) {
  Options options;
  options.eos_token_ids = {0, 1};
  EXPECT_NO_THROW(options.validate_vocab(2));  // greedy
  options.num_beams = 2;
  EXPECT_NO_THROW(options.validate_vocab(3));
  EXPECT_THROW(options.validate_vocab(2), std::invalid_argument);
}

TEST(Search, ValidatesBeforeTheFirstStep) {
  FakeDecoder decoder(1, random_logits(1, 5, 1.0f));
  Options options;
  options.num_beams = 0;
  EXPECT_THROW(search(decoder, 1, Tokens{0}, options), std::invalid_argument);
  EXPECT_THROW(search(decoder, -1, Tokens{0}, Options{}), std::invalid_argument);
  EXPECT_THROW(search(decoder, kHuge, Tokens{0}, Options{}), std::invalid_argument);
  EXPECT_TRUE(decoder.steps.empty());
}

TEST(Search, NoImagesNoWork) {
  FakeDecoder decoder(0, random_logits(1, 5, 1.0f));
  EXPECT_TRUE(search(decoder, 0, Tokens{0}, Options{}).empty());
  EXPECT_TRUE(decoder.steps.empty());
}

}  // namespace
}  // namespace beamcap::search
