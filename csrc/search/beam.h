// Beam search, as transformers' generate() (5.23) does it.
//
// B beams, P tokens of prompt, L = max_length, c = tokens of the live sequences (P at first), K = max(2, 1 + number of
// EOS ids) * B candidates, NEG = -1e9. Scores are float32. An image has B live sequences, the first with score 0 and
// the others with NEG, and B slots for finished ones, of value NEG and not done. A step of an image:
//
// 1. The logits of each live sequence -> log-softmax -> processors -> plus its score.
// 2. Of all (beam, token), in that order, the best K are the candidates, best first. With do_sample they are drawn
//    without replacement from the softmax of the scores instead, and stay in the order in which they were drawn.
// 3. A candidate stops if its token is an EOS, completes a stop string, or c + 1 >= L.
// 4. NEG is added to the scores of those that stop; the best B by that, and with that score, are the next live
//    sequences.
// 5. Value of a candidate: score / (c + 1 - P)**length_penalty; plus NEG unless it stops and ranks among the first B.
//    So one that stops with a worse rank is dropped for good. The best B of the slots and the candidates are the new slots; done
//    are those that were, and candidates that stop and rank among the first B.
// 6. The decoder's state follows the parents of the new live sequences; c grows by 1.
// 7. The image is improvable if the best live score / length**length_penalty is greater than w for some slot, where
//    length is c - P, but L - P if early_stopping is "never" and length_penalty > 0; w is the least value of all slots
//    if the slot is done, else NEG.
// 8. It goes on if it is improvable, unless all candidates stop, or early_stopping is True and all slots are done.
//
// Its hypotheses are then the first num_return_sequences done slots, without those that stem from a live sequence that
// bears NEG: it is a copy of another, or goes on beyond its own end. The reference returns these, too. Ties: the smaller
// (beam, token) first in 2, the better candidate first in 4, the older slot first in 5. The reference leaves ties open,
// and it keeps finished images frozen in the batch until the last is through; here they leave.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "search/decoder.h"
#include "search/hypothesis.h"
#include "search/options.h"

namespace beamcap::search {

// As search(), for valid arguments with num_beams > 1. The processors act on log-probabilities.
std::vector<ImageResult> beam_search(Decoder& decoder, std::int64_t images, std::span<const std::int64_t> prompt,
                                     const Options& options, std::span<const std::uint64_t> image_seeds);

}  // namespace beamcap::search
