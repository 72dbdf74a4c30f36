// Any options, any logits, any decoder: refused as an argument, or hypotheses that keep what docs/semantics.md
// promises of them, the same for an image alone as in a batch; within max_length steps, whatever the model says.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "fuzz/draw.h"
#include "search/search.h"
#include "tests/fake_decoder.h"

namespace beamcap::search {
namespace {

using fuzz::check;
using fuzz::Draw;

// What an input asks for.
struct Case {
  std::int64_t vocab = 1;
  Tokens prompt;
  Options options;
  std::vector<LogitsOf> models;  // one an image
  std::vector<std::uint64_t> image_seeds;

  std::int64_t prompt_length() const { return static_cast<std::int64_t>(prompt.size()); }
};

// --- Drawing it.

std::string draw_text(Draw& draw) {
  const std::vector<char> characters = draw.list(3, [&] { return draw.pick({'a', 'b', ' ', '\0', '\xc3', '\xa9'}); });
  return {characters.begin(), characters.end()};
}

std::shared_ptr<const StopStrings> draw_stop_strings(Draw& draw) {
  try {
    return std::make_shared<StopStrings>(draw.list(3, [&] { return draw_text(draw); }),
                                         draw.list(12, [&] { return draw_text(draw); }));
  } catch (const std::invalid_argument&) {
    return nullptr;  // none that could stop a caption
  }
}

// One line an option: how it is drawn.
Options draw_options(Draw& draw, std::int64_t vocab) {
  const auto token = [&] { return draw.integer(0, vocab - 1); };
  const auto word = [&] { return draw.list(3, token); };
  Options o;
  o.num_beams = draw.coin() ? draw.integer(1, 5) : 1;
  o.num_return_sequences = draw.integer(1, std::clamp<std::int64_t>(o.num_beams, 1, 5));
  o.max_length = draw.integer(2, 16);
  if (draw.one_in(4)) o.min_length = draw.integer(0, 16);
  if (draw.one_in(4)) o.min_new_tokens = draw.integer(0, 16);
  if (draw.coin()) o.length_penalty = draw.number(-8, 8);
  o.early_stopping = draw.pick({EarlyStopping::kHeuristic, EarlyStopping::kWhenFull, EarlyStopping::kNever});
  o.eos_token_ids = draw.list(3, token);
  if (draw.one_in(4)) o.stop_strings = draw_stop_strings(draw);
  if (draw.one_in(4)) o.sequence_bias = draw.list(3, [&] { return SequenceBias{word(), draw.number(-20, 20)}; });
  if (draw.one_in(4)) o.repetition_penalty = draw.number(0.1, 10);
  if (draw.one_in(4)) o.no_repeat_ngram_size = draw.integer(0, 4);
  if (draw.one_in(4)) o.bad_words_ids = draw.list(3, word);
  if (draw.one_in(8)) o.forced_bos_token_id = token();
  if (draw.one_in(8)) o.forced_eos_token_ids = draw.list(2, token);
  if (draw.one_in(8)) o.remove_invalid_values = true;
  if (draw.one_in(4)) o.exponential_decay_length_penalty = {draw.integer(0, 8), draw.number(0, 4)};
  if (draw.one_in(4)) o.suppress_tokens = draw.list(3, token);
  if (draw.one_in(4)) o.begin_suppress_tokens = draw.list(3, token);
  if (draw.one_in(4)) o.renormalize_logits = true;
  if (draw.coin()) o.do_sample = true;
  if (o.do_sample && draw.one_in(4)) o.num_return_sequences = draw.integer(1, 5);
  if (draw.one_in(4)) o.temperature = draw.number(0.01, 4);
  if (draw.one_in(4)) o.top_k = draw.integer(0, vocab + 1);
  if (draw.one_in(4)) o.top_p = draw.number(0, 1);
  if (draw.one_in(4)) o.min_p = draw.number(0, 1);
  if (draw.one_in(4)) o.typical_p = draw.number(0, 1);
  if (draw.one_in(4)) o.epsilon_cutoff = draw.number(0, 1);
  if (draw.one_in(4)) o.eta_cutoff = draw.number(0, 1);
  return o;
}

// A model whose rows are full of ties, of impossible tokens, of numbers near the ends of float32; or that fails.
LogitsOf draw_model(Draw& draw, std::int64_t vocab) {
  const auto scale = draw.pick({8.0f, 1.0f, 0.0f, 100.0f, 1e-30f, 1e-42f, 1e30f, 3e38f});
  const LogitsOf random = random_logits(draw.within<std::uint64_t>(0, 0xffff), static_cast<std::size_t>(vocab), 1.0f);
  const auto levels = draw.one_in(4) ? static_cast<float>(draw.within(1, 4)) : 0.0f;     // 0: hardly any ties
  const auto impossible = draw.one_in(4) ? static_cast<float>(draw.within(0, 64)) : 0.0f;  // of 64 tokens
  const auto fails_at = draw.one_in(4) ? draw.within<std::size_t>(1, 16) : 0;  // tokens fed by then; 0: never
  const auto failure = draw.pick({kNan, kInf, -kInf});
  const auto failing = draw.one_in(4) ? static_cast<std::size_t>(vocab) : draw.within<std::size_t>(1, 3);
  return [=](std::int64_t, const Tokens& history) {
    std::vector<float> logits = random(0, history);  // in [-0.5, 0.5)
    for (float& logit : logits) {
      const float fraction = (logit + 0.5f) * 64.0f;
      if (levels > 0) logit = std::floor(logit * levels) / levels;
      logit = fraction < impossible ? -kInf : logit * scale;
    }
    if (history.size() == fails_at) std::fill_n(logits.rbegin(), std::min(failing, logits.size()), failure);
    return logits;
  };
}

Case draw_case(Draw& draw) {
  Case drawn;
  drawn.vocab = draw.one_in(16) ? draw.within<std::int64_t>(1, 1000) : draw.within<std::int64_t>(1, 24);
  drawn.prompt = draw.list(3, [&] { return draw.integer(0, drawn.vocab); });  // a model may read what it cannot write
  drawn.options = draw_options(draw, drawn.vocab);
  drawn.models = draw.list(3, [&] { return draw_model(draw, drawn.vocab); });
  if (drawn.options.do_sample || draw.one_in(64)) {
    for (std::size_t i = 0; i < drawn.models.size(); ++i) {
      drawn.image_seeds.push_back(draw.within<std::uint64_t>(0, 0xffff'ffff'ffff'ffff));
    }
  }
  return drawn;
}

// --- Searching.

// Ends a search that is valid but too long for a fuzzer; no std::exception, so nothing may take it for one.
struct TooLong {};

// What the decoder does against its contract at one step.
enum class Breach { kNone, kTooFewLogits, kTooManyLogits, kNoVocab, kNegativeVocab, kHugeVocab, kOtherVocab };

class BreakingDecoder : public Decoder {
 public:
  // The first step sets the vocabulary, so only a later one can give another.
  BreakingDecoder(FakeDecoder& decoder, Breach breach, std::size_t at)
      : decoder_(decoder), breach_(breach), at_(breach == Breach::kOtherVocab ? std::max<std::size_t>(at, 1) : at) {}

  Logits step(std::span<const std::int64_t> tokens, std::int64_t width) override {
    const std::size_t index = decoder_.steps.size();
    Logits logits = decoder_.step(tokens, width);
    values_ += logits.values.size();
    if (index > 100 || values_ > 40'000) throw TooLong();
    if (index == at_) break_contract(logits);
    return logits;
  }
  void gather(std::span<const std::int32_t> parents) override { decoder_.gather(parents); }
  void compact(std::span<const std::int32_t> images) override { decoder_.compact(images); }

  bool has_broken = false;

 private:
  void break_contract(Logits& logits) {
    has_broken = breach_ != Breach::kNone;
    switch (breach_) {
      case Breach::kNone:
        return;
      case Breach::kTooFewLogits:
        logits.values = logits.values.first(logits.values.size() - 1);
        return;
      case Breach::kTooManyLogits:
        values_given_.assign(logits.values.size() + 1, 0.0f);
        logits.values = values_given_;
        return;
      case Breach::kNoVocab:
        logits.vocab = 0;
        return;
      case Breach::kNegativeVocab:
        logits.vocab = -logits.vocab;
        return;
      case Breach::kHugeVocab:
        logits.vocab = std::numeric_limits<std::int64_t>::max();
        return;
      case Breach::kOtherVocab:
        const auto rows = logits.values.size() / static_cast<std::size_t>(logits.vocab);
        values_given_.assign(logits.values.size() + rows, 0.0f);
        logits = {values_given_, logits.vocab + 1};
        return;
    }
  }

  FakeDecoder& decoder_;
  Breach breach_;
  std::size_t at_;
  std::size_t values_ = 0;
  std::vector<float> values_given_;
};

bool is_valid(const Case& given) {
  try {
    given.options.validate(given.prompt);
    given.options.validate_vocab(given.vocab);
    return given.image_seeds.size() == (given.options.do_sample ? given.models.size() : 0);
  } catch (const std::invalid_argument&) {
    return false;
  }
}

bool is_faulty(std::span<const float> row) {
  return std::any_of(row.begin(), row.end(), [](float logit) { return std::isnan(logit) || logit == kInf; }) ||
         std::all_of(row.begin(), row.end(), [](float logit) { return logit == -kInf; });
}

struct Outcome {
  std::vector<ImageResult> results;
  std::vector<bool> failed;  // whether the model gave the image a row that no token can be chosen from
};

// Nothing if the search is too long, or the decoder broke its contract and was caught.
std::optional<Outcome> search_valid(const Case& given, Breach breach, std::size_t at) {
  const auto images = static_cast<std::int64_t>(given.models.size());
  Outcome outcome{{}, std::vector<bool>(given.models.size())};
  FakeDecoder decoder(images, [&](std::int64_t image, const Tokens& history) {
    std::vector<float> logits = given.models[static_cast<std::size_t>(image)](image, history);
    if (is_faulty(logits)) outcome.failed[static_cast<std::size_t>(image)] = true;
    return logits;
  });
  BreakingDecoder breaking(decoder, breach, at);
  try {
    outcome.results = search(breaking, images, given.prompt, given.options, given.image_seeds);
  } catch (const TooLong&) {
    return std::nullopt;
  } catch (const std::invalid_argument&) {
    check(false, "options that are valid are not refused");
  } catch (const std::runtime_error&) {
    check(breaking.has_broken, "an error of the decoder's contract has its cause");
    return std::nullopt;
  }
  check(!breaking.has_broken, "a decoder that breaks its contract is caught");
  check(static_cast<std::int64_t>(decoder.steps.size()) <= given.options.max_length - given.prompt_length(),
        "at most max_length steps");
  return outcome;
}

void search_invalid(const Case& given) {
  const auto images = static_cast<std::int64_t>(given.models.size());
  FakeDecoder decoder(images, [&](std::int64_t image, const Tokens& history) {
    return given.models[static_cast<std::size_t>(image)](image, history);
  });
  try {
    search(decoder, images, given.prompt, given.options, given.image_seeds);
    check(images == 0, "options that are not valid are refused");  // without an image no vocabulary is known
  } catch (const std::invalid_argument&) {
  }
}

// --- Checking what was found.

bool holds(std::span<const std::int64_t> tokens, std::int64_t token) {
  return std::find(tokens.begin(), tokens.end(), token) != tokens.end();
}

bool ends_with(std::span<const std::int64_t> tokens, std::span<const std::int64_t> end) {
  return tokens.size() >= end.size() && std::equal(end.begin(), end.end(), tokens.last(end.size()).begin());
}

bool ends_with_repeated_ngram(std::span<const std::int64_t> tokens, std::size_t size) {
  if (size == 0 || tokens.size() <= size) return false;
  for (std::size_t begin = 0; begin + size < tokens.size(); ++begin) {
    if (ends_with(tokens, tokens.subspan(begin, size))) return true;
  }
  return false;
}

// The tokens that must come after `length` tokens; empty if it is free.
std::vector<std::int64_t> forced_after(const Options& options, std::int64_t length) {
  if (length == options.max_length - 1 && !options.forced_eos_token_ids.empty()) return options.forced_eos_token_ids;
  if (length == 1 && options.forced_bos_token_id) return {*options.forced_bos_token_id};
  return {};
}

// tokens: prompt included. The last of them is the one to be checked.
void check_allowed(const Case& given, std::span<const std::int64_t> tokens) {
  const Options& o = given.options;
  const std::int64_t token = tokens.back();
  const auto length = static_cast<std::int64_t>(tokens.size()) - 1;
  check(0 <= token && token < given.vocab, "a token is one of the vocabulary");
  check(!holds(o.suppress_tokens, token), "suppress_tokens");
  const std::int64_t begin = given.prompt_length() == 1 && o.forced_bos_token_id ? 2 : given.prompt_length();
  check(length != begin || !holds(o.begin_suppress_tokens, token), "begin_suppress_tokens");
  if (o.remove_invalid_values) return;  // gives what was banned before it the least score there is: it may win

  if (const std::vector<std::int64_t> forced = forced_after(o, length); !forced.empty()) {
    check(holds(forced, token), "a forced token");
    return;
  }
  const std::int64_t least = o.min_new_tokens > 0 ? given.prompt_length() + o.min_new_tokens : o.min_length;
  check(length >= least || !o.is_eos(token), "min_length and min_new_tokens");
  check(!ends_with_repeated_ngram(tokens, static_cast<std::size_t>(o.no_repeat_ngram_size)), "no_repeat_ngram_size");
  for (const Tokens& word : o.bad_words_ids) {
    check((word.size() == 1 && o.is_eos(word[0])) || !ends_with(tokens, word), "bad_words_ids");
  }
}

FinishReason reason_to_end(const Options& options, std::span<const std::int64_t> tokens) {
  if (options.is_eos(tokens.back())) return FinishReason::kEos;
  const auto before = tokens.first(tokens.size() - 1);
  const bool stopped = options.stop_strings && options.stop_strings->completed_by(before, tokens.back());
  return stopped ? FinishReason::kStopString : FinishReason::kLength;
}

void check_hypothesis(const Case& given, const Hypothesis& hypothesis) {
  const Options& o = given.options;
  Tokens tokens = given.prompt;
  check(!hypothesis.tokens.empty(), "a hypothesis has tokens");
  for (const std::int64_t token : hypothesis.tokens) {
    check(tokens.size() == given.prompt.size() || reason_to_end(o, tokens) == FinishReason::kLength,
          "nothing follows an EOS or a stop string");
    tokens.push_back(token);
    check_allowed(given, tokens);
  }
  const auto length = static_cast<std::int64_t>(tokens.size());
  check(length <= o.max_length, "max_length");
  check(hypothesis.finish_reason == reason_to_end(o, tokens), "the finish reason");
  check(hypothesis.finish_reason != FinishReason::kLength || length == o.max_length, "a caption ends for a reason");
  check(std::isfinite(hypothesis.score), "a score is finite");
  check(hypothesis.token_log_probs.size() == hypothesis.tokens.size(), "a log-probability a token");
  for (const float log_prob : hypothesis.token_log_probs) {
    check(std::isfinite(log_prob) && log_prob <= 0, "a log-probability is finite and at most 0");
  }
}

void check_differ(const std::vector<Tokens>& captions) {
  for (auto caption = captions.begin(); caption != captions.end(); ++caption) {
    check(std::find(captions.begin(), caption, *caption) == caption, "no caption is found twice");
  }
}

void check_result(const Case& given, const ImageResult& result, bool failed) {
  const Options& o = given.options;
  const bool independent = o.do_sample && o.num_beams == 1;
  check(result.error.empty() != result.hypotheses.empty(), "hypotheses or an error");
  check(static_cast<std::int64_t>(result.hypotheses.size()) <= o.num_return_sequences, "num_return_sequences");
  // Of several independent sequences those that have ended are fed on; what the model says of them does not matter.
  if (failed && !o.remove_invalid_values && !(independent && o.num_return_sequences > 1)) {
    check(!result.error.empty(), "a row that no token can be chosen from is an error");
  }
  for (const Hypothesis& hypothesis : result.hypotheses) check_hypothesis(given, hypothesis);
  if (independent) return;
  check_differ(tokens_of(result));
  check(std::is_sorted(result.hypotheses.begin(), result.hypotheses.end(),
                       [](const Hypothesis& a, const Hypothesis& b) { return a.score > b.score; }),
        "the best hypothesis first");
}

void check_same(const ImageResult& a, const ImageResult& b) {
  check(a.error == b.error && tokens_of(a) == tokens_of(b), "an image is alone what it is in a batch");
  for (std::size_t i = 0; i < a.hypotheses.size(); ++i) {
    check(a.hypotheses[i].score == b.hypotheses[i].score &&
              a.hypotheses[i].token_log_probs == b.hypotheses[i].token_log_probs,
          "an image scores alone as in a batch");
  }
}

Case alone(const Case& given, std::size_t image) {
  Case one{given.vocab, given.prompt, given.options, {given.models[image]}, {}};
  if (!given.image_seeds.empty()) one.image_seeds = {given.image_seeds[image]};
  return one;
}

void fuzz_search(Draw& draw) {
  const Case given = draw_case(draw);
  if (!is_valid(given)) return search_invalid(given);
  const auto breach = draw.one_in(8) ? static_cast<Breach>(draw.within(1, 6)) : Breach::kNone;
  const std::optional<Outcome> outcome = search_valid(given, breach, draw.within<std::size_t>(0, 3));
  if (!outcome) return;
  check(outcome->results.size() == given.models.size(), "a result an image");
  for (std::size_t image = 0; image < given.models.size(); ++image) {
    check_result(given, outcome->results[image], outcome->failed[image]);
    if (given.models.size() == 1 || breach != Breach::kNone) continue;
    const std::optional<Outcome> by_itself = search_valid(alone(given, image), Breach::kNone, 0);
    check_same(by_itself.value().results[0], outcome->results[image]);
  }
}

}  // namespace
}  // namespace beamcap::search

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  beamcap::fuzz::Draw draw(data, size);
  beamcap::search::fuzz_search(draw);
  return 0;
}
