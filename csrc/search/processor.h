// A rule that changes the scores of a row before the search chooses from them.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "search/row_scores.h"

namespace beamcap::search {

class Processor {
 public:
  virtual ~Processor() = default;

  // tokens: what the row holds so far, prompt included. They may lie beyond the vocabulary of the scores: a model can
  // read tokens that it cannot write.
  virtual void process(std::span<const std::int64_t> tokens, RowScores& scores) = 0;
};

// Of one search: it may keep scratch memory.
using ProcessorPtr = std::unique_ptr<Processor>;

}  // namespace beamcap::search
