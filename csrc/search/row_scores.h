// The scores of one row as the processors see and change them: dense logits below, sparse changes on top.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "search/log_softmax.h"

namespace beamcap::search {

class RowScores {
 public:
  struct Edit {
    std::int64_t token;
    float score;
  };

  // Begins with a new row, without changes. logits: [vocab], must outlive their use here.
  void reset(std::span<const float> logits, Normalizer normalizer) {
    for (const Edit& edit : edits_) edit_of_[static_cast<std::size_t>(edit.token)] = 0;
    edits_.clear();
    edit_of_.resize(logits.size());
    logits_ = logits;
    normalizer_ = normalizer;
  }

  std::int64_t vocab() const { return static_cast<std::int64_t>(logits_.size()); }
  std::span<const float> logits() const { return logits_; }
  Normalizer normalizer() const { return normalizer_; }
  std::span<const Edit> edits() const { return edits_; }
  bool edited(std::int64_t token) const { return edit_of_[static_cast<std::size_t>(token)] != 0; }

  // token: in [0, vocab).
  float operator[](std::int64_t token) const {
    const auto index = static_cast<std::size_t>(token);
    return edit_of_[index] != 0 ? edits_[edit_of_[index] - 1].score : normalizer_(logits_[index]);
  }

  void set(std::int64_t token, float score) {
    std::uint32_t& edit = edit_of_[static_cast<std::size_t>(token)];
    if (edit == 0) {
      edits_.push_back({token, score});
      edit = static_cast<std::uint32_t>(edits_.size());
    } else {
      edits_[edit - 1].score = score;
    }
  }

  void ban(std::int64_t token) { set(token, -std::numeric_limits<float>::infinity()); }

 private:
  std::span<const float> logits_;
  Normalizer normalizer_;
  std::vector<Edit> edits_;
  std::vector<std::uint32_t> edit_of_;  // [vocab]: place in edits_ + 1, or 0
};

}  // namespace beamcap::search
