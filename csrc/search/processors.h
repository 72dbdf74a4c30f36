// The rules that change the scores of single tokens before the search chooses: penalties and bans. Each changes only
// the tokens it means, so its cost does not grow with the vocabulary.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "search/options.h"
#include "search/row_scores.h"

namespace beamcap::search {

class Processor {
 public:
  virtual ~Processor() = default;

  // tokens: what the row holds so far, prompt included. They may lie beyond the vocabulary of the scores: a model can
  // read tokens that it cannot write.
  virtual void process(std::span<const std::int64_t> tokens, RowScores& scores) = 0;
};

// Those that the options ask for, in the reference's order. Of one search: they keep scratch memory.
class Processors {
 public:
  Processors(const Options& options, std::int64_t prompt_length);

  void process(std::span<const std::int64_t> tokens, RowScores& scores);

 private:
  std::vector<std::unique_ptr<Processor>> processors_;
};

}  // namespace beamcap::search
