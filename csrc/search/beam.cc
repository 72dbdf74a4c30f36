#include "search/beam.h"

#include <algorithm>
#include <limits>
#include <string>
#include <utility>

#include "search/batch.h"
#include "search/random.h"
#include "search/row_scorer.h"
#include "search/sample_k.h"
#include "search/sequence.h"
#include "search/stopping.h"
#include "search/topk.h"

namespace beamcap::search {
namespace {

// What the reference adds to the score of what must not be chosen. Finite: what bears it is still chosen where there is
// nothing better.
constexpr float kNeg = -1e9f;

// One of the K continuations of an image's beams that are looked at.
struct Candidate {
  float score;
  std::int32_t beam;
  std::int64_t token;
  float log_prob;  // of the token
  bool stops;
};

// The steps of an image, by their numbers in beam.h.
class BeamSearch {
 public:
  struct Beam {
    float score = 0.0f;  // sum of processed log-probabilities
    Sequence sequence;
    std::int32_t parent = 0;  // the beam of the last step that it goes on from
    bool is_filler = false;   // bears NEG: a copy of another, or beyond its own end
  };

  struct Slot {
    float value = kNeg;
    bool done = false;
    bool is_filler = false;  // of a beam that was one
    Sequence sequence;
  };

  struct Image {
    std::size_t index;
    std::vector<Beam> live;   // [num_beams]
    std::vector<Slot> slots;  // [num_beams], the best first
    Random random;
  };

  BeamSearch(std::span<const std::int64_t> prompt, const Options& options)
      : prompt_(prompt),
        options_(options),
        beams_(static_cast<std::size_t>(options.num_beams)),
        candidates_per_image_(beams_ * static_cast<std::size_t>(options.candidates_per_beam())),
        scorer_(options, static_cast<std::int64_t>(prompt.size())),
        length_(static_cast<std::int64_t>(prompt.size())),
        next_live_(beams_) {}

  Image start(std::size_t index, std::uint64_t seed) const {
    Image image{index, {}, std::vector<Slot>(beams_), Random(seed, 0)};
    for (std::size_t beam = 0; beam < beams_; ++beam) {
      const bool is_filler = beam > 0;
      image.live.push_back({is_filler ? kNeg : 0.0f, {{prompt_.begin(), prompt_.end()}, {}}, 0, is_filler});
    }
    return image;
  }

  // Takes one step of an image, whose rows of logits begin at first_row: one for all beams at the first step, later one
  // each. True if the image goes on; else the result is filled.
  bool advance(const Logits& logits, std::int64_t first_row, Image& image, ImageResult& result) {
    begin_offers();
    rows_.clear();
    for (std::size_t beam = 0; beam < beams_; ++beam) {
      if (beam < rows_per_image()) {
        const std::span<const float> row = logits.row(first_row + static_cast<std::int64_t>(beam));
        result.error = scorer_.score(row, image.live[beam].sequence.tokens);
        if (!result.error.empty()) return false;
        rows_.push_back({row, scorer_.log_softmax()});
      }
      offer_row(image.live[beam].score, beam);
    }
    result.error = take_candidates(image);
    if (!result.error.empty()) return false;
    choose_live(image);
    merge_finished(image);
    image.live.swap(next_live_);
    if (goes_on(image)) return true;
    finish(image, result);
    return false;
  }

  // 6. Writes the rows that an image's new beams go on from, if its rows begin at first_row, and their tokens.
  void append_rows(const Image& image, std::int32_t first_row, std::vector<std::int32_t>& parents,
                   std::vector<std::int64_t>& tokens) const {
    for (const Beam& beam : image.live) {
      parents.push_back(is_first_step() ? first_row : first_row + beam.parent);
      tokens.push_back(beam.sequence.tokens.back());
    }
  }

  // 6, end. Every live beam is one token longer.
  void lengthen() { ++length_; }

