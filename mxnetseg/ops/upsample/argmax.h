// Resize and argmax in one pass. Source rows are enlarged along x into a buffer that stays in the cache; rows of the
// output are made from two of them, vector by vector, the best class so far being kept in registers.
#pragma once

#include <algorithm>
#include <cstdint>

#include "../simd.h"
#include "axis.h"

namespace mxnetseg {
namespace cpu {

struct UpsampleGeometry {
  int64_t batch;
  int classes, height, width;  // of the logits
  int out_height, out_width;
  bool align_corners;
};

constexpr int kRows = 4;             // output rows between the same two source rows that are made together
constexpr int kTileBytes = 1 << 18;  // of the two enlarged rows: well within the second-level cache

// Columns of the output that are made at a time, whole vectors.
template <typename T>
inline int argmax_tile(const UpsampleGeometry& g) {
  constexpr int lanes = Simd<T>::lanes;
  const int fit = kTileBytes / (2 * static_cast<int>(sizeof(T)) * g.classes * lanes);
  return lanes * std::max(1, std::min(fit, (g.out_width + lanes - 1) / lanes));
}

// Bytes of scratch memory.
template <typename T>
inline int64_t argmax_workspace(const UpsampleGeometry& g) {
  return int64_t(threads()) * 2 * g.classes * argmax_tile<T>(g) * sizeof(T);
}

// Columns first ... first + columns of one source row of all classes -> enlarged[vector][class][lane].
template <typename T>
inline void enlarge_row(const UpsampleGeometry& g, const T* row, const Axis<T>& x, int first, int columns, T* enlarged) {
  constexpr int lanes = Simd<T>::lanes;
  const int64_t plane = int64_t(g.height) * g.width;
  for (int start = 0; start < columns; start += lanes) {
    int32_t low[lanes], high[lanes];
    T weight[lanes];
    for (int i = 0; i < lanes; ++i) {
      const int column = std::min(first + start + i, g.out_width - 1);  // lanes beyond the map repeat its last column
      low[i] = x.low[column];
      high[i] = x.high[column];
      weight[i] = x.weight[column];
    }
    T* to = enlarged + int64_t(start) * g.classes;
    for (int c = 0; c < g.classes; ++c, to += lanes) {
      const T* from = row + c * plane;
      for (int i = 0; i < lanes; ++i) to[i] = from[low[i]] + weight[i] * (from[high[i]] - from[low[i]]);
    }
  }
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
void upsample_argmax(const UpsampleGeometry& g, const T* logits, uint8_t* out, T* workspace) {
  constexpr int lanes = Simd<T>::lanes;
  const Axis<T> y(g.height, g.out_height, g.align_corners), x(g.width, g.out_width, g.align_corners);
  const int tile = argmax_tile<T>(g), tiles = (g.out_width + tile - 1) / tile;
  // bands of rows: enough for every thread, few enough that the enlarged rows at their borders don't count
  const int64_t wanted = (4 * threads() + g.batch * tiles - 1) / (g.batch * tiles);
  const int bands = static_cast<int>(std::max<int64_t>(1, std::min<int64_t>(wanted, g.out_height / 32)));
  const int64_t buffer = int64_t(g.classes) * tile, items = g.batch * tiles * bands;
#pragma omp parallel for schedule(dynamic)
  for (int64_t item = 0; item < items; ++item) {
#ifdef _OPENMP
    T* const mine = workspace + omp_get_thread_num() * 2 * buffer;
#else
    T* const mine = workspace;
#endif
    const int64_t n = item / (tiles * bands);
    const int first = static_cast<int>(item / bands % tiles) * tile, band = static_cast<int>(item % bands);
    const int columns = std::min(tile, g.out_width - first);
    const int end = static_cast<int>(int64_t(g.out_height) * (band + 1) / bands);
    const T* const image = logits + n * g.classes * g.height * g.width;
    T* rows[2] = {mine, mine + buffer};  // enlarged source rows held[0] and held[1]
    int held[2] = {-1, -1};
    const auto fetch = [&](int which, int source) {
      if (held[which] == source) return;
      enlarge_row(g, image + int64_t(source) * g.width, x, first, columns, rows[which]);
      held[which] = source;
    };
    for (int row = static_cast<int>(int64_t(g.out_height) * band / bands); row < end;) {
      const int low = y.low[row], high = y.high[row];
      int count = 1;
      while (count < kRows && row + count < end && y.low[row + count] == low) ++count;
      if (held[0] != low && held[1] == low) {
        std::swap(rows[0], rows[1]);
        std::swap(held[0], held[1]);
      }
      fetch(0, low);
      if (high != low) fetch(1, high);
      const T *top = rows[0], *bottom = high == low ? rows[0] : rows[1];
      for (int start = 0; start < columns; start += lanes) {
        const int64_t at = int64_t(start) * g.classes;
        uint8_t* to = out + (n * g.out_height + row) * g.out_width + first + start;
        const int filled = std::min(lanes, columns - start);
        const T* weight = &y.weight[row];
        const auto make = count == 4   ? argmax_rows<T, 4>
                          : count == 3 ? argmax_rows<T, 3>
                          : count == 2 ? argmax_rows<T, 2>
                                       : argmax_rows<T, 1>;
        make(top + at, bottom + at, g.classes, weight, to, g.out_width, filled);
      }
      row += count;
    }
  }
}

}  // namespace cpu
}  // namespace mxnetseg
