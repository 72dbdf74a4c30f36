#include "search/log_softmax.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>

namespace beamcap::search {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

struct BlockSummary {
  float max;
  float sum;  // of exp(x - max)
  bool has_nan;
};

// exp(x) for x in [kLeastExponent, 0], relative error below 2e-7.
constexpr float kLeastExponent = -87.0f;  // exp of it is 1.6e-38, where float32's normal numbers end
[[gnu::always_inline]] inline float exp_nonpositive(float x) {
  constexpr float kLog2E = 1.44269504f;
  constexpr float kLn2High = 0.693359375f;  // 9 bits: n * kLn2High is exact
  constexpr float kLn2Low = -2.12194440e-4f;
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding it leaves no bit for a fraction
  const float n = (x * kLog2E + kRound) - kRound;
  const float r = (x - n * kLn2High) - n * kLn2Low;
  // Taylor's series to r^7; |r| <= ln(2)/2 leaves less than 1e-8 beyond it.
  float p = 1.0f / 5040.0f;
  p = p * r + 1.0f / 720.0f;
  p = p * r + 1.0f / 120.0f;
  p = p * r + 1.0f / 24.0f;
  p = p * r + 1.0f / 6.0f;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  // times 2^n, in the exponent: p is in [0.7, 1.42] and n >= -126, so the exponent stays in its field.
  return std::bit_cast<float>(std::bit_cast<std::int32_t>(p) + static_cast<std::int32_t>(n) * (1 << 23));
}

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
  if (!std::isfinite(block.max)) return block;  // x - max would be NaN

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