  // Rows of the decoder an image: it grows to num_beams after the first step.
  std::size_t rows_per_image() const { return is_first_step() ? 1 : beams_; }

  bool is_first_step() const { return length_ == prompt_length(); }

 private:
  void begin_offers() {
    if (options_.do_sample) {
      drawn_.reset(candidates_per_image_);
    } else {
      best_.reset(candidates_per_image_);
    }
  }

  // 1, end: adds the beam's score, and offers the row as beam * vocab + token.
  void offer_row(float beam_score, std::size_t beam) {
    if (options_.do_sample) {
      drawn_.offer_row(scorer_.scores(), beam_score);
    } else {
      const std::int64_t first_index = static_cast<std::int64_t>(beam) * scorer_.scores().vocab();
      best_.offer_row(scorer_.scores(), scorer_.block_max(), beam_score, first_index);
    }
  }

  // 2. Of all that was offered, K are the candidates. Returns what is wrong with their scores, if anything.
  std::string take_candidates(Image& image) {
    const std::int64_t vocab = scorer_.scores().vocab();
    candidates_.clear();
    for (const TopK::Entry& entry : options_.do_sample ? drawn_.drawn(image.random) : best_.sorted()) {
      const auto beam = static_cast<std::size_t>(entry.index / vocab);
      const std::int64_t token = entry.index % vocab;
      const Row& row = rows_[is_first_step() ? 0 : beam];
      candidates_.push_back({entry.score, static_cast<std::int32_t>(beam), token,
                             log_probability(row.logits[static_cast<std::size_t>(token)], row.log_softmax),
                             reason_to_stop(options_, image.live[beam].sequence.tokens, token).has_value()});
    }
    const float divisor = length_divisor(generated() + 1, options_.length_penalty);
    const bool sound = std::all_of(candidates_.begin(), candidates_.end(), [&](const Candidate& candidate) {
      return candidate.score / divisor < std::numeric_limits<float>::infinity();
    });
    return sound ? "" : "the options drive the score of a sequence to +inf: the biases are too great for float32";
  }

  // 4. The best B of the candidates, those that stop only for want of others, are the next live beams.
  void choose_live(const Image& image) {
    order_.clear();
    for (const Candidate& candidate : candidates_) {
      order_.push_back({candidate.stops ? candidate.score + kNeg : candidate.score, order_.size()});
    }
    sort_order();
    for (std::size_t i = 0; i < beams_; ++i) {
      const Candidate& candidate = candidates_[order_[i].place];
      const Beam& parent = image.live[static_cast<std::size_t>(candidate.beam)];
      next_live_[i].score = order_[i].value;
      next_live_[i].sequence = parent.sequence;
      next_live_[i].sequence.append(candidate.token, candidate.log_prob);
      next_live_[i].parent = candidate.beam;
      next_live_[i].is_filler = parent.is_filler || candidate.stops;
    }
  }

  // 5. The best B of the slots and the candidates are the new slots.
  void merge_finished(Image& image) {
    const float divisor = length_divisor(generated() + 1, options_.length_penalty);
    order_.clear();
    for (const Slot& slot : image.slots) order_.push_back({slot.value, order_.size()});
    for (std::size_t rank = 0; rank < candidates_.size(); ++rank) {
      const float value = candidates_[rank].score / divisor;
      order_.push_back({is_finished(rank) ? value : value + kNeg, order_.size()});
    }
    sort_order();
    next_slots_.clear();
    for (std::size_t i = 0; i < beams_; ++i) {
      const std::size_t place = order_[i].place;
      next_slots_.push_back(place < beams_ ? std::move(image.slots[place])
                                           : fill_slot(image, place - beams_, order_[i].value));
    }
    image.slots.swap(next_slots_);
  }

  bool is_finished(std::size_t rank) const { return candidates_[rank].stops && rank < beams_; }

