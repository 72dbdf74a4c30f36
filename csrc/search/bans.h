// The processors that ban tokens. The cost of most does not grow with the vocabulary: only a forced token bans all
// others.
#pragma once

#include <cstdint>
#include <vector>

#include "search/processor.h"

namespace beamcap::search {

// Bans every token that would end an n-gram of `size` tokens that the row already holds.
ProcessorPtr no_repeat_ngram(std::int64_t size);

// Bans these tokens in every row.
ProcessorPtr suppress(std::vector<std::int64_t> tokens);

// Bans them where the row holds exactly `length` tokens, prompt included.
ProcessorPtr suppress_at(std::int64_t length, std::vector<std::int64_t> tokens);

// Bans them where the row holds fewer than `length` tokens, prompt included.
ProcessorPtr suppress_before(std::int64_t length, std::vector<std::int64_t> tokens);

// Where the row holds exactly `length` tokens, prompt included, bans all tokens but these and gives these the score 0.
ProcessorPtr force_at(std::int64_t length, std::vector<std::int64_t> tokens);

}  // namespace beamcap::search
