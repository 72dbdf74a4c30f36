#include "search/bans.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace beamcap::search {
namespace {

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

// Bans some tokens in rows of a length from `least` to `most`, prompt included.
class Suppress : public Processor {
 public:
  Suppress(std::int64_t least, std::int64_t most, std::vector<std::int64_t> banned)
      : least_(least), most_(most), banned_(std::move(banned)) {}

  void process(std::span<const std::int64_t> tokens, RowScores& scores) override {
    const auto length = static_cast<std::int64_t>(tokens.size());
    if (length < least_ || length > most_) return;
    for (const std::int64_t token : banned_) scores.ban(token);
  }

 private:
  std::int64_t least_;
  std::int64_t most_;
  std::vector<std::int64_t> banned_;
};

class ForceAt : public Processor {
 public:
  ForceAt(std::int64_t length, std::vector<std::int64_t> forced)
      : length_(static_cast<std::size_t>(length)), forced_(std::move(forced)) {}

  void process(std::span<const std::int64_t> tokens, RowScores& scores) override {
    if (tokens.size() != length_) return;
    const std::span<float> row = scores.dense();
    std::fill(row.begin(), row.end(), -std::numeric_limits<float>::infinity());
    for (const std::int64_t token : forced_) row[static_cast<std::size_t>(token)] = 0.0f;
  }

 private:
  std::size_t length_;
  std::vector<std::int64_t> forced_;
};

}  // namespace

ProcessorPtr no_repeat_ngram(std::int64_t size) { return std::make_unique<NoRepeatNgram>(size); }

ProcessorPtr suppress(std::vector<std::int64_t> tokens) {
  return std::make_unique<Suppress>(0, std::numeric_limits<std::int64_t>::max(), std::move(tokens));
}

ProcessorPtr suppress_at(std::int64_t length, std::vector<std::int64_t> tokens) {
  return std::make_unique<Suppress>(length, length, std::move(tokens));
}

ProcessorPtr suppress_before(std::int64_t length, std::vector<std::int64_t> tokens) {
  return std::make_unique<Suppress>(0, length - 1, std::move(tokens));
}

ProcessorPtr force_at(std::int64_t length, std::vector<std::int64_t> tokens) {
  return std::make_unique<ForceAt>(length, std::move(tokens));
}

}  // namespace beamcap::search