  Slot fill_slot(const Image& image, std::size_t rank, float value) const {
    const Candidate& candidate = candidates_[rank];
    const Beam& parent = image.live[static_cast<std::size_t>(candidate.beam)];
    Slot slot{value, is_finished(rank), parent.is_filler, parent.sequence};
    slot.sequence.append(candidate.token, candidate.log_prob);
    return slot;
  }

  // 7. Whether the best live beam may still beat the worst slot. An image that is not improvable leaves, so nothing
  //    need remember it.
  bool is_improvable(const Image& image) const {
    const bool at_most = options_.early_stopping == EarlyStopping::kNever && options_.length_penalty > 0;
    const std::int64_t length = at_most ? options_.max_length - prompt_length() : generated() + 1;
    const float attainable = image.live.front().score / length_divisor(length, options_.length_penalty);
    const float worst = image.slots.back().value;
    return std::any_of(image.slots.begin(), image.slots.end(),
                       [&](const Slot& slot) { return attainable > (slot.done ? worst : kNeg); });
  }

  // 8. Whether another step follows.
  bool goes_on(const Image& image) const {
    const bool full = std::all_of(image.slots.begin(), image.slots.end(), [](const Slot& slot) { return slot.done; });
    const bool all_stop = std::all_of(candidates_.begin(), candidates_.end(),
                                      [](const Candidate& candidate) { return candidate.stops; });
    return is_improvable(image) && !(options_.early_stopping == EarlyStopping::kWhenFull && full) && !all_stop;
  }

  void finish(const Image& image, ImageResult& result) const {
    for (const Slot& slot : image.slots) {
      if (result.hypotheses.size() == static_cast<std::size_t>(options_.num_return_sequences)) break;
      if (!slot.done || slot.is_filler) continue;
      const std::span<const std::int64_t> tokens = slot.sequence.tokens;
      const auto reason = reason_to_stop(options_, tokens.first(tokens.size() - 1), tokens.back());
      result.hypotheses.push_back(slot.sequence.hypothesis(static_cast<double>(slot.value), reason.value()));
    }
    if (result.hypotheses.empty()) result.error = "every continuation is banned or impossible";
  }

  std::int64_t prompt_length() const { return static_cast<std::int64_t>(prompt_.size()); }

  // Tokens of a live beam beyond the prompt, before this step's.
  std::int64_t generated() const { return length_ - prompt_length(); }

  // Brings the best num_beams of order_ to its front; among equals the earlier place wins.
  void sort_order() {
    std::partial_sort(order_.begin(), order_.begin() + static_cast<std::ptrdiff_t>(beams_), order_.end(),
                      [](const Ordered& a, const Ordered& b) {
                        return a.value > b.value || (a.value == b.value && a.place < b.place);
                      });
  }

  struct Ordered {
    float value;
    std::size_t place;
  };

  // A row of the present step.
  struct Row {
    std::span<const float> logits;  // raw, [vocab]
    Normalizer log_softmax;
  };

  std::span<const std::int64_t> prompt_;
  const Options& options_;
  std::size_t beams_;
  std::size_t candidates_per_image_;  // K
  RowScorer scorer_;
  std::int64_t length_;  // c: of every live beam, prompt included

  // Scratch of one image's step.
  TopK best_;                          // of greedy choice
  SampleK drawn_;                      // of sampling
  std::vector<Row> rows_;              // [rows_per_image]
  std::vector<Candidate> candidates_;  // [K]
  std::vector<Ordered> order_;
  std::vector<Beam> next_live_;   // [num_beams]
  std::vector<Slot> next_slots_;  // [num_beams]
};

}  // namespace

std::vector<ImageResult> beam_search(Decoder& decoder, std::int64_t images, std::span<const std::int64_t> prompt,
                                     const Options& options, std::span<const std::uint64_t> image_seeds) {
  return search_batch<BeamSearch>(decoder, images, prompt, options, image_seeds);
}

}  // namespace beamcap::search
