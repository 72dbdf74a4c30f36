#include "preprocess/resize_kernels.h"

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))

#include <immintrin.h>

#include <cstring>

#define BEAMCAP_AVX2 __attribute__((target("avx2")))

namespace beamcap::preprocess {
namespace {

// A weight has up to 23 bits and a sign, a factor of the multiply-add (vpmaddwd) 16: so a weight is cut into
// high * 2^kLowBits + low with low >= 0, and the two sums are put together at the end. Sums may wrap on the way, the
// last one fits 32 bits again.
constexpr int kLowBits = 15;
// 16-bit words of a vector.
constexpr std::size_t kWords = 16;
static_assert(kTapGroup == 4 && kRowBlock == 4, "the vectors below hold four pixels");

// For each group w0 w1 w2 w3 the words w0 w1 w0 w1 w0 w1 w0 w1, w2 w3 ... that meet the pixels' channels.
std::vector<std::int16_t> arrange(const Coefficients& weights) {
  std::vector<std::int16_t> arranged;
  for (std::int64_t i = 0; i < weights.outputs(); ++i) {
    const std::int32_t* weight = weights.padded(i);
    for (std::int64_t tap = weights.begin(i); tap < weights.end(i); tap += kTapGroup, weight += kTapGroup) {
      for (std::size_t word = 0; word < kWords; ++word) {
        arranged.push_back(static_cast<std::int16_t>(weight[word / 8 * 2 + word % 2] >> kLowBits));
      }
      for (std::size_t word = 0; word < kWords; ++word) {
        arranged.push_back(static_cast<std::int16_t>(weight[word / 8 * 2 + word % 2] & ((1 << kLowBits) - 1)));
      }
    }
  }
  return arranged;
}

// Four RGB pixels as words: r0 r1 g0 g1 b0 b1 0 0 in the low half, those of pixels 2 and 3 in the high half.
BEAMCAP_AVX2 inline __m256i load_pixels(const std::uint8_t* pixels) {
  const __m256i order = _mm256_setr_epi8(0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1,  //
                                         6, -1, 9, -1, 7, -1, 10, -1, 8, -1, 11, -1, -1, -1, -1, -1);
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(pixels));
  return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(bytes), order);
}

// The sums of an output pixel, each half with its share of the taps, to the channels as 32-bit numbers.
BEAMCAP_AVX2 inline __m128i finish(__m256i high, __m256i low) {
  const __m256i sum = _mm256_add_epi32(_mm256_slli_epi32(high, kLowBits), low);
  const __m128i both = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
  return _mm_srai_epi32(_mm_add_epi32(both, _mm_set1_epi32(kRounding)), kPrecisionBits);
}

// Writes four bytes, the last of which belongs to the next pixel or to the slack.
template <int kIndex>
BEAMCAP_AVX2 inline void store_pixel(__m128i pixels, std::uint8_t* out) {
  const int rgb = _mm_extract_epi32(pixels, kIndex);
  std::memcpy(out, &rgb, sizeof(rgb));
}

BEAMCAP_AVX2 void horizontal(const std::array<const std::uint8_t*, kRowBlock>& rows, const Coefficients& weights,
                             std::span<const std::int16_t> arranged,
                             const std::array<std::uint8_t*, kRowBlock>& out) {
  const auto* group = reinterpret_cast<const __m256i*>(arranged.data());
  for (std::int64_t i = 0; i < weights.outputs(); ++i) {
    __m256i high[kRowBlock] = {};
    __m256i low[kRowBlock] = {};
    for (std::int64_t tap = weights.begin(i); tap < weights.end(i); tap += kTapGroup, group += 2) {
      const __m256i high_weights = _mm256_loadu_si256(group);
      const __m256i low_weights = _mm256_loadu_si256(group + 1);
      for (std::size_t r = 0; r < kRowBlock; ++r) {
        const __m256i pixels = load_pixels(rows[r] + 3 * tap);
        high[r] = _mm256_add_epi32(high[r], _mm256_madd_epi16(pixels, high_weights));
        low[r] = _mm256_add_epi32(low[r], _mm256_madd_epi16(pixels, low_weights));
      }
    }
    const __m128i first = _mm_packs_epi32(finish(high[0], low[0]), finish(high[1], low[1]));
    const __m128i second = _mm_packs_epi32(finish(high[2], low[2]), finish(high[3], low[3]));
    const __m128i pixels = _mm_packus_epi16(first, second);
    store_pixel<0>(pixels, out[0] + 3 * i);
    store_pixel<1>(pixels, out[1] + 3 * i);
    store_pixel<2>(pixels, out[2] + 3 * i);
    store_pixel<3>(pixels, out[3] + 3 * i);
  }
}

BEAMCAP_AVX2 inline __m256i widen(const std::uint8_t* p) {
  return _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
}

// 32 channel values of the output row, from column `start`.
BEAMCAP_AVX2 inline void vertical_block(std::span<const std::uint8_t* const> rows,
                                        std::span<const std::int32_t> weights, std::size_t start, std::uint8_t* out) {
  __m256i sums[4];
  for (__m256i& sum : sums) {
    sum = _mm256_set1_epi32(kRounding);
  }
  for (std::size_t j = 0; j < rows.size(); ++j) {
    const __m256i weight = _mm256_set1_epi32(weights[j]);
    for (std::size_t k = 0; k < 4; ++k) {
      sums[k] = _mm256_add_epi32(sums[k], _mm256_mullo_epi32(widen(rows[j] + start + 8 * k), weight));
    }
  }
  for (__m256i& sum : sums) {
    sum = _mm256_srai_epi32(sum, kPrecisionBits);
  }
  // The packs work within each half; the permutation puts the bytes back in order.
  const __m256i bytes =
      _mm256_packus_epi16(_mm256_packs_epi32(sums[0], sums[1]), _mm256_packs_epi32(sums[2], sums[3]));
  const __m256i ordered = _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + start), ordered);
}

BEAMCAP_AVX2 void vertical(std::span<const std::uint8_t* const> rows, std::span<const std::int32_t> weights,
                           std::size_t bytes, std::uint8_t* out) {
  constexpr std::size_t kBlock = 32;
  if (bytes < kBlock) {
    portable_kernels().vertical(rows, weights, bytes, out);
    return;
  }
  for (std::size_t start = 0; start + kBlock <= bytes; start += kBlock) {
    vertical_block(rows, weights, start, out);
  }
  // The rest: once more a whole block, which overlaps the one before.
  vertical_block(rows, weights, bytes - kBlock, out);
}

}  // namespace

const ResizeKernels* avx2_kernels() {
  static constexpr ResizeKernels kernels = {arrange, horizontal, vertical};
  return __builtin_cpu_supports("avx2") ? &kernels : nullptr;
}

}  // namespace beamcap::preprocess

#else

namespace beamcap::preprocess {

const ResizeKernels* avx2_kernels() { return nullptr; }

}  // namespace beamcap::preprocess

#endif
