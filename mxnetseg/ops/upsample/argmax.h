// Resize and argmax in one pass. Source rows are enlarged along x into a buffer that stays in the cache; rows of the
// output are made from two of them, vector by vector, the best class so far being kept in registers.
#pragma once

#include <algorithm>
#include <cstdint>

#include "../enlarge.h"

namespace mxnetseg {
namespace cpu {

constexpr int kRowsTogether = 4;  // output rows between the same two source rows that are made together

// Elements of scratch memory: per thread two enlarged rows.
template <typename T>
inline int64_t argmax_workspace(const Enlarging& g) {
  return int64_t(threads()) * 2 * g.classes * columns_at_a_time<T>(g);
}

// `R` rows of one vector of columns: which class is greatest, the first of equals.
template <typename T, int R>
inline void argmax_rows(const T* top, const T* bottom, int classes, const T* weight, uint8_t* out, int64_t stride,
                        int count) {
  typedef typename Simd<T>::vector Vector;
  constexpr int lanes = Simd<T>::lanes;
  Vector best[R];
  decltype(best[0] > best[0]) at[R], now = {};
  const Vector a0 = load(top), d0 = load(bottom) - a0;
  for (int r = 0; r < R; ++r) {
    best[r] = a0 + weight[r] * d0;
    at[r] = now;
  }
  for (int c = 1; c < classes; ++c) {
    const Vector a = load(top + int64_t(c) * lanes), d = load(bottom + int64_t(c) * lanes) - a;
    now += 1;
    for (int r = 0; r < R; ++r) {
      const Vector value = a + weight[r] * d;
      const auto greater = value > best[r];
      best[r] = greater ? value : best[r];
      at[r] = greater ? now : at[r];
    }
  }
  for (int r = 0; r < R; ++r)
    for (int i = 0; i < count; ++i) out[r * stride + i] = static_cast<uint8_t>(at[r][i]);
}

// logits (batch, classes, height, width) -> out (batch, out_height, out_width)
template <typename T>
void upsample_argmax(const Enlarging& g, const T* logits, uint8_t* out, T* workspace) {
  constexpr int lanes = Simd<T>::lanes;
  const Interpolation<T> y(g.height, g.out_height, g.align_corners), x(g.width, g.out_width, g.align_corners);
  const int tile = columns_at_a_time<T>(g), tiles = (g.out_width + tile - 1) / tile;
  const int bands = bands_for(threads(), g.batch * tiles, g.out_height / 32);
  const int64_t buffer = int64_t(g.classes) * tile, items = g.batch * tiles * bands;
#pragma omp parallel for schedule(dynamic)
  for (int64_t item = 0; item < items; ++item) {
    const int64_t n = item / (tiles * bands);
    const int first = static_cast<int>(item / bands % tiles) * tile, band = static_cast<int>(item % bands);
    const int columns = std::min(tile, g.out_width - first), end = band_start(g.out_height, band + 1, bands);
    const auto make_row = [&](int row, T* to) {
      enlarge_row(g, logits + n * g.classes * g.plane() + int64_t(row) * g.width, x, first, columns, to);
    };
    RowPair enlarged(workspace + thread() * 2 * buffer, buffer, make_row);
    for (int row = band_start(g.out_height, band, bands); row < end;) {
      const int low = y.low[row], high = y.high[row];
      int count = 1;
      while (count < kRowsTogether && row + count < end && y.low[row + count] == low) ++count;
      enlarged.hold(low, high == low ? -1 : high);
      const T *top = enlarged[0], *bottom = enlarged[high == low ? 0 : 1];
      for (int start = 0; start < columns; start += lanes) {
        const int64_t at = int64_t(start) * g.classes;
        uint8_t* to = out + (n * g.out_height + row) * g.out_width + first + start;
        const auto make = count == 4   ? argmax_rows<T, 4>
                          : count == 3 ? argmax_rows<T, 3>
                          : count == 2 ? argmax_rows<T, 2>
                                       : argmax_rows<T, 1>;
        make(top + at, bottom + at, g.classes, &y.weight[row], to, g.out_width, std::min(lanes, columns - start));
      }
      row += count;
    }
  }
}

}  // namespace cpu
}  // namespace mxnetseg
