// The matrix products of Winograd's algorithm, a few registers' worth at a time.
#pragma once

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
typedef float Vector __attribute__((vector_size(kBytes)));
constexpr int kVector = kBytes / sizeof(float), kWide = kLanes / kVector;

constexpr int kRound = 8;  // rows come in multiples of it, whatever the machine
inline int64_t rounded(int64_t tiles) { return (tiles + kRound - 1) / kRound * kRound; }

constexpr int kDepth = 128;  // channels at a time, whose products are added up

// One side of a product: numbers of which the row is so many apart, and the next one to be added up; after `length` of
// those, `block` to the next.
template <int RowApart, int Apart>
struct Rows {
  const float* data;
  int length;
  int64_t block;
};

// sums[row][panel] = the sum over i of rows[row][i] * panels[panel][i], for kRows rows and Panels blocks of lanes; rows of
// sums are `row_apart` numbers apart, its panels and those of `panels` so many. With `add` it is added to what is there:
// sums of sums keep more digits than one long sum.
template <int Panels, int RowApart, int Apart>
inline void multiply(const Rows<RowApart, Apart>& rows, const float* panels, int64_t panel_apart, int depth, bool add,
                     float* sums, int64_t row_apart, int64_t sums_apart) {
  Vector sum[kRows][Panels * kWide]{};
  const float* block = rows.data;
  const float* lanes = panels;
  for (int left = depth; left > 0; left -= rows.length, block += rows.block) {
    const float* row = block;
    for (int i = std::min(left, rows.length); i > 0; --i, row += Apart, lanes += kLanes) {
      Vector lane[Panels * kWide];
#pragma GCC unroll 8
      for (int v = 0; v < Panels * kWide; ++v)
        std::memcpy(&lane[v], lanes + v / kWide * panel_apart + v % kWide * kVector, sizeof(Vector));
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 8
        for (int v = 0; v < Panels * kWide; ++v) sum[r][v] += row[r * RowApart] * lane[v];
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 8
    for (int v = 0; v < Panels * kWide; ++v) {
      float* const to = sums + r * row_apart + v / kWide * sums_apart + v % kWide * kVector;
      Vector before{};
      if (add) std::memcpy(&before, to, sizeof before);
      before += sum[r][v];
      std::memcpy(to, &before, sizeof before);
    }
}

}  // namespace cpu
}  // namespace mxnetseg
