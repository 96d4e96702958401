// Deformable unfold on the CPU: OpenMP over positions or channels, SIMD over positions. Maps are channels first: x (batch,
// channels, height, width), offset (batch, 18, out_height, out_width). Results don't depend on the number of threads:
// every output element has one owner, which sums in a fixed order.
#pragma once

#include <algorithm>
#include <cstdint>

#include "../simd.h"
#include "samples.h"

namespace mxnetseg {
namespace cpu {

constexpr int kTogether = 128;  // output positions whose samples are located together, so that they stay in cache

template <typename T>
struct Tile {
  Samples<T, kTogether> samples[kWindow];
};

template <typename T>
inline void locate_tile(const T* offset, int64_t begin, int count, const Geometry& g, Tile<T>* tile) {
  const int64_t positions = int64_t(g.out_height) * g.out_width;
  alignas(64) T y[kTogether] = {}, x[kTogether] = {};
  int rows[kTogether], columns[kTogether];
  for (int i = 0; i < count; ++i) {
    rows[i] = static_cast<int>((begin + i) / g.out_width);
    columns[i] = static_cast<int>((begin + i) % g.out_width);
  }
  for (int t = 0; t < kWindow; ++t) {
    const T* along_y = offset + 2 * t * positions + begin;
    const T* along_x = along_y + positions;
    for (int i = 0; i < count; ++i) {
      y[i] = place(g, rows[i], t / 3, along_y[i]);
      x[i] = place(g, columns[i], t % 3, along_x[i]);
    }
    tile->samples[t].locate_all(y, x, g.height, g.width);
  }
}

template <typename T>
void unfold_forward(const Geometry& g, const T* x, const T* offset, T* out) {
  const int64_t positions = int64_t(g.out_height) * g.out_width, pixels = int64_t(g.height) * g.width;
  const int64_t tiles = (positions + kTogether - 1) / kTogether;
#pragma omp parallel for schedule(dynamic)
  for (int64_t unit = 0; unit < g.batch * tiles; ++unit) {
    const int64_t image = unit / tiles, begin = unit % tiles * kTogether;
    const int count = static_cast<int>(std::min<int64_t>(kTogether, positions - begin));
    Tile<T> tile;
    locate_tile(offset + image * 2 * kWindow * positions, begin, count, g, &tile);
    for (int channel = 0; channel < g.channels; ++channel) {
      const T* map = x + (image * g.channels + channel) * pixels;
      for (int t = 0; t < kWindow; ++t) {
        const Samples<T, kTogether>& s = tile.samples[t];
        T* to = out + ((image * g.channels + channel) * kWindow + t) * positions + begin;
#pragma omp simd
        for (int i = 0; i < count; ++i) {
          to[i] = s.top[i] * (s.left[i] * map[s.pixel[0][i]] + s.right[i] * map[s.pixel[1][i]]) +
                  s.bottom[i] * (s.left[i] * map[s.pixel[2][i]] + s.right[i] * map[s.pixel[3][i]]);
        }
      }
    }
  }
}

template <typename T>
void unfold_backward(const Geometry& g, const T* grad, const T* x, const T* offset, T* grad_x, T* grad_offset) {
  const int64_t positions = int64_t(g.out_height) * g.out_width, pixels = int64_t(g.height) * g.width;
  const int64_t tiles = (positions + kTogether - 1) / kTogether;
  // 1. offset: a unit owns some positions, and sums over the channels
#pragma omp parallel for schedule(dynamic)
  for (int64_t unit = 0; unit < g.batch * tiles; ++unit) {
    const int64_t image = unit / tiles, begin = unit % tiles * kTogether;
    const int count = static_cast<int>(std::min<int64_t>(kTogether, positions - begin));
    Tile<T> tile;
    locate_tile(offset + image * 2 * kWindow * positions, begin, count, g, &tile);
    for (int t = 0; t < kWindow; ++t) {
      const Samples<T, kTogether>& s = tile.samples[t];
      T* along_y = grad_offset + (image * 2 * kWindow + 2 * t) * positions + begin;
      T* along_x = along_y + positions;
      std::fill(along_y, along_y + count, T(0));
      std::fill(along_x, along_x + count, T(0));
      for (int channel = 0; channel < g.channels; ++channel) {
        const T* map = x + (image * g.channels + channel) * pixels;
        const T* from = grad + ((image * g.channels + channel) * kWindow + t) * positions + begin;
#pragma omp simd
        for (int i = 0; i < count; ++i) {
          const T v0 = map[s.pixel[0][i]], v1 = map[s.pixel[1][i]];
          const T v2 = map[s.pixel[2][i]], v3 = map[s.pixel[3][i]];
          along_y[i] += from[i] * (s.has_bottom[i] * (s.left[i] * v2 + s.right[i] * v3) -
                                   s.has_top[i] * (s.left[i] * v0 + s.right[i] * v1));
          along_x[i] += from[i] * (s.has_right[i] * (s.top[i] * v1 + s.bottom[i] * v3) -
                                   s.has_left[i] * (s.top[i] * v0 + s.bottom[i] * v2));
        }
      }
    }
  }
  // 2. x: a unit owns some channels, and scatters position by position
  int group = 8;  // channels that share the located samples
  while (group > 1 && g.batch * ((g.channels + group - 1) / group) < 2 * threads()) group /= 2;
  const int64_t groups = (g.channels + group - 1) / group;
#pragma omp parallel for schedule(dynamic)
  for (int64_t unit = 0; unit < g.batch * groups; ++unit) {
    const int64_t image = unit / groups;
    const int first = static_cast<int>(unit % groups) * group, last = std::min(first + group, g.channels);
    std::fill(grad_x + (image * g.channels + first) * pixels, grad_x + (image * g.channels + last) * pixels, T(0));
    Tile<T> tile;
    for (int64_t begin = 0; begin < positions; begin += kTogether) {
      const int count = static_cast<int>(std::min<int64_t>(kTogether, positions - begin));
      locate_tile(offset + image * 2 * kWindow * positions, begin, count, g, &tile);
      for (int channel = first; channel < last; ++channel) {
        T* map = grad_x + (image * g.channels + channel) * pixels;
        for (int t = 0; t < kWindow; ++t) {
          const Samples<T, kTogether>& s = tile.samples[t];
          const T* from = grad + ((image * g.channels + channel) * kWindow + t) * positions + begin;
          for (int i = 0; i < count; ++i) {
            const T top = s.top[i] * from[i], bottom = s.bottom[i] * from[i];
            map[s.pixel[0][i]] += top * s.left[i];
            map[s.pixel[1][i]] += top * s.right[i];
            map[s.pixel[2][i]] += bottom * s.left[i];
            map[s.pixel[3][i]] += bottom * s.right[i];
          }
        }
      }
    }
  }
}

}  // namespace cpu
}  // namespace mxnetseg
