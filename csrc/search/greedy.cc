#include "search/greedy.h"

#include <limits>
#include <utility>

#include "search/log_softmax.h"
#include "search/processors.h"
#include "search/row_scores.h"
#include "search/step.h"
#include "search/topk.h"

namespace beamcap::search {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// An image in the batch.
struct Row {
  std::size_t image;                 // its place in the results
  std::vector<std::int64_t> tokens;  // prompt included
  double log_prob = 0.0;             // of the generated ones
};

class GreedySearch {
 public:
  GreedySearch(std::span<const std::int64_t> prompt, const Options& options)
      : prompt_length_(prompt.size()),
        options_(options),
        processors_(options, static_cast<std::int64_t>(prompt.size())) {}

  // Appends the best token to the row, by its logits [vocab]. True if the row goes on; else the result is filled.
  bool advance(std::span<const float> logits, Row& row, ImageResult& result) {
    summarize(logits, summary_);
    result.error = summary_.fault();
    if (!result.error.empty()) return false;

    scores_.reset(logits, Normalizer{});
    processors_.process(row.tokens, scores_);
    best_.reset(1);
    best_.offer_row(scores_, summary_, 0.0f, 0);
    const TopK::Entry best = best_.sorted().front();
    if (best.score == -kInfinity) {
      result.error = "every token is banned or impossible";
      return false;
    }
    row.tokens.push_back(best.index);
    row.log_prob += static_cast<double>(summary_.log_softmax(logits[static_cast<std::size_t>(best.index)]));

    const bool eos = options_.is_eos(best.index);
    if (!eos && row.tokens.size() < static_cast<std::size_t>(options_.max_length)) return true;
    result.hypotheses.push_back(finish(row, eos));
    return false;
  }

 private:
  Hypothesis finish(const Row& row, bool eos) const {
    const auto length = static_cast<std::int64_t>(row.tokens.size() - prompt_length_);
    return {{row.tokens.end() - length, row.tokens.end()},
            row.log_prob / static_cast<double>(length_divisor(length, options_.length_penalty)),
            eos ? FinishReason::kEos : FinishReason::kLength};
  }

  std::size_t prompt_length_;
  const Options& options_;
  Processors processors_;
  RowSummary summary_;
  RowScores scores_;
  TopK best_;
};

}  // namespace

std::vector<ImageResult> greedy_search(Decoder& decoder, std::int64_t images, std::span<const std::int64_t> prompt,
                                       const Options& options) {
  std::vector<ImageResult> results(static_cast<std::size_t>(images));
  std::vector<Row> rows;
  for (std::size_t image = 0; image < results.size(); ++image) {
    rows.push_back({image, {prompt.begin(), prompt.end()}});
  }
  GreedySearch search(prompt, options);
  Stepper stepper(decoder, options);
  std::vector<std::int32_t> kept;
  std::vector<std::int64_t> tokens;  // the last of each row

  Logits logits = stepper.first(prompt, images);
  while (true) {
    kept.clear();
    tokens.clear();
    for (std::size_t i = 0; i < rows.size(); ++i) {
      Row& row = rows[i];
      if (!search.advance(logits.row(static_cast<std::int64_t>(i)), row, results[row.image])) continue;
      tokens.push_back(row.tokens.back());
      if (kept.size() < i) rows[kept.size()] = std::move(row);
      kept.push_back(static_cast<std::int32_t>(i));
    }
    if (kept.empty()) return results;
    if (kept.size() < rows.size()) decoder.compact(kept);
    rows.resize(kept.size());
    logits = stepper.next(tokens);
  }
}

}  // namespace beamcap::search
