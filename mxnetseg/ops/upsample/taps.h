// The second half of a convolution whose input is enlarged first. The first half multiplies the map by each of the
// kernel's kernel x kernel matrices before it is enlarged; these products are the taps. This half enlarges each tap,
// moves it to its place and adds up: equal sums, in another order, for a fraction of the arithmetic.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "../enlarge.h"

namespace mxnetseg {
namespace cpu {

// For every column of the output what it takes from a row of one tap: two numbers within one vector of them, which
// begins at `first`, and their weights. Columns that the kernel finds beyond the map have weights of 0.
class TapColumns {
 public:
  typedef Simd<float>::vector Vector;
  typedef int32_t Index __attribute__((vector_size(64)));
  static constexpr int lanes = Simd<float>::lanes;

  TapColumns(const Interpolation<float>& axis, int targets, int shift)
      : vectors_((targets + lanes - 1) / lanes), first_(vectors_), low_(vectors_), high_(vectors_), from_low_(vectors_),
        from_high_(vectors_) {
    for (int v = 0; v < vectors_; ++v) {
      int32_t at[2][lanes];
      float weight[2][lanes];
      for (int i = 0; i < lanes; ++i) {
        const int column = v * lanes + i + shift;
        const bool inside = column >= 0 && column < targets;
        const int there = std::min(std::max(column, 0), targets - 1);
        at[0][i] = axis.low[there];
        at[1][i] = axis.high[there];
        weight[0][i] = inside ? 1 - axis.weight[there] : 0;
        weight[1][i] = inside ? axis.weight[there] : 0;
      }
      const int first = at[0][0], last = *std::max_element(at[1], at[1] + lanes);
      near_ = near_ && last - first < lanes;
      first_[v] = first;
      for (int i = 0; i < lanes; ++i) {
        low_[v][i] = at[0][i] - first;
        high_[v][i] = at[1][i] - first;
        from_low_[v][i] = weight[0][i];
        from_high_[v][i] = weight[1][i];
      }
    }
  }

  // Vector `v` of the enlarged row. Beyond `row`'s last number there must be memory for `lanes` more.
  inline Vector enlarge(const float* row, int v) const {
    const float* const from = row + first_[v];
    Vector a, b;
#if defined(__GNUC__) && !defined(__clang__)
    if (near_) {
      const Vector there = load(from);
      return from_low_[v] * __builtin_shuffle(there, low_[v]) + from_high_[v] * __builtin_shuffle(there, high_[v]);
    }
#endif
    for (int i = 0; i < lanes; ++i) {
      a[i] = from[low_[v][i]];
      b[i] = from[high_[v][i]];
    }
    return from_low_[v] * a + from_high_[v] * b;
  }

 private:
  const int vectors_;
  bool near_ = true;
  std::vector<int> first_;
  std::vector<Index> low_, high_;
  std::vector<Vector> from_low_, from_high_;
};

// Elements of scratch memory: per thread, for each column of the kernel, one row of sums.
inline int64_t taps_workspace(const Enlarging& g, int kernel) {
  return int64_t(threads()) * kernel * (g.width + Simd<float>::lanes);
}

// taps (batch, kernel * kernel * channels, height, width), tap by tap; `base` is a map as large as `out`, or, where
// `bias`, one number per channel; or there is none -> out (batch, channels, out_height, out_width)
inline void upsample_taps(const Enlarging& g, int kernel, const float* taps, const float* base, bool bias, bool relu,
                          float* out, float* workspace) {
  typedef Simd<float>::vector Vector;
  constexpr int lanes = Simd<float>::lanes;
  const int radius = kernel / 2;
  const Interpolation<float> y(g.height, g.out_height, g.align_corners), x(g.width, g.out_width, g.align_corners);
  std::vector<TapColumns> columns;
  for (int dx = -radius; dx <= radius; ++dx) columns.emplace_back(x, g.out_width, dx);
  const int64_t plane = g.plane(), out_plane = int64_t(g.out_height) * g.out_width;
  const int64_t maps = g.batch * g.classes, line = g.width + lanes;
  const int bands = bands_for(threads(), maps, g.out_height / 16);
#pragma omp parallel
  {
    float* const sums = workspace + thread() * kernel * line;
    std::fill(sums, sums + kernel * line, 0.0f);
#pragma omp for schedule(dynamic, 4)
    for (int64_t item = 0; item < maps * bands; ++item) {
      const int64_t map = item / bands, n = map / g.classes, c = map % g.classes;
      const int band = static_cast<int>(item % bands), end = band_start(g.out_height, band + 1, bands);
      const float* const image = taps + n * kernel * kernel * g.classes * plane;
      for (int row = band_start(g.out_height, band, bands); row < end; ++row) {
        // along y, the taps of one column of the kernel become one row
        for (int dx = 0; dx < kernel; ++dx) {
          float* const to = sums + dx * line;
          bool first = true;
          for (int dy = 0; dy < kernel; ++dy) {
            const int source = row + dy - radius;
            if (source < 0 || source >= g.out_height) continue;
            const float* const tap = image + (int64_t(dy * kernel + dx) * g.classes + c) * plane;
            const float *low = tap + int64_t(y.low[source]) * g.width, *high = tap + int64_t(y.high[source]) * g.width;
            const float b = y.weight[source], a = 1 - b;
            if (first)
              for (int i = 0; i < g.width; ++i) to[i] = a * low[i] + b * high[i];
            else
              for (int i = 0; i < g.width; ++i) to[i] += a * low[i] + b * high[i];
            first = false;
          }
        }
        // then along x
        const int64_t at = map * out_plane + int64_t(row) * g.out_width;
        for (int start = 0, v = 0; start < g.out_width; start += lanes, ++v) {
          const int count = std::min(lanes, g.out_width - start);
          Vector sum;
          if (bias || !base) {
            sum = (bias ? base[c] : 0) - Vector{};
          } else if (count == lanes) {
            sum = load(base + at + start);
          } else {
            for (int i = 0; i < lanes; ++i) sum[i] = i < count ? base[at + start + i] : 0;
          }
          for (int dx = 0; dx < kernel; ++dx) sum += columns[dx].enlarge(sums + dx * line, v);
          if (relu) sum = sum < 0 ? Vector{} : sum;  // a NaN stays one
          if (count == lanes)
            store(out + at + start, sum);
          else
            for (int i = 0; i < count; ++i) out[at + start + i] = sum[i];
        }
      }
    }
  }
}

}  // namespace cpu
}  // namespace mxnetseg
