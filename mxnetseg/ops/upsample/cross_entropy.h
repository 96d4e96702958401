// Resize and softmax cross-entropy in one pass, the gradient to the small logits included. As in argmax.h, source rows
// are enlarged along x once; their gradients are gathered in buffers of the same layout and brought back to the sources'
// columns when all output rows of a source row are done. Results don't depend on the number of threads: an image is cut
// into bands by its height alone, and what two bands give to one source row is added in a fixed order.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

#include "../enlarge.h"

namespace mxnetseg {
namespace cpu {

constexpr int kLabels = 256;  // label values; what a value beyond weighs is 0

// Bands of source rows that an image is cut into, whatever the number of threads.
inline int loss_bands(const Enlarging& g) { return std::min(16, (g.height + 3) / 4); }

// Elements of scratch memory: per thread two enlarged rows, their gradients and one vector of all classes; per band
// what it gives to the first row of the next.
template <typename T>
inline int64_t cross_entropy_workspace(const Enlarging& g) {
  const int64_t own = int64_t(g.classes) * (4 * columns_at_a_time<T>(g) + Simd<T>::lanes);
  return threads() * own + g.batch * loss_bands(g) * g.classes * g.width;
}

// The gradient of an enlarged row -> added to `to`, (classes rows of `stride` elements); the buffer is zero afterwards.
template <typename T>
inline void shrink_row(const Enlarging& g, T* enlarged, const Interpolation<T>& x, int first, int columns, T* to,
                       int64_t stride) {
  constexpr int lanes = Simd<T>::lanes;
  for (int start = 0; start < columns; start += lanes) {
    const int count = std::min(lanes, columns - start);
    const int32_t* low = &x.low[first + start];
    const int32_t* high = &x.high[first + start];
    const T* weight = &x.weight[first + start];
    T* from = enlarged + int64_t(start) * g.classes;
    for (int c = 0; c < g.classes; ++c, from += lanes) {
      T* row = to + c * stride;
      for (int i = 0; i < count; ++i) {
        const T part = weight[i] * from[i];
        row[low[i]] += from[i] - part;
        row[high[i]] += part;
      }
    }
  }
  std::memset(enlarged, 0, sizeof(T) * g.classes * ((columns + lanes - 1) / lanes * lanes));
}

// One vector of pixels of one row. Returns the sum of their losses; adds their gradients to grad_top and grad_bottom.
template <typename T>
inline double cross_entropy_pixels(const T* top, const T* bottom, int classes, T down, const T* labels, int count,
                                   const T* class_weights, T smoothing, T* value, T* grad_top, T* grad_bottom) {
  typedef typename Simd<T>::vector Vector;
  constexpr int lanes = Simd<T>::lanes;
  int target[lanes] = {};
  alignas(64) T weight[lanes] = {};
  bool any = false;
  for (int i = 0; i < count; ++i) {
    if (!(labels[i] >= 0 && labels[i] < kLabels)) continue;
    const int label = static_cast<int>(labels[i]);
    weight[i] = class_weights[label];
    any = any || weight[i] != 0;
    target[i] = std::min(label, classes - 1);
  }
  if (!any) return 0;
  const Vector zero = {};
  Vector most = load(top) + down * (load(bottom) - load(top)), total = zero;
  for (int c = 0; c < classes; ++c) {
    const Vector a = load(top + c * lanes), v = a + down * (load(bottom + c * lanes) - a);
    most = v > most ? v : most;
    total += v;
    store(value + c * lanes, v);
  }
  alignas(64) T loss[lanes], sum[lanes];
  // relative to the greatest: - (1 - s) v_target - s mean(v)
  store(loss, smoothing * (most - total / T(classes)));
  for (int i = 0; i < lanes; ++i) loss[i] += (1 - smoothing) * (most[i] - value[target[i] * lanes + i]);
  for (int c = 0; c < classes; ++c) store(value + c * lanes, load(value + c * lanes) - most);
  for (int j = 0; j < classes * lanes; ++j) value[j] = exponential(value[j]);
  total = zero;
  for (int c = 0; c < classes; ++c) total += load(value + c * lanes);
  store(sum, total);
  double result = 0;
  for (int i = 0; i < count; ++i)
    if (weight[i] != 0) result += double(weight[i]) * (double(std::log(sum[i])) + loss[i]);

  const Vector w = load(weight), scale = w / total, even = w * (smoothing / classes);
  for (int i = 0; i < count; ++i) value[target[i] * lanes + i] -= (1 - smoothing) * sum[i];
  for (int c = 0; c < classes; ++c) {
    const Vector gradient = load(value + c * lanes) * scale - even, part = down * gradient;
    store(grad_top + c * lanes, load(grad_top + c * lanes) + (gradient - part));
    store(grad_bottom + c * lanes, load(grad_bottom + c * lanes) + part);
  }
  return result;
}

// logits (batch, classes, height, width), labels (batch, out_height, out_width), class_weights (256)
// -> loss (batch), the sum over an image's pixels, and its gradient, (batch, classes, height, width).
template <typename T>
void upsample_cross_entropy(const Enlarging& g, T smoothing, const T* logits, const T* labels,
                            const T* class_weights, T* loss, T* gradient, T* workspace) {
  constexpr int lanes = Simd<T>::lanes;
  const Interpolation<T> y(g.height, g.out_height, g.align_corners), x(g.width, g.out_width, g.align_corners);
  const int bands = loss_bands(g), tile = columns_at_a_time<T>(g);
  const int64_t buffer = int64_t(g.classes) * tile, own = 4 * buffer + int64_t(g.classes) * lanes;
  const int64_t line = int64_t(g.classes) * g.width, plane = g.plane(), image = g.classes * plane;
  T* const borders = workspace + threads() * own;  // (batch, bands, classes, width)
  std::vector<double> sums(g.batch * bands, 0.0);
  std::memset(gradient, 0, sizeof(T) * g.batch * image);
  std::memset(borders, 0, sizeof(T) * g.batch * bands * line);
#pragma omp parallel for schedule(dynamic)
  for (int64_t item = 0; item < g.batch * bands; ++item) {
    T* const mine = workspace + thread() * own;
    const int64_t n = item / bands;
    const int band = static_cast<int>(item % bands);
    const int last = band_start(g.height, band + 1, bands);  // the next band's first source row
    const auto first_from = [&](int source) {
      return static_cast<int>(std::lower_bound(y.low.begin(), y.low.end(), source) - y.low.begin());
    };
    const int begin = first_from(band_start(g.height, band, bands)), end = first_from(last);
    T* const scratch = mine + 4 * buffer;
    std::memset(mine + 2 * buffer, 0, sizeof(T) * 2 * buffer);
    for (int first = 0; first < g.out_width; first += tile) {
      const int columns = std::min(tile, g.out_width - first);
      T* rows[2] = {mine, mine + buffer};
      T* grads[2] = {mine + 2 * buffer, mine + 3 * buffer};
      int held[2] = {-1, -1};
      const auto fetch = [&](int which, int source) {
        if (held[which] == source) return;
        enlarge_row(g, logits + n * image + int64_t(source) * g.width, x, first, columns, rows[which]);
        held[which] = source;
      };
      const auto flush = [&](int which) {
        if (held[which] < 0) return;
        if (held[which] < last)
          shrink_row(g, grads[which], x, first, columns, gradient + n * image + int64_t(held[which]) * g.width, plane);
        else
          shrink_row(g, grads[which], x, first, columns, borders + item * line, g.width);
        held[which] = -1;
      };
      for (int row = begin; row < end; ++row) {
        const int low = y.low[row], high = y.high[row];
        if (held[0] != low) {
          flush(0);
          if (held[1] == low) {
            std::swap(rows[0], rows[1]);
            std::swap(grads[0], grads[1]);
            std::swap(held[0], held[1]);
          }
        }
        fetch(0, low);
        if (high != low && held[1] != high) flush(1);
        if (high != low) fetch(1, high);
        const int other = high == low ? 0 : 1;
        const T* const label = labels + (n * g.out_height + row) * g.out_width + first;
        for (int start = 0; start < columns; start += lanes) {
          const int64_t at = int64_t(start) * g.classes;
          sums[item] += cross_entropy_pixels(rows[0] + at, rows[other] + at, g.classes, y.weight[row], label + start,
                                             std::min(lanes, columns - start), class_weights, smoothing, scratch,
                                             grads[0] + at, grads[other] + at);
        }
      }
      flush(0);
      flush(1);
    }
  }
  for (int64_t n = 0; n < g.batch; ++n) {
    double total = 0;
    for (int band = 0; band < bands; ++band) {
      total += sums[n * bands + band];
      if (band + 1 == bands) continue;  // the last row has none below it
      const T* from = borders + (n * bands + band) * line;
      T* to = gradient + n * image + int64_t(band_start(g.height, band + 1, bands)) * g.width;
      for (int c = 0; c < g.classes; ++c)
        for (int i = 0; i < g.width; ++i) to[c * plane + i] += from[int64_t(c) * g.width + i];
    }
    loss[n] = static_cast<T>(total);
  }
}

}  // namespace cpu
}  // namespace mxnetseg
