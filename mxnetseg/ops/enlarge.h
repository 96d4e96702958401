// Bilinear enlarging, as `mxnetseg.nn.resize_like` and PyTorch have it, one row at a time: a row of the source is
// enlarged along x, all classes of it, and rows of the result are mixed from two of those. Shared by argmax,
// cross-entropy, the end of a convolution (taps.h) and blending.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "simd.h"

namespace mxnetseg {
namespace cpu {

struct Enlarging {
  int64_t batch;
  int classes, height, width;  // of the source; classes: channels, whatever they stand for
  int out_height, out_width;
  bool align_corners;

  int64_t plane() const { return int64_t(height) * width; }
};

// Along one axis: target i is the mean of sources low[i] and high[i], the latter with weight[i], at most one apart.
template <typename T>
struct Interpolation {
  std::vector<int32_t> low, high;
  std::vector<T> weight;

  Interpolation(int sources, int targets, bool align_corners) : low(targets), high(targets), weight(targets) {
    const double last = sources - 1;
    // a single target takes the first source where corners are aligned
    const double scale = align_corners ? last / std::max(targets - 1, 1) : double(sources) / targets;
    for (int i = 0; i < targets; ++i) {
      const double centre = align_corners ? i * scale : (i + 0.5) * scale - 0.5;
      const double position = std::min(std::max(centre, 0.0), last);
      low[i] = static_cast<int32_t>(position);
      high[i] = std::min(low[i] + 1, sources - 1);
      weight[i] = static_cast<T>(position - low[i]);
    }
  }
};

constexpr int kCacheBytes = 1 << 18;  // of two enlarged rows: well within the second-level cache

// Columns of the result that are made at a time, in whole vectors, so that their enlarged rows stay in the cache.
template <typename T>
inline int columns_at_a_time(const Enlarging& g) {
  constexpr int lanes = Simd<T>::lanes;
  const int fit = kCacheBytes / (2 * static_cast<int>(sizeof(T)) * g.classes * lanes);
  return lanes * std::max(1, std::min(fit, (g.out_width + lanes - 1) / lanes));
}

// Columns first ... first + columns of one source row of all classes -> enlarged[vector][class][lane].
template <typename T>
inline void enlarge_row(const Enlarging& g, const T* row, const Interpolation<T>& x, int first, int columns,
                        T* enlarged) {
  constexpr int lanes = Simd<T>::lanes;
  const int64_t plane = g.plane();
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

// The two rows that were made last: who goes down the rows needs each for several, and it is made once.
template <typename T, typename Make>
class RowPair {
 public:
  // memory: for two rows of `size` elements; make(row, to) makes one
  RowPair(T* memory, int64_t size, Make make) : make_(make), rows_{memory, memory + size} {}

  // Have rows first and second (-1: not needed) at [0] and [1].
  void hold(int first, int second) {
    if (held_[0] != first && held_[1] == first) {
      std::swap(rows_[0], rows_[1]);
      std::swap(held_[0], held_[1]);
    }
    const int wanted[2] = {first, second};
    for (int i = 0; i < 2; ++i) {
      if (wanted[i] < 0 || held_[i] == wanted[i]) continue;
      make_(wanted[i], rows_[i]);
      held_[i] = wanted[i];
    }
  }
  const T* operator[](int i) const { return rows_[i]; }

 private:
  Make make_;
  T* rows_[2];
  int held_[2] = {-1, -1};
};

}  // namespace cpu
}  // namespace mxnetseg
