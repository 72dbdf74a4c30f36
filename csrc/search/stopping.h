// When a sequence ends, and why.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "search/hypothesis.h"
#include "search/options.h"

namespace beamcap::search {

// Why a sequence ends at `token` after `tokens` (prompt included), if it does: at an EOS, at a stop string, at
// max_length. Of several reasons the first in this order.
inline std::optional<FinishReason> reason_to_stop(const Options& options, std::span<const std::int64_t> tokens,
                                                  std::int64_t token) {
  if (options.is_eos(token)) return FinishReason::kEos;
  if (options.stop_strings && options.stop_strings->completed_by(tokens, token)) return FinishReason::kStopString;
  if (static_cast<std::int64_t>(tokens.size()) + 1 >= options.max_length) return FinishReason::kLength;
  return std::nullopt;
}

}  // namespace beamcap::search
