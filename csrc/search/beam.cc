#include "search/beam.h"

#include <algorithm>
#include <utility>

#include "search/log_softmax.h"
#include "search/processors.h"
#include "search/row_scores.h"
#include "search/step.h"
#include "search/topk.h"

namespace beamcap::search {
namespace {

// What the reference adds to the score of what must not be chosen. Finite: what bears it is still chosen where there is
// nothing better.
constexpr float kNeg = -1e9f;

struct Beam {
  float score = 0.0f;                // sum of log-probabilities
  std::vector<std::int64_t> tokens;  // prompt included
  std::int32_t parent = 0;           // the beam of the last step that it goes on from
};

struct Slot {
  float value = kNeg;
  bool done = false;
  std::vector<std::int64_t> tokens;  // prompt included
};

// One of the best K continuations of an image's beams.
struct Candidate {
  float score;
  std::int32_t beam;
  std::int64_t token;
  bool stops;
};

struct Image {
  std::size_t index;        // its place in the results
  std::vector<Beam> live;   // [num_beams]
  std::vector<Slot> slots;  // [num_beams], the best first
};

// The steps of an image, by their numbers in beam.h.
class BeamSearch {
 public:
  BeamSearch(std::span<const std::int64_t> prompt, const Options& options)
      : prompt_(prompt),
        options_(options),
        beams_(static_cast<std::size_t>(options.num_beams)),
        candidates_per_beam_(std::max<std::size_t>(2, 1 + options.eos_token_ids.size())),
        processors_(options, static_cast<std::int64_t>(prompt.size())),
        length_(static_cast<std::int64_t>(prompt.size())),
        next_live_(beams_) {}

  Image start(std::size_t index) const {
    Image image{index, {}, std::vector<Slot>(beams_)};
    for (std::size_t beam = 0; beam < beams_; ++beam) {
      image.live.push_back({beam == 0 ? 0.0f : kNeg, {prompt_.begin(), prompt_.end()}});
    }
    return image;
  }

  // Takes one step of an image, whose rows of logits begin at first_row: one for all beams at the first step, later one
  // each. True if the image goes on; else the result is filled.
  bool advance(const Logits& logits, std::int64_t first_row, Image& image, ImageResult& result) {
    best_.reset(candidates_per_beam_ * beams_);
    for (std::size_t beam = 0; beam < beams_; ++beam) {
      if (beam < rows_per_image()) {
        result.error = score_row(logits.row(first_row + static_cast<std::int64_t>(beam)), image.live[beam]);
        if (!result.error.empty()) return false;
      }
      offer_row(image.live[beam].score, beam);
    }
    take_best();
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
      tokens.push_back(beam.tokens.back());
    }
  }

  // 6, end. Every live beam is one token longer.
  void lengthen() { ++length_; }

  // Rows of the decoder an image: it grows to num_beams after the first step.
  std::size_t rows_per_image() const { return is_first_step() ? 1 : beams_; }

  bool is_first_step() const { return length_ == prompt_length(); }

 private:
  // 1. The log-probabilities of a row, changed by the processors. Returns what is wrong with its logits, if anything.
  std::string score_row(std::span<const float> logits, const Beam& beam) {
    summarize(logits, summary_);
    std::string fault = summary_.fault();
    if (!fault.empty()) return fault;
    scores_.reset(logits, summary_.log_softmax);
    processors_.process(beam.tokens, scores_);
    return fault;
  }

  // 1, end, and 2: adds the beam's score, and offers the row as beam * vocab + token.
  void offer_row(float beam_score, std::size_t beam) {
    best_.offer_row(scores_, summary_, beam_score, static_cast<std::int64_t>(beam) * scores_.vocab());
  }

  // 2, end. The best K are the candidates.
  void take_best() {
    candidates_.clear();
    for (const TopK::Entry& entry : best_.sorted()) {
      const std::int64_t token = entry.index % scores_.vocab();
      candidates_.push_back(
          {entry.score, static_cast<std::int32_t>(entry.index / scores_.vocab()), token, stops_at(token)});
    }
  }

  // 3. Whether a sequence stops at this token.
  bool stops_at(std::int64_t token) const { return options_.is_eos(token) || length_ + 1 >= options_.max_length; }

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
      next_live_[i].tokens.assign(parent.tokens.begin(), parent.tokens.end());
      next_live_[i].tokens.push_back(candidate.token);
      next_live_[i].parent = candidate.beam;
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
    Slot slot{value, is_finished(rank), image.live[static_cast<std::size_t>(candidate.beam)].tokens};
    slot.tokens.push_back(candidate.token);
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
      if (!slot.done) continue;
      const auto generated_begin = slot.tokens.begin() + prompt_length();
      result.hypotheses.push_back({{generated_begin, slot.tokens.end()},
                                   static_cast<double>(slot.value),
                                   options_.is_eos(slot.tokens.back()) ? FinishReason::kEos : FinishReason::kLength});
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

  std::span<const std::int64_t> prompt_;
  const Options& options_;
  std::size_t beams_;
  std::size_t candidates_per_beam_;
  Processors processors_;
  std::int64_t length_;  // c: of every live beam, prompt included

  // Scratch of one image's step.
  RowSummary summary_;
  RowScores scores_;
  TopK best_;
  std::vector<Candidate> candidates_;  // [K]
  std::vector<Ordered> order_;
  std::vector<Beam> next_live_;   // [num_beams]
  std::vector<Slot> next_slots_;  // [num_beams]
};

bool moves(std::span<const std::int32_t> parents, std::size_t rows) {
  if (parents.size() != rows) return true;
  for (std::size_t row = 0; row < rows; ++row) {
    if (parents[row] != static_cast<std::int32_t>(row)) return true;
  }
  return false;
}

}  // namespace

std::vector<ImageResult> beam_search(Decoder& decoder, std::int64_t images, std::span<const std::int64_t> prompt,
                                     const Options& options) {
  std::vector<ImageResult> results(static_cast<std::size_t>(images));
  BeamSearch search(prompt, options);
  std::vector<Image> batch;
  for (std::size_t index = 0; index < results.size(); ++index) batch.push_back(search.start(index));
  Stepper stepper(decoder, options);
  std::vector<std::int32_t> kept;     // images of the last step that go on
  std::vector<std::int32_t> parents;  // [kept * num_beams]
  std::vector<std::int64_t> tokens;   // the same

  Logits logits = stepper.first(prompt, images);
  while (true) {
    kept.clear();
    parents.clear();
    tokens.clear();
    const std::size_t rows_per_image = search.rows_per_image();
    for (std::size_t i = 0; i < batch.size(); ++i) {
      Image& image = batch[i];
      if (!search.advance(logits, static_cast<std::int64_t>(i * rows_per_image), image, results[image.index])) continue;
      search.append_rows(image, static_cast<std::int32_t>(kept.size() * rows_per_image), parents, tokens);
      if (kept.size() < i) batch[kept.size()] = std::move(image);
      kept.push_back(static_cast<std::int32_t>(i));
    }
    if (kept.empty()) return results;
    if (kept.size() < batch.size()) decoder.compact(kept);
    batch.resize(kept.size());
    if (moves(parents, kept.size() * rows_per_image)) decoder.gather(parents);
    search.lengthen();
    logits = stepper.next(tokens);
  }
}

}  // namespace beamcap::search
