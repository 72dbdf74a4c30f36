#include "search/one_beam.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <optional>
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

constexpr float kInfinity = std::numeric_limits<float>::infinity();

class OneBeamSearch {
 public:
  struct Row {
    Sequence sequence;
    Random random;
    bool ended = false;  // it keeps its row, idle, until all of the image have ended
    std::optional<Hypothesis> hypothesis{};  // none yet, or none that is possible
  };

  struct Image {
    std::size_t index;
    std::vector<Row> rows;  // [num_return_sequences]
  };

  OneBeamSearch(std::span<const std::int64_t> prompt, const Options& options)
      : prompt_(prompt), options_(options), scorer_(options, static_cast<std::int64_t>(prompt.size())) {}

  Image start(std::size_t index, std::uint64_t seed) const {
    Image image{index, {}};
    for (std::int64_t i = 0; i < options_.num_return_sequences; ++i) {
      image.rows.push_back({{{prompt_.begin(), prompt_.end()}, {}}, Random(seed, static_cast<std::uint64_t>(i))});
    }
    return image;
  }

  // The sequences of an image begin with the same row.
  std::size_t rows_per_image() const {
    return is_first_step_ ? 1 : static_cast<std::size_t>(options_.num_return_sequences);
  }

  bool advance(const Logits& logits, std::int64_t first_row, Image& image, ImageResult& result) {
    std::span<const float> row_logits;
    for (std::size_t i = 0; i < image.rows.size(); ++i) {
      Row& row = image.rows[i];
      if (row.ended) continue;
      if (i < rows_per_image()) {
        row_logits = logits.row(first_row + static_cast<std::int64_t>(i));
        result.error = scorer_.score(row_logits, row.sequence.tokens);
        if (!result.error.empty()) return false;
      }
      extend(row, row_logits);
    }
    const bool goes_on = std::any_of(image.rows.begin(), image.rows.end(), [](const Row& row) { return !row.ended; });
    if (!goes_on) finish(image, result);
    return goes_on;
  }

  void append_rows(const Image& image, std::int32_t first_row, std::vector<std::int32_t>& parents,
                   std::vector<std::int64_t>& tokens) const {
    for (std::size_t i = 0; i < image.rows.size(); ++i) {
      parents.push_back(is_first_step_ ? first_row : first_row + static_cast<std::int32_t>(i));
      tokens.push_back(image.rows[i].sequence.tokens.back());
    }
  }

  void lengthen() { is_first_step_ = false; }

 private:
  // Appends a token to a row that has been scored. logits: its raw ones, [vocab].
  void extend(Row& row, std::span<const float> logits) {
    const TopK::Entry chosen = choose(row.random);
    if (chosen.score == -kInfinity) {
      row.ended = true;
      return;
    }
    const auto reason = reason_to_stop(options_, row.sequence.tokens, chosen.index);
    row.sequence.append(chosen.index,
                        log_probability(logits[static_cast<std::size_t>(chosen.index)], scorer_.log_softmax()));
    if (!reason) return;
    row.ended = true;
    row.hypothesis = row.sequence.hypothesis(score(row.sequence.log_probs), *reason);
  }

  TopK::Entry choose(Random& random) {
    if (options_.do_sample) {
      drawn_.reset(1);
      drawn_.offer_row(scorer_.scores(), 0.0f);
      return drawn_.drawn(random).front();
    }
    best_.reset(1);
    best_.offer_row(scorer_.scores(), scorer_.block_max(), 0.0f, 0);
    return best_.sorted().front();
  }

  double score(const std::vector<float>& log_probs) const {
    const double sum = std::accumulate(log_probs.begin(), log_probs.end(), 0.0);
    const auto length = static_cast<std::int64_t>(log_probs.size());
    return sum / static_cast<double>(length_divisor(length, options_.length_penalty));
  }

  static void finish(Image& image, ImageResult& result) {
    for (Row& row : image.rows) {
      if (row.hypothesis) result.hypotheses.push_back(std::move(*row.hypothesis));
    }
    if (result.hypotheses.empty()) result.error = "every token is banned or impossible";
  }

  std::span<const std::int64_t> prompt_;
  const Options& options_;
  RowScorer scorer_;
  TopK best_;
  SampleK drawn_;
  bool is_first_step_ = true;
};

}  // namespace

std::vector<ImageResult> one_beam_search(Decoder& decoder, std::int64_t images, std::span<const std::int64_t> prompt,
                                         const Options& options, std::span<const std::uint64_t> image_seeds) {
  return search_batch<OneBeamSearch>(decoder, images, prompt, options, image_seeds);
}

}  // namespace beamcap::search
