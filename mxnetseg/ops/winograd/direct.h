// The same 3x3 convolution by its definition, for maps so small that Winograd's algorithm would spend its time on filters
// and on tiles that are not there.
#pragma once

#include "convolution.h"

namespace mxnetseg {
namespace cpu {

constexpr int kPixels = 8;  // of a row, worked on together: their sums of kLanes filters stay in registers

inline int64_t padded_width(const WinogradGeometry& g) { return (g.width + kPixels - 1) / kPixels * kPixels + 2; }
inline int64_t padded_plane(const WinogradGeometry& g) { return (g.height + 2) * padded_width(g); }
inline int64_t direct_scratch(const WinogradGeometry& g) { return g.batch * g.channels * padded_plane(g); }

// Whether it takes less time, by multiplications and additions for a channel and a filter: Winograd's products, and what
// working the filter out costs (FILTER of deploy/winograd.py). Here one is taken to cost half as much again.
inline bool direct_is_faster(const WinogradGeometry& g) {
  if (g.dilation > 1) return false;  // taps.h has those
  const int64_t tiles = rounded(g.lines() * g.line());
  const int64_t pixels = g.batch * g.height * (padded_width(g) - 2);
  return 9 * pixels * 3 / 2 < kProducts * tiles + 500;
}

// As `convolution`, for dilation 1; scratch: direct_scratch numbers.
inline void direct(const WinogradGeometry& g, const FloatLayer<PackedFilters>& layer, float* scratch, int threads) {
  const int64_t width = padded_width(g), padded = padded_plane(g), plane = g.plane();
  const int filters = layer.filters, groups = static_cast<int>(blocks_of(filters));
#pragma omp parallel num_threads(threads)
  {
#pragma omp for schedule(static)
    for (int64_t map = 0; map < g.batch * g.channels; ++map) {
      float* const to = scratch + map * padded;
      std::fill_n(to, padded, 0.0f);
      for (int y = 0; y < g.height; ++y) std::copy_n(layer.x + map * plane + y * g.width, g.width, to + (y + 1) * width + 1);
    }
#pragma omp for schedule(static)
    for (int64_t item = 0; item < g.batch * groups * g.height; ++item) {
      const int y = item % g.height, group = item / g.height % groups;
      const int64_t n = item / g.height / groups;
      for (int left = 0; left < g.width; left += kPixels) {
        Lanes sum[kPixels]{};
        for (int c = 0; c < g.channels; ++c) {
          const float* const pixels = scratch + (n * g.channels + c) * padded + y * width + left;
          const float* const filter = layer.filter(group, c);
#pragma GCC unroll 9
          for (int tap = 0; tap < 9; ++tap) {
            Lanes numbers;
            std::memcpy(&numbers, filter + tap * kLanes, sizeof numbers);
#pragma GCC unroll 8
            for (int p = 0; p < kPixels; ++p) sum[p] += numbers * pixels[tap / 3 * width + tap % 3 + p];
          }
        }
        const int count = std::min(kPixels, g.width - left), last = std::min(kLanes, filters - group * kLanes);
        for (int f = 0; f < last; ++f) {
          const int64_t at = (n * filters + group * kLanes + f) * plane + int64_t(y) * g.width + left;
          for (int p = 0; p < count; ++p) {
            const float residual = layer.residual ? layer.residual[at + p] : 0;
            const float value = sum[p][f] + layer.bias[group * kLanes + f] + residual;
            layer.out[at + p] = value < layer.least ? layer.least : value;  // a NaN stays one
          }
        }
      }
    }
  }
}

}  // namespace cpu
}  // namespace mxnetseg
