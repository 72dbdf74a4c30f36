// A decoder whose logits are a function of the image and of what its row was fed, so that a wrong gather or compact
// gives wrong captions. It checks every call against the contract in search/decoder.h.
#pragma once

#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "search/decoder.h"
#include "search/search.h"

namespace beamcap::search {

inline constexpr float kInf = std::numeric_limits<float>::infinity();
inline constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

using Tokens = std::vector<std::int64_t>;
// Logits [vocab] of the next token of an image, by what the row was fed.
using LogitsOf = std::function<std::vector<float>(std::int64_t image, const Tokens& history)>;

class FakeDecoder : public Decoder {
 public:
  FakeDecoder(std::int64_t images, LogitsOf logits_of) : logits_of_(std::move(logits_of)) {
    for (std::int64_t image = 0; image < images; ++image) {
      images_.push_back(image);
      histories_.emplace_back();
    }
  }

  Logits step(std::span<const std::int64_t> tokens, std::int64_t width) override {
    require(width >= 1 && (steps.empty() || width == 1), "a later step feeds a single token a row");
    require(tokens.size() == histories_.size() * static_cast<std::size_t>(width), "tokens for every row");
    steps.push_back(histories_.size());
    logits_.clear();
    for (std::size_t row = 0; row < histories_.size(); ++row) {
      const auto fed = tokens.subspan(row * static_cast<std::size_t>(width), static_cast<std::size_t>(width));
      histories_[row].insert(histories_[row].end(), fed.begin(), fed.end());
      const std::vector<float> logits = logits_of_(images_[row / rows_per_image()], histories_[row]);
      vocab_ = static_cast<std::int64_t>(logits.size());
      logits_.insert(logits_.end(), logits.begin(), logits.end());
    }
    return {logits_, vocab_};
  }

  void gather(std::span<const std::int32_t> parents) override {
    require(!steps.empty() && !parents.empty() && parents.size() % images_.size() == 0, "rows for every image");
    gathers.emplace_back(parents.begin(), parents.end());
    const std::size_t rows = parents.size() / images_.size();
    std::vector<Tokens> gathered;
    for (std::size_t row = 0; row < parents.size(); ++row) {
      const auto parent = static_cast<std::size_t>(parents[row]);
      require(parents[row] >= 0 && parent / rows_per_image() == row / rows, "a row goes on from its own image's");
      gathered.push_back(histories_[parent]);
    }
    histories_.swap(gathered);
  }

  void compact(std::span<const std::int32_t> images) override {
    require(!steps.empty() && !images.empty() && images.size() < images_.size(), "compact drops some images");
    compacts.emplace_back(images.begin(), images.end());
    const std::size_t rows = rows_per_image();
    std::vector<std::int64_t> kept_images;
    std::vector<Tokens> kept;
    for (std::size_t i = 0; i < images.size(); ++i) {
      require(images[i] >= 0 && (i == 0 || images[i] > images[i - 1]), "images ascend");
      const auto image = static_cast<std::size_t>(images[i]);
      kept_images.push_back(images_.at(image));
      for (std::size_t row = image * rows; row < (image + 1) * rows; ++row) kept.push_back(histories_[row]);
    }
    images_.swap(kept_images);
    histories_.swap(kept);
  }

  std::vector<std::size_t> steps;                  // rows of each step
  std::vector<std::vector<std::int32_t>> gathers;  // parents of each call
  std::vector<std::vector<std::int32_t>> compacts;

 private:
  static void require(bool kept, const char* rule) {
    if (!kept) throw std::logic_error(std::string("the search broke the decoder's contract: ") + rule);
  }

  std::size_t rows_per_image() const { return histories_.size() / images_.size(); }

  LogitsOf logits_of_;
  std::vector<std::int64_t> images_;
  std::vector<Tokens> histories_;  // [rows]
  std::vector<float> logits_;
  std::int64_t vocab_ = 0;
};

// Logits that log-softmax turns into these probabilities (they need not sum to 1), far from being normalised.
inline std::vector<float> probabilities(std::vector<double> values) {
  std::vector<float> logits;
  for (const double value : values) logits.push_back(value > 0 ? static_cast<float>(std::log(value)) + 4.0f : -kInf);
  return logits;
}

// The probabilities by the tokens that follow the prompt; where the table has none, `otherwise`.
inline LogitsOf table(std::map<Tokens, std::vector<double>> rows, std::vector<double> otherwise,
                      std::ptrdiff_t prompt_length = 1) {
  return [=](std::int64_t, const Tokens& history) {
    const auto found = rows.find(Tokens(history.begin() + prompt_length, history.end()));
    return probabilities(found == rows.end() ? otherwise : found->second);
  };
}

// Random logits: the same for the same seed, image and history.
inline LogitsOf random_logits(std::uint64_t seed, std::size_t vocab, float scale) {
  return [=](std::int64_t image, const Tokens& history) {
    std::uint64_t state = seed * 1'000'003 + static_cast<std::uint64_t>(image);
    const auto mix = [&state] {  // splitmix64
      std::uint64_t z = (state += 0x9e3779b97f4a7c15);
      z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
      z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
      return z ^ (z >> 31);
    };
    for (const std::int64_t token : history) state = mix() ^ static_cast<std::uint64_t>(token);
    std::vector<float> logits;
    for (std::size_t token = 0; token < vocab; ++token) {
      logits.push_back(scale * (static_cast<float>(mix() >> 40) / static_cast<float>(1 << 24) - 0.5f));
    }
    return logits;
  };
}

// Searches one image with the prompt {0}.
inline ImageResult search_one(const LogitsOf& logits_of, const Options& options) {
  FakeDecoder decoder(1, logits_of);
  return search(decoder, 1, Tokens{0}, options).at(0);
}

inline std::vector<Tokens> tokens_of(const ImageResult& result) {
  std::vector<Tokens> tokens;
  for (const Hypothesis& hypothesis : result.hypotheses) tokens.push_back(hypothesis.tokens);
  return tokens;
}

}  // namespace beamcap::search
