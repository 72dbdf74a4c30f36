// All rules that an options' search asks for, in the reference's order.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "search/options.h"
#include "search/processor.h"

namespace beamcap::search {

// Of one search: they keep scratch memory.
class Processors {
 public:
  Processors(const Options& options, std::int64_t prompt_length);

  // tokens: what the row holds so far, prompt included.
  void process(std::span<const std::int64_t> tokens, RowScores& scores);

 private:
  std::vector<ProcessorPtr> processors_;
};

}  // namespace beamcap::search
