// The processors that make single tokens likelier or less likely. Each touches only the tokens it means.
#pragma once

#include <cstdint>
#include <vector>

#include "search/options.h"
#include "search/processor.h"

namespace beamcap::search {

// Makes each distinct token so far less likely (penalty > 1) or likelier (penalty < 1).
ProcessorPtr repetition_penalty(double penalty);

// Adds each bias to the last token of its sequence, where the row ends with the tokens before that.
ProcessorPtr sequence_bias(const std::vector<SequenceBias>& sequences);

// As options.h says of ExponentialDecay, for each EOS.
ProcessorPtr exponential_decay(ExponentialDecay decay, std::int64_t prompt_length,
                               std::vector<std::int64_t> eos_token_ids);

}  // namespace beamcap::search
