#include "search/penalties.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

namespace beamcap::search {
namespace {

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

class AddSequenceBias : public Processor {
 public:
  // The reference sums the biases of a token before it adds them to the score: those of single tokens first, then those
  // of longer sequences by their length, in the order in which each length first occurs.
  explicit AddSequenceBias(const std::vector<SequenceBias>& sequences) : sequences_(sequences) {
    std::vector<std::size_t> lengths{1};  // each once
    for (const SequenceBias& sequence : sequences) {
      const std::size_t length = sequence.tokens.size();
      if (std::find(lengths.begin(), lengths.end(), length) == lengths.end()) lengths.push_back(length);
    }
    const auto rank = [&](const SequenceBias& sequence) {
      const auto place = std::find(lengths.begin(), lengths.end(), sequence.tokens.size());
      return std::pair(sequence.tokens.back(), place - lengths.begin());
    };
    std::stable_sort(sequences_.begin(), sequences_.end(),
                     [&](const SequenceBias& a, const SequenceBias& b) { return rank(a) < rank(b); });
  }

  void process(std::span<const std::int64_t> tokens, RowScores& scores) override {
    for (auto sequence = sequences_.begin(); sequence != sequences_.end();) {
      const std::int64_t token = sequence->tokens.back();
      std::optional<float> sum;
      for (; sequence != sequences_.end() && sequence->tokens.back() == token; ++sequence) {
        if (applies(*sequence, tokens)) sum = sum.value_or(0.0f) + static_cast<float>(sequence->bias);
      }
      if (sum) scores.set(token, scores[token] + *sum);
    }
  }

 private:
  static bool applies(const SequenceBias& sequence, std::span<const std::int64_t> tokens) {
    const std::span<const std::int64_t> prefix(sequence.tokens.data(), sequence.tokens.size() - 1);
    return prefix.size() <= tokens.size() && std::equal(prefix.begin(), prefix.end(), tokens.last(prefix.size()).begin());
  }

  std::vector<SequenceBias> sequences_;  // those of a token side by side
};

class ExponentialDecayPenalty : public Processor {
 public:
  ExponentialDecayPenalty(ExponentialDecay decay, std::int64_t prompt_length, std::vector<std::int64_t> eos_token_ids)
      : factor_(decay.factor), start_(prompt_length + decay.start), eos_token_ids_(std::move(eos_token_ids)) {
    std::sort(eos_token_ids_.begin(), eos_token_ids_.end());
    eos_token_ids_.erase(std::unique(eos_token_ids_.begin(), eos_token_ids_.end()), eos_token_ids_.end());
  }

  void process(std::span<const std::int64_t> tokens, RowScores& scores) override {
    const std::int64_t beyond = static_cast<std::int64_t>(tokens.size()) - start_;
    if (beyond <= 0) return;
    const auto growth = static_cast<float>(std::pow(factor_, static_cast<double>(beyond)) - 1.0);
    for (const std::int64_t token : eos_token_ids_) {
      const float score = scores[token];
      if (std::isfinite(score)) scores.set(token, score + std::abs(score) * growth);
    }
  }

 private:
  double factor_;
  std::int64_t start_;  // prompt included
  std::vector<std::int64_t> eos_token_ids_;
};

}  // namespace

ProcessorPtr repetition_penalty(double penalty) { return std::make_unique<RepetitionPenalty>(penalty); }

ProcessorPtr sequence_bias(const std::vector<SequenceBias>& sequences) {
  return std::make_unique<AddSequenceBias>(sequences);
}

ProcessorPtr exponential_decay(ExponentialDecay decay, std::int64_t prompt_length,
                               std::vector<std::int64_t> eos_token_ids) {
  return std::make_unique<ExponentialDecayPenalty>(decay, prompt_length, std::move(eos_token_ids));
}

}  // namespace beamcap::search
