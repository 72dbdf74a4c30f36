#include "search/processors.h"

#include <algorithm>
#include <utility>

namespace beamcap::search {
namespace {

// Makes each distinct token so far less likely (penalty > 1) or likelier (penalty < 1).
class RepetitionPenalty : public Processor {
 public:
  explicit RepetitionPenalty(double penalty) : penalty_(static_cast<float>(penalty)) {}

  void process(std::span<const std::int64_t> tokens, RowScores& scores) override {
    distinct_.assign(tokens.begin(), tokens.end());
    std::sort(distinct_.begin(), distinct_.end());
    distinct_.erase(std::unique(distinct_.begin(), distinct_.end()), distinct_.end());
    for (const std::int64_t token : distinct_) {
      if (token >= scores.vocab()) break;
      const float score = scores[token];
      scores.set(token, score < 0 ? score * penalty_ : score / penalty_);
    }
  }

 private:
  float penalty_;
  std::vector<std::int64_t> distinct_;
};

// Bans every token that would end an n-gram that the row already holds.
class NoRepeatNgram : public Processor {
 public:
  explicit NoRepeatNgram(std::int64_t size) : size_(static_cast<std::size_t>(size)) {}

  void process(std::span<const std::int64_t> tokens, RowScores& scores) override {
    if (tokens.size() < size_) return;
    const auto prefix = tokens.last(size_ - 1);
    for (std::size_t begin = 0; begin + size_ <= tokens.size(); ++begin) {
      const auto ngram = tokens.subspan(begin, size_);
      if (ngram.back() < scores.vocab() && std::equal(prefix.begin(), prefix.end(), ngram.begin())) {
        scores.ban(ngram.back());
      }
    }
  }

 private:
  std::size_t size_;
};

// Bans EOS while the row holds fewer tokens than `length`.
class MinLength : public Processor {
 public:
  MinLength(std::int64_t length, std::vector<std::int64_t> eos_token_ids)
      : length_(static_cast<std::size_t>(length)), eos_token_ids_(std::move(eos_token_ids)) {}

  void process(std::span<const std::int64_t> tokens, RowScores& scores) override {
    if (tokens.size() >= length_) return;
    for (const std::int64_t token : eos_token_ids_) scores.ban(token);
  }

 private:
  std::size_t length_;  // prompt included
  std::vector<std::int64_t> eos_token_ids_;
};

}  // namespace

Processors::Processors(const Options& options, std::int64_t prompt_length) {
  if (options.repetition_penalty != 1.0) {
    processors_.push_back(std::make_unique<RepetitionPenalty>(options.repetition_penalty));
  }
  if (options.no_repeat_ngram_size > 0) {
    processors_.push_back(std::make_unique<NoRepeatNgram>(options.no_repeat_ngram_size));
  }
  // min_new_tokens wins over min_length, as in the reference.
  const std::int64_t min_length =
      options.min_new_tokens > 0 ? prompt_length + options.min_new_tokens : options.min_length;
  if (min_length > 0) processors_.push_back(std::make_unique<MinLength>(min_length, options.eos_token_ids));
}

void Processors::process(std::span<const std::int64_t> tokens, RowScores& scores) {
  for (const auto& processor : processors_) processor->process(tokens, scores);
}

}  // namespace beamcap::search
