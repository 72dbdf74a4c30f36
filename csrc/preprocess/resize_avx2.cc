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

BEAMCAP_AVX2 inline __m256i load_twice(const void* p) {
  return _mm256_broadcastsi128_si256(_mm_loadu_si128(static_cast<const __m128i*>(p)));
}

BEAMCAP_AVX2 inline void store_pixel(std::uint8_t* out, std::uint32_t rgb) { std::memcpy(out, &rgb, 3); }

BEAMCAP_AVX2 void horizontal(const std::array<const std::uint8_t*, kRowBlock>& rows, const Coefficients& weights,
                             const std::array<std::uint8_t*, kRowBlock>& out) {
  // Of four RGB pixels: words r0 r1 g0 g1 b0 b1 0 0 in the low half, those of pixels 2 and 3 in the high half.
  const __m256i pair_pixels = _mm256_setr_epi8(0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1,  //
                                               6, -1, 9, -1, 7, -1, 10, -1, 8, -1, 11, -1, -1, -1, -1, -1);
  // Of four 32-bit weights: the low words of w0 and w1, again and again, in the low half, of w2 and w3 in the high.
  const __m256i pair_weights = _mm256_setr_epi8(0, 1, 4, 5, 0, 1, 4, 5, 0, 1, 4, 5, 0, 1, 4, 5,  //
                                                8, 9, 12, 13, 8, 9, 12, 13, 8, 9, 12, 13, 8, 9, 12, 13);
  const __m256i low_mask = _mm256_set1_epi32((1 << kLowBits) - 1);
  for (std::int64_t i = 0; i < weights.outputs(); ++i) {
    const std::int32_t* weight = weights.padded(i);
    const std::int64_t begin = weights.begin(i);
    const std::int64_t end = weights.end(i);
    __m256i high[kRowBlock];
    __m256i low[kRowBlock];
    for (std::size_t r = 0; r < kRowBlock; ++r) {
      high[r] = _mm256_setzero_si256();
      low[r] = _mm256_setzero_si256();
    }
    for (std::int64_t tap = begin; tap < end; tap += kTapGroup, weight += kTapGroup) {
      const __m256i four = load_twice(weight);
      const __m256i high_pair = _mm256_shuffle_epi8(_mm256_srai_epi32(four, kLowBits), pair_weights);
      const __m256i low_pair = _mm256_shuffle_epi8(_mm256_and_si256(four, low_mask), pair_weights);
      for (std::size_t r = 0; r < kRowBlock; ++r) {
        const __m256i pixels = _mm256_shuffle_epi8(load_twice(rows[r] + 3 * tap), pair_pixels);
        high[r] = _mm256_add_epi32(high[r], _mm256_madd_epi16(pixels, high_pair));
        low[r] = _mm256_add_epi32(low[r], _mm256_madd_epi16(pixels, low_pair));
      }
    }
    __m128i rgb[kRowBlock];
    for (std::size_t r = 0; r < kRowBlock; ++r) {
      const __m256i sum = _mm256_add_epi32(_mm256_slli_epi32(high[r], kLowBits), low[r]);
      const __m128i both = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
      rgb[r] = _mm_srai_epi32(_mm_add_epi32(both, _mm_set1_epi32(kRounding)), kPrecisionBits);
    }
    const __m128i bytes = _mm_packus_epi16(_mm_packs_epi32(rgb[0], rgb[1]), _mm_packs_epi32(rgb[2], rgb[3]));
    store_pixel(out[0] + 3 * i, static_cast<std::uint32_t>(_mm_extract_epi32(bytes, 0)));
    store_pixel(out[1] + 3 * i, static_cast<std::uint32_t>(_mm_extract_epi32(bytes, 1)));
    store_pixel(out[2] + 3 * i, static_cast<std::uint32_t>(_mm_extract_epi32(bytes, 2)));
    store_pixel(out[3] + 3 * i, static_cast<std::uint32_t>(_mm_extract_epi32(bytes, 3)));
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
  static constexpr ResizeKernels kernels = {horizontal, vertical};
  return __builtin_cpu_supports("avx2") ? &kernels : nullptr;
}

}  // namespace beamcap::preprocess

#else

namespace beamcap::preprocess {

const ResizeKernels* avx2_kernels() { return nullptr; }

}  // namespace beamcap::preprocess

#endif
