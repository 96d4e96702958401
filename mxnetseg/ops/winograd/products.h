// The matrix products of Winograd's algorithm, a few registers' worth at a time.
#pragma once

#if defined(__SSE2__)
#include <immintrin.h>
#endif

#include "tiles.h"

namespace mxnetseg {
namespace cpu {

// A vector of the machine's own length: the sums of kRows rows by those of kPanels blocks stay in registers.
#if defined(__AVX512F__)
constexpr int kBytes = 64, kRows = 8, kPanels = 2;
#elif defined(__AVX__)
constexpr int kBytes = 32, kRows = 4, kPanels = 1;
#else
constexpr int kBytes = 16, kRows = 2, kPanels = 1;
#endif
constexpr int kVector = kBytes / sizeof(float), kWide = kLanes / kVector;

// What is multiplied: floats, or pairs of 16-bit integers, of which the two products are added up.
typedef float Floats __attribute__((vector_size(kBytes)));
typedef int32_t Pair;
typedef Pair Pairs __attribute__((vector_size(kBytes)));

inline void add_product(float row, const Floats& lanes, Floats* sum) { *sum += row * lanes; }

inline void add_product(Pair row, const Pairs& lanes, Pairs* sum) {
#if defined(__AVX512VNNI__)
  *sum = (Pairs)_mm512_dpwssd_epi32((__m512i)*sum, _mm512_set1_epi32(row), (__m512i)lanes);
#elif defined(__AVX512BW__)
  *sum += (Pairs)_mm512_madd_epi16(_mm512_set1_epi32(row), (__m512i)lanes);
#elif defined(__AVX2__) && !defined(__AVX512F__)
  *sum += (Pairs)_mm256_madd_epi16(_mm256_set1_epi32(row), (__m256i)lanes);
#elif defined(__SSE2__) && !defined(__AVX__)
  *sum += (Pairs)_mm_madd_epi16(_mm_set1_epi32(row), (__m128i)lanes);
#else
  int16_t of_row[2], of_lanes[2 * kVector];
  std::memcpy(of_row, &row, sizeof row);
  std::memcpy(of_lanes, &lanes, sizeof lanes);
  for (int i = 0; i < kVector; ++i) (*sum)[i] += of_row[0] * of_lanes[2 * i] + of_row[1] * of_lanes[2 * i + 1];
#endif
}

inline Floats as_floats(const Floats& sum) { return sum; }
inline Floats as_floats(const Pairs& sum) { return converted<Floats>(sum); }

constexpr int kRound = 8;  // rows come in multiples of it, whatever the machine
inline int64_t rounded(int64_t tiles) { return (tiles + kRound - 1) / kRound * kRound; }

constexpr int kDepth = 128;  // channels, or pairs of them, at a time, whose products are added up

// One side of a product: numbers of which the row is so many apart, and the next one to be added up; after `length` of
// those, `block` to the next.
template <int RowApart, int Apart, typename Number = float>
struct Rows {
  const Number* data;
  int length;
  int64_t block;
};

// sums[row][panel] = the sum over i of rows[row][i] * panels[panel][i], for kRows rows and Panels blocks of lanes; rows of
// sums are `row_apart` numbers apart, its panels and those of `panels` so many. With `add` it is added to what is there:
// sums of sums keep more digits than one long sum.
template <int Panels, int RowApart, int Apart, typename Number = float>
inline void multiply(const Rows<RowApart, Apart, Number>& rows, const Number* panels, int64_t panel_apart, int depth,
                     bool add, float* sums, int64_t row_apart, int64_t sums_apart) {
  typedef Number Vector __attribute__((vector_size(kBytes)));
  Vector sum[kRows][Panels * kWide]{};
  const Number* block = rows.data;
  const Number* lanes = panels;
  for (int left = depth; left > 0; left -= rows.length, block += rows.block) {
    const Number* row = block;
    for (int i = std::min(left, rows.length); i > 0; --i, row += Apart, lanes += kLanes) {
      Vector lane[Panels * kWide];
#pragma GCC unroll 8
      for (int v = 0; v < Panels * kWide; ++v)
        std::memcpy(&lane[v], lanes + v / kWide * panel_apart + v % kWide * kVector, sizeof(Vector));
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 8
        for (int v = 0; v < Panels * kWide; ++v) add_product(row[r * RowApart], lane[v], &sum[r][v]);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 8
    for (int v = 0; v < Panels * kWide; ++v) {
      float* const to = sums + r * row_apart + v / kWide * sums_apart + v % kWide * kVector;
      Floats before{};
      if (add) std::memcpy(&before, to, sizeof before);
      before += as_floats(sum[r][v]);
      std::memcpy(to, &before, sizeof before);
    }
}

}  // namespace cpu
}  // namespace mxnetseg
