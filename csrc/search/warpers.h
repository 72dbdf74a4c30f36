// The processors of sampling: temperature, and those that ban unlikely tokens. All but temperature keep at least the
// best `keep` tokens (typical_p: the most typical) and leave a row alone in which no token is possible.
#pragma once

#include <cstddef>

#include "search/processor.h"

namespace beamcap::search {

// Divides every score.
ProcessorPtr temperature(double temperature);

// Bans all that score below the k-th best.
ProcessorPtr top_k(std::size_t k, std::size_t keep);

// Bans the least likely tokens whose probabilities add up to at most 1 - p; among equals the smaller ids first.
ProcessorPtr top_p(double p, std::size_t keep);

// Bans all that are less likely than p times the likeliest.
ProcessorPtr min_p(double p, std::size_t keep);

// A token is the more typical, the less its surprise (-log-probability) differs from the expected one, the entropy.
// Bans all that are less typical than the last of the most typical tokens that together reach the probability p.
ProcessorPtr typical_p(double p, std::size_t keep);

// Bans all that are less likely than epsilon.
ProcessorPtr epsilon_cutoff(double epsilon, std::size_t keep);

// Bans all that are less likely than min(epsilon, sqrt(epsilon) * exp(-entropy)).
ProcessorPtr eta_cutoff(double epsilon, std::size_t keep);

}  // namespace beamcap::search
