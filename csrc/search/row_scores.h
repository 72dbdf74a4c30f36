// The scores of one row as the processors see and change them: dense scores below, sparse changes on top.
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

  RowScores() = default;
  RowScores(const RowScores&) = delete;
  RowScores& operator=(const RowScores&) = delete;

  // Begins with a new row, without changes. logits: [vocab], must outlive their use here.
  void reset(std::span<const float> logits, Normalizer normalizer) {
    forget_edits();
    edit_of_.resize(logits.size());
    logits_ = logits;
    normalizer_ = normalizer;
    is_dense_ = false;
  }

  // The score of a token without an edit is normalizer(logits[token]).
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

  // The scores written out, [vocab], for a rule that changes them all in place; until the next edit there are none.
  std::span<float> dense() {
    if (!is_dense_) {
      dense_.resize(logits_.size());
      for (std::size_t i = 0; i < dense_.size(); ++i) dense_[i] = normalizer_(logits_[i]);
      logits_ = dense_;
      normalizer_ = Normalizer{};
      is_dense_ = true;
    }
    for (const Edit& edit : edits_) dense_[static_cast<std::size_t>(edit.token)] = edit.score;
    forget_edits();
    return dense_;
  }

  bool is_dense() const { return is_dense_; }

 private:
  void forget_edits() {
    for (const Edit& edit : edits_) edit_of_[static_cast<std::size_t>(edit.token)] = 0;
    edits_.clear();
  }

  std::span<const float> logits_;
  Normalizer normalizer_;
  std::vector<Edit> edits_;
  std::vector<std::uint32_t> edit_of_;  // [vocab]: place in edits_ + 1, or 0
  std::vector<float> dense_;            // [vocab] where is_dense_
  bool is_dense_ = false;
};

}  // namespace beamcap::search
