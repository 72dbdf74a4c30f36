#include "search/log_softmax.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "search/exp.h"

namespace beamcap::search {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

struct BlockSummary {
  float max;
  float sum;  // of exp(x - max)
  bool has_nan;
};

// Folds x[0, size) onto its first element by halves: each is a loop that compilers vectorise, for its turns are
// independent, and the order of the operations is the same on every machine. size: a power of two.
template <std::size_t size, typename Combine>
[[gnu::always_inline]] inline float fold(float* x, Combine combine) {
  if constexpr (size == 1) {
    return x[0];
  } else {
    for (std::size_t i = 0; i < size / 2; ++i) x[i] = combine(x[i], x[i + size / 2]);
    return fold<size / 2>(x, combine);
  }
}

// x: [kBlock].
[[gnu::always_inline]] inline BlockSummary summarize_block_inline(const float* x) {
  BlockSummary block{-kInfinity, 0.0f, false};
  std::int32_t nan = 0;
  for (std::size_t i = 0; i < kBlock; ++i) nan |= x[i] != x[i];
  block.has_nan = nan != 0;

  float scratch[kBlock];
  for (std::size_t i = 0; i < kBlock; ++i) scratch[i] = x[i];
  block.max = fold<kBlock>(scratch, [](float a, float b) { return a > b ? a : b; });
  // Else x - max would be NaN, or above 0: beside a NaN the fold may lose the greatest.
  if (block.has_nan || !std::isfinite(block.max)) return block;

  for (std::size_t i = 0; i < kBlock; ++i) scratch[i] = x[i] - block.max;
  // A loop of its own: beside the polynomial, compilers make the bound a branch and vectorise neither.
  for (std::size_t i = 0; i < kBlock; ++i) scratch[i] = scratch[i] > kLeastExponent ? scratch[i] : kLeastExponent;
  for (std::size_t i = 0; i < kBlock; ++i) scratch[i] = exp_nonpositive(scratch[i]);
  block.sum = fold<kBlock>(scratch, [](float a, float b) { return a + b; });
  return block;
}

using SummarizeBlock = BlockSummary (*)(const float* x);

BlockSummary summarize_block(const float* x) { return summarize_block_inline(x); }

#if defined(__x86_64__)
// The same source, and with no fused multiply-add the same bits.
[[gnu::target("avx2")]] BlockSummary summarize_block_avx2(const float* x) { return summarize_block_inline(x); }

SummarizeBlock pick_summarize_block() {
  return __builtin_cpu_supports("avx2") ? summarize_block_avx2 : summarize_block;
}
#else
SummarizeBlock pick_summarize_block() { return summarize_block; }
#endif

// The first block of `rest`; where that is short, a copy filled with -inf, which no sum of at least 1 feels.
const float* whole_block(std::span<const float> rest, std::array<float, kBlock>& padded) {
  if (rest.size() >= kBlock) return rest.data();
  std::fill(std::copy(rest.begin(), rest.end(), padded.begin()), padded.end(), -kInfinity);
  return padded.data();
}

}  // namespace

std::string RowSummary::fault() const {
  if (has_nan) return "the model gave NaN as the score of a token";
  if (log_softmax.max == kInfinity) return "the model gave +inf as the score of a token";
  if (log_softmax.max == -kInfinity) return "the model gave -inf as the score of every token";
  return {};
}

void summarize(std::span<const float> logits, RowSummary& summary) {
  static const SummarizeBlock summarize_one = pick_summarize_block();
  const std::size_t blocks = (logits.size() + kBlock - 1) / kBlock;
  summary.block_max.resize(blocks);
  summary.block_sum.resize(blocks);
  summary.has_nan = false;
  float max = -kInfinity;
  std::array<float, kBlock> padded;
  for (std::size_t b = 0; b < blocks; ++b) {
    const BlockSummary block = summarize_one(whole_block(logits.subspan(b * kBlock), padded));
    summary.block_max[b] = block.max;
    summary.block_sum[b] = block.sum;
    summary.has_nan |= block.has_nan;
    max = std::max(max, block.max);
  }
  double sum = 0.0;
  for (std::size_t b = 0; b < blocks; ++b) {
    sum += summary.block_sum[b] * std::exp(static_cast<double>(summary.block_max[b]) - max);
  }
  summary.log_softmax = {max, static_cast<float>(std::log(sum))};
}

}  // namespace beamcap::search
