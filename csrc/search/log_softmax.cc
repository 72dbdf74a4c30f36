#include "search/log_softmax.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>

namespace beamcap::search {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Sums and maxima are kept in this many lanes, whatever the width of the machine's vectors, so that every machine adds in
// the same order. Plain loops over the lanes are what compilers vectorise well.
constexpr std::size_t kLanes = 16;

struct BlockSummary {
  float max;
  float sum;  // of exp(x - max)
  bool has_nan;
};

// exp(x) for x <= 0, relative error below 2e-7; below -87 (where float32 ends) the value at -87, 1.6e-38.
inline float exp_nonpositive(float x) {
  constexpr float kLog2E = 1.44269504f;
  constexpr float kLn2High = 0.693359375f;  // 9 bits: n * kLn2High is exact
  constexpr float kLn2Low = -2.12194440e-4f;
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding it leaves no bit for a fraction
  x = x > -87.0f ? x : -87.0f;
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
  // times 2^n, by n's place in the exponent: p is in [0.7, 1.42] and n >= -126, so the exponent stays in its field.
  return std::bit_cast<float>(std::bit_cast<std::int32_t>(p) + static_cast<std::int32_t>(n) * (1 << 23));
}

[[gnu::always_inline]] inline BlockSummary summarize_block_lanes(const float* x, std::size_t size) {
  std::array<float, kLanes> max;
  std::array<std::int32_t, kLanes> nan{};
  max.fill(-kInfinity);
  const std::size_t whole = size - size % kLanes;
  for (std::size_t i = 0; i < whole; i += kLanes) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      const float value = x[i + lane];
      max[lane] = value > max[lane] ? value : max[lane];
      nan[lane] |= value != value;
    }
  }
  BlockSummary block{-kInfinity, 0.0f, false};
  for (std::size_t lane = 0; lane < kLanes; ++lane) {
    block.max = std::max(block.max, max[lane]);
    block.has_nan |= nan[lane] != 0;
  }
  for (std::size_t i = whole; i < size; ++i) {
    block.max = std::max(block.max, x[i]);
    block.has_nan |= x[i] != x[i];
  }
  if (!(std::fabs(block.max) < kInfinity)) return block;  // x - max would be NaN

  std::array<float, kLanes> sum{};
  for (std::size_t i = 0; i < whole; i += kLanes) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) sum[lane] += exp_nonpositive(x[i + lane] - block.max);
  }
  for (std::size_t i = whole; i < size; ++i) sum[i - whole] += exp_nonpositive(x[i] - block.max);
  for (const float lane : sum) block.sum += lane;
  return block;
}

using SummarizeBlock = BlockSummary (*)(const float* x, std::size_t size);

BlockSummary summarize_block(const float* x, std::size_t size) { return summarize_block_lanes(x, size); }

#if defined(__x86_64__)
// The same source, and with no fused multiply-add the same bits.
[[gnu::target("avx2")]] BlockSummary summarize_block_avx2(const float* x, std::size_t size) {
  return summarize_block_lanes(x, size);
}

SummarizeBlock pick_summarize_block() {
  return __builtin_cpu_supports("avx2") ? summarize_block_avx2 : summarize_block;
}
#else
SummarizeBlock pick_summarize_block() { return summarize_block; }
#endif

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
  for (std::size_t b = 0; b < blocks; ++b) {
    const std::size_t begin = b * kBlock;
    const BlockSummary block = summarize_one(logits.data() + begin, std::min(kBlock, logits.size() - begin));
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
