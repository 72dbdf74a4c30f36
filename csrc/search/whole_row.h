// The processors that may change every score of a row.
#pragma once

#include "search/processor.h"

namespace beamcap::search {

// NaN -> 0, +inf -> the greatest float32, -inf (bans so far, too) -> the least.
ProcessorPtr remove_invalid_values();

// Scores -> their log-softmax. Leaves a row alone in which no token is possible.
ProcessorPtr renormalize();

}  // namespace beamcap::search
