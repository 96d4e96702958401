// Bilinear resizing of planes, and its gradient.
#pragma once

#include <algorithm>
#include <cstdint>

#include "../enlarge.h"

namespace mxnetseg {
namespace cpu {

// Between two axes: sources to targets.
template <typename T>
struct Resizing {
  Resizing(int height, int width, int out_height, int out_width, bool align_corners)
      : height(height),
        width(width),
        out_height(out_height),
        out_width(out_width),
        down(height, out_height, align_corners),
        across(width, out_width, align_corners) {}

  int64_t plane() const { return int64_t(height) * width; }
  int64_t out_plane() const { return int64_t(out_height) * out_width; }
  int height, width, out_height, out_width;
  Interpolation<T> down, across;
};

template <typename T>
int64_t resize_workspace(const Resizing<T>& r) {
  return threads() * int64_t(2) * r.out_width;
}

template <typename T>
void resize(const Resizing<T>& r, int64_t planes, const T* x, T* y, T* workspace) {
#pragma omp parallel for schedule(static)
  for (int64_t plane = 0; plane < planes; ++plane) {
    const T* const from = x + plane * r.plane();
    T* to = y + plane * r.out_plane();
    const auto make = [&](int row, T* wide) {
      const T* const source = from + int64_t(row) * r.width;
      for (int j = 0; j < r.out_width; ++j) {
        const T low = source[r.across.low[j]];
        wide[j] = low + r.across.weight[j] * (source[r.across.high[j]] - low);
      }
    };
    RowPair<T, decltype(make)> rows(workspace + thread() * int64_t(2) * r.out_width, r.out_width, make);
    for (int i = 0; i < r.out_height; ++i, to += r.out_width) {
      const T weight = r.down.weight[i];
      rows.hold(r.down.low[i], weight ? r.down.high[i] : -1);
      const T *const low = rows[0], *const high = weight ? rows[1] : low;
#pragma omp simd
      for (int j = 0; j < r.out_width; ++j) to[j] = low[j] + weight * (high[j] - low[j]);
    }
  }
}

// A thread's part: every row of the source as wide as the result.
template <typename T>
int64_t resize_gradient_workspace(const Resizing<T>& r) {
  return threads() * int64_t(r.height) * r.out_width;
}

template <typename T>
void resize_gradient(const Resizing<T>& r, int64_t planes, const T* of_y, T* of_x, T* workspace) {
#pragma omp parallel for schedule(static)
  for (int64_t plane = 0; plane < planes; ++plane) {
    const int64_t size = int64_t(r.height) * r.out_width;
    T* const wide = workspace + thread() * size;
    std::fill(wide, wide + size, T(0));
    const T* from = of_y + plane * r.out_plane();
    for (int i = 0; i < r.out_height; ++i, from += r.out_width) {
      const T weight = r.down.weight[i];
      T *const low = wide + int64_t(r.down.low[i]) * r.out_width, *const high = wide + int64_t(r.down.high[i]) * r.out_width;
      for (int j = 0; j < r.out_width; ++j) low[j] += (1 - weight) * from[j];
      if (weight)
        for (int j = 0; j < r.out_width; ++j) high[j] += weight * from[j];
    }
    T* to = of_x + plane * r.plane();
    std::fill(to, to + r.plane(), T(0));
    for (int row = 0; row < r.height; ++row, to += r.width) {
      const T* const source = wide + int64_t(row) * r.out_width;
      for (int j = 0; j < r.out_width; ++j) {
        to[r.across.low[j]] += (1 - r.across.weight[j]) * source[j];
        to[r.across.high[j]] += r.across.weight[j] * source[j];
      }
    }
  }
}

}  // namespace cpu
}  // namespace mxnetseg
