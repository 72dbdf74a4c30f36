#include "search/options.h"

#include <gtest/gtest.h>

#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

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
    refuses(&Options::top_k, value, "top_k");
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

TEST(Options, RefusesNumbersOutOfTheirRange) {
  const auto refuses = [](double Options::*option, std::vector<double> values, const std::string& name) {
    values.insert(values.end(), {kNotANumber, kInfinite, -kInfinite, -0.1});
    for (const double value : values) {
      Options options;
      options.*option = value;
      EXPECT_EQ(complaint(options).rfind(name + " is ", 0), 0u) << value << complaint(options);
    }
  };
  refuses(&Options::temperature, {0.0, 1e-60, 1e60}, "temperature");
  refuses(&Options::top_p, {1.1}, "top_p");
  refuses(&Options::min_p, {1.1}, "min_p");
  refuses(&Options::typical_p, {0.0, 1.1}, "typical_p");
  refuses(&Options::epsilon_cutoff, {1.0}, "epsilon_cutoff");
  refuses(&Options::eta_cutoff, {1.0}, "eta_cutoff");
}

TEST(Options, SeveralSequencesNeedBeamsOrSampling) {
  Options options;
  options.num_return_sequences = 3;
  EXPECT_EQ(complaint(options), "num_return_sequences is 3, but must be from 1 to 1");
  options.do_sample = true;
  EXPECT_EQ(complaint(options), "");
  options.num_beams = 2;
  EXPECT_EQ(complaint(options), "num_return_sequences is 3, but must be from 1 to 2");
}

TEST(Options, RefusesBadSequences) {
  Options options;
  options.sequence_bias = {{{1, 2}, 1.0}, {{}, 1.0}};
  EXPECT_NE(complaint(options).find("sequence_bias holds an empty sequence"), std::string::npos);
  options.sequence_bias = {{{1, 2}, 1.0}, {{2}, 3.0}, {{1, 2}, 1.0}};
  EXPECT_NE(complaint(options).find("the same sequence two biases"), std::string::npos);
  for (const double bias : {kNotANumber, kInfinite, 1e60}) {
    options.sequence_bias = {{{1}, bias}};
    EXPECT_EQ(complaint(options).rfind("a bias of sequence_bias is ", 0), 0u) << bias;
  }
  options.sequence_bias = {{{1}, -kInfinite}};
  EXPECT_EQ(complaint(options), "");
  options.bad_words_ids = {{1}, {}};
  EXPECT_NE(complaint(options).find("bad_words_ids holds an empty word"), std::string::npos);
}

TEST(Options, RefusesADecayThatCannotBeComputedWith) {
  Options options;
  options.exponential_decay_length_penalty = ExponentialDecay{1, 1.1};
  EXPECT_NE(complaint(options).find("no eos_token_ids"), std::string::npos);
  options.eos_token_ids = {2};
  EXPECT_EQ(complaint(options), "");
  for (const double factor : {kNotANumber, kInfinite, 1e60, 1e5}) {
    options.exponential_decay_length_penalty->factor = factor;
    EXPECT_EQ(complaint(options).rfind("the factor of exponential_decay_length_penalty is ", 0), 0u) << factor;
  }
  for (const std::int64_t start : {-kHuge, kHuge}) {
    options.exponential_decay_length_penalty = ExponentialDecay{start, 1.1};
    EXPECT_EQ(complaint(options).rfind("the start of exponential_decay_length_penalty is ", 0), 0u);
  }
}

// Every option that holds tokens, by its name.
Options with_token(const std::string& name, std::int64_t token) {
  Options options;
  if (name == "eos_token_ids") options.eos_token_ids = {2, token};
  if (name == "sequence_bias") options.sequence_bias = {{{2, token, 3}, 1.0}};
  if (name == "bad_words_ids") options.bad_words_ids = {{2}, {token, 2}};
  if (name == "forced_bos_token_id") options.forced_bos_token_id = token;
  if (name == "forced_eos_token_ids") options.forced_eos_token_ids = {2, token};
  if (name == "suppress_tokens") options.suppress_tokens = {2, token};
  if (name == "begin_suppress_tokens") options.begin_suppress_tokens = {2, token};
  return options;
}

TEST(Options, RefusesTokensBeyondTheVocabulary) {
  for (const std::string name : {"eos_token_ids", "sequence_bias", "bad_words_ids", "forced_bos_token_id",
                                 "forced_eos_token_ids", "suppress_tokens", "begin_suppress_tokens"}) {
    EXPECT_NE(complaint(with_token(name, -1)).find(name + " is -1"), std::string::npos) << name;
    EXPECT_NO_THROW(with_token(name, 9).validate_vocab(10));
    EXPECT_THROW(with_token(name, 10).validate_vocab(10), std::invalid_argument) << name;
  }
}

TEST(Options, RefusesABadPrompt) {
  Options options;
  EXPECT_NE(complaint(options, {}).find("prompt is empty"), std::string::npos);
  EXPECT_NE(complaint(options, {5, -1}).find("prompt token is -1"), std::string::npos);
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
