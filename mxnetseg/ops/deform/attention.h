// Deformable attention on the CPU: OpenMP over pixels, SIMD over channels. Maps are channels last: q, k, v (batch, height,
// width, heads*channels). Results don't depend on the number of threads: every output element has one owner, which sums
// in a fixed order.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "../simd.h"
#include "samples.h"

namespace mxnetseg {
namespace cpu {

constexpr int kPadded = 16;  // kWindow rounded up, so that loops over a window become whole vectors

// The nine samples of one pixel and head, and the weights of their corners.
template <typename T>
struct Window : Samples<T, kPadded> {
  alignas(64) T weight[4][kPadded];
};

template <typename T>
inline void locate_window(const T* offset, int row, int column, const Geometry& g, Window<T>* window) {
  alignas(64) T y[kPadded] = {}, x[kPadded] = {};
  for (int t = 0; t < kWindow; ++t) {
    y[t] = place(g, row, t / 3, offset[2 * t]);
    x[t] = place(g, column, t % 3, offset[2 * t + 1]);
  }
  Window<T>& w = *window;
  w.locate_all(y, x, g.height, g.width);
#pragma omp simd
  for (int t = 0; t < kPadded; ++t) {
    w.weight[0][t] = w.top[t] * w.left[t];
    w.weight[1][t] = w.top[t] * w.right[t];
    w.weight[2][t] = w.bottom[t] * w.left[t];
    w.weight[3][t] = w.bottom[t] * w.right[t];
  }
}

// Cuts channels into blocks of four vectors, then of one, then what is left.
template <typename T, typename Block4, typename Block1, typename Rest>
inline void over_channels(int begin, int end, Block4 block4, Block1 block1, Rest rest) {
  constexpr int lanes = Simd<T>::lanes;
  int j = begin;
  for (; j + 4 * lanes <= end; j += 4 * lanes) block4(j);
  for (; j + lanes <= end; j += lanes) block1(j);
  if (j < end) rest(j);
}

// products[t] += <q, sample t of k> over N vectors of channels
template <int N, typename T>
inline void add_products(const T* q, const T* k, int64_t step, const Window<T>& window,
                         typename Simd<T>::vector* products) {
  constexpr int lanes = Simd<T>::lanes;
  typename Simd<T>::vector query[N];
#pragma GCC unroll 4
  for (int n = 0; n < N; ++n) query[n] = load(q + n * lanes);
#pragma GCC unroll 9
  for (int t = 0; t < kWindow; ++t) {
    const T* corner[4];
#pragma GCC unroll 4
    for (int c = 0; c < 4; ++c) corner[c] = k + window.pixel[c][t] * step;
    typename Simd<T>::vector total = products[t];
#pragma GCC unroll 4
    for (int n = 0; n < N; ++n) {
      total += query[n] * (load(corner[0] + n * lanes) * window.weight[0][t] +
                           load(corner[1] + n * lanes) * window.weight[1][t] +
                           load(corner[2] + n * lanes) * window.weight[2][t] +
                           load(corner[3] + n * lanes) * window.weight[3][t]);
    }
    products[t] = total;
  }
}

// out = sum over samples and corners of share * weight * map, over N vectors of channels
template <int N, typename T>
inline void add_up(const T* map, int64_t step, const Window<T>& window, const T* share, T* out) {
  constexpr int lanes = Simd<T>::lanes;
  typename Simd<T>::vector even[N] = {}, odd[N] = {}; // two chains of additions, to hide their latency
  for (int t = 0; t < kWindow; ++t) {
#pragma GCC unroll 4
    for (int c = 0; c < 4; ++c) {
      const T* corner = map + window.pixel[c][t] * step;
      const T factor = share[t] * window.weight[c][t];
#pragma GCC unroll 4
      for (int n = 0; n < N; ++n) {
        if (c % 2)
          odd[n] += load(corner + n * lanes) * factor;
        else
          even[n] += load(corner + n * lanes) * factor;
      }
    }
  }
#pragma GCC unroll 4
  for (int n = 0; n < N; ++n) store(out + n * lanes, even[n] + odd[n]);
}

template <typename T>
inline void add_up_all(const T* map, int64_t step, int channels, const Window<T>& window, const T* share, T* out) {
  over_channels<T>(
      0, channels, [&](int j) { add_up<4>(map + j, step, window, share, out + j); },
      [&](int j) { add_up<1>(map + j, step, window, share, out + j); },
      [&](int begin) {
        for (int j = begin; j < channels; ++j) {
          T total = 0;
          for (int t = 0; t < kWindow; ++t)
            for (int c = 0; c < 4; ++c) total += share[t] * window.weight[c][t] * map[window.pixel[c][t] * step + j];
          out[j] = total;
        }
      });
}

// p = softmax of logits over the window; both have kPadded elements
template <typename T>
inline void softmax(T* logits, T* p) {
  T largest = logits[0], total = 0;
  for (int t = 1; t < kWindow; ++t) largest = std::max(largest, logits[t]);
  for (int t = kWindow; t < kPadded; ++t) logits[t] = largest;
#pragma omp simd
  for (int t = 0; t < kPadded; ++t) p[t] = exponential(logits[t] - largest);
  for (int t = 0; t < kWindow; ++t) total += p[t];
  for (int t = 0; t < kPadded; ++t) p[t] /= total;
}

// Rows of the map that a thread takes at a time: neighbouring rows sample the same pixels.
inline int rows_at_a_time(int64_t rows) {
  return static_cast<int>(std::max<int64_t>(1, std::min<int64_t>(16, rows / (4 * threads()))));
}

template <typename T>
void attention_forward(const Geometry& g, const T* q, const T* k, const T* v, const T* offset,
                       const T* position, T* out) {
  const int64_t pixels = int64_t(g.height) * g.width, step = int64_t(g.heads) * g.channels;
  const int64_t rows = g.batch * g.height;
  const T scale = static_cast<T>(g.scale);
#pragma omp parallel for schedule(dynamic, rows_at_a_time(rows))
  for (int64_t line = 0; line < rows; ++line) {
    const int row = static_cast<int>(line % g.height);
    const int64_t image = line / g.height * pixels;
    Window<T> window;
    alignas(64) T logits[kPadded], p[kPadded];
    for (int column = 0; column < g.width; ++column) {
      const int64_t pixel = line * g.width + column;
      for (int head = 0; head < g.heads; ++head) {
        const int64_t item = pixel * g.heads + head;
        locate_window(offset + item * 2 * kWindow, row, column, g, &window);
        const T* query = q + item * g.channels;
        const T* keys = k + image * step + int64_t(head) * g.channels;
        const T* values = v + image * step + int64_t(head) * g.channels;
        typename Simd<T>::vector products[kWindow] = {};
        T left[kWindow] = {};
        over_channels<T>(
            0, g.channels, [&](int j) { add_products<4>(query + j, keys + j, step, window, products); },
            [&](int j) { add_products<1>(query + j, keys + j, step, window, products); },
            [&](int begin) {
              for (int t = 0; t < kWindow; ++t)
                for (int c = 0; c < 4; ++c)
                  for (int j = begin; j < g.channels; ++j)
                    left[t] += query[j] * window.weight[c][t] * keys[window.pixel[c][t] * step + j];
            });
        for (int t = 0; t < kWindow; ++t)
          logits[t] = scale * (sum<T>(products[t]) + left[t]) + position[item * kWindow + t];
        softmax(logits, p);
        add_up_all(values, step, g.channels, window, p, out + item * g.channels);
      }
    }
  }
}

// products[c][t] += <a, corner c of sample t> over N vectors of channels
template <int N, typename T>
inline void add_corner_products(const T* a, const T* map, int64_t step, const Window<T>& window,
                                T (*products)[kPadded]) {
  constexpr int lanes = Simd<T>::lanes;
  typename Simd<T>::vector value[N];
#pragma GCC unroll 4
  for (int n = 0; n < N; ++n) value[n] = load(a + n * lanes);
  for (int t = 0; t < kWindow; ++t) {
    typename Simd<T>::vector totals[4];
#pragma GCC unroll 4
    for (int c = 0; c < 4; ++c) {
      const T* corner = map + window.pixel[c][t] * step;
      totals[c] = value[0] * load(corner);
#pragma GCC unroll 4
      for (int n = 1; n < N; ++n) totals[c] += value[n] * load(corner + n * lanes);
    }
    T four[4];
    sums(totals, four);
#pragma GCC unroll 4
    for (int c = 0; c < 4; ++c) products[c][t] += four[c];
  }
}

// products[c][t] = <a, corner c of sample t>
template <typename T>
inline void corner_products(const T* a, const T* map, int64_t step, int channels, const Window<T>& window,
                            T (*products)[kPadded]) {
  for (int c = 0; c < 4; ++c) std::fill(products[c], products[c] + kPadded, T(0));
  over_channels<T>(
      0, channels, [&](int j) { add_corner_products<4>(a + j, map + j, step, window, products); },
      [&](int j) { add_corner_products<1>(a + j, map + j, step, window, products); },
      [&](int begin) {
        for (int t = 0; t < kWindow; ++t)
          for (int c = 0; c < 4; ++c)
            for (int j = begin; j < channels; ++j) products[c][t] += a[j] * map[window.pixel[c][t] * step + j];
      });
}

// What the scatter of the backward pass needs of the softmax, and the rows it will touch, per pixel and head.
constexpr int kSaved = 2 * kWindow + 2;

inline int64_t attention_workspace(const Geometry& g) { return g.batch * g.height * g.width * g.heads * kSaved; }

template <typename T>
inline void save_rows(const Window<T>& window, int width, T* saved) {
  int32_t low = window.pixel[0][0], high = window.pixel[3][0];
  for (int t = 1; t < kWindow; ++t) {
    low = std::min(low, window.pixel[0][t]);
    high = std::max(high, window.pixel[3][t]);
  }
  low /= width;
  high /= width;
  std::memcpy(saved + 2 * kWindow, &low, sizeof low);
  std::memcpy(saved + 2 * kWindow + 1, &high, sizeof high);
}

// to += weight * from for the four corners of every sample, over N vectors of channels
template <int N, typename T>
inline void scatter(const T* from, const Window<T>& window, const T* share, int64_t step, T* to) {
  constexpr int lanes = Simd<T>::lanes;
  typename Simd<T>::vector value[N];
#pragma GCC unroll 4
  for (int n = 0; n < N; ++n) value[n] = load(from + n * lanes);
  for (int t = 0; t < kWindow; ++t) {
#pragma GCC unroll 4
    for (int c = 0; c < 4; ++c) {
      T* corner = to + window.pixel[c][t] * step;
      const T factor = share[t] * window.weight[c][t];
#pragma GCC unroll 4
      for (int n = 0; n < N; ++n) store(corner + n * lanes, load(corner + n * lanes) + value[n] * factor);
    }
  }
}

template <typename T>
inline void scatter_all(const T* from, int channels, const Window<T>& window, const T* share, int64_t step, T* to) {
  over_channels<T>(
      0, channels, [&](int j) { scatter<4>(from + j, window, share, step, to + j); },
      [&](int j) { scatter<1>(from + j, window, share, step, to + j); },
      [&](int begin) {
        for (int t = 0; t < kWindow; ++t)
          for (int c = 0; c < 4; ++c)
            for (int j = begin; j < channels; ++j)
              to[window.pixel[c][t] * step + j] += share[t] * window.weight[c][t] * from[j];
      });
}

// The same in the same order, but only to pixels of [first, last).
template <typename T>
inline void scatter_within(const T* from, int channels, const Window<T>& window, const T* share, int64_t step, T* to,
                           int32_t first, int32_t last) {
  for (int t = 0; t < kWindow; ++t)
    for (int c = 0; c < 4; ++c) {
      if (window.pixel[c][t] < first || window.pixel[c][t] >= last) continue;
      T* corner = to + window.pixel[c][t] * step;
      const T factor = share[t] * window.weight[c][t];
      for (int j = 0; j < channels; ++j) corner[j] += from[j] * factor;
    }
}

template <typename T>
void attention_backward(const Geometry& g, const T* grad, const T* q, const T* k, const T* v, const T* offset,
                        const T* position, T* grad_q, T* grad_k, T* grad_v, T* grad_offset,
                        T* grad_position, T* workspace) {
  const int64_t pixels = int64_t(g.height) * g.width, step = int64_t(g.heads) * g.channels;
  const int64_t rows = g.batch * g.height;
  const T scale = static_cast<T>(g.scale);
  // 1. per pixel and head: everything but k's and v's gradients, which other pixels add to as well
#pragma omp parallel for schedule(dynamic, rows_at_a_time(rows))
  for (int64_t line = 0; line < rows; ++line) {
    const int row = static_cast<int>(line % g.height);
    const int64_t image = line / g.height * pixels;
    Window<T> window;
    alignas(64) T of_k[4][kPadded] = {}, of_v[4][kPadded] = {};
    alignas(64) T logits[kPadded], p[kPadded], grad_p[kPadded], share[kPadded] = {};
    alignas(64) T along_y[kPadded], along_x[kPadded];
    for (int column = 0; column < g.width; ++column) {
      const int64_t pixel = line * g.width + column;
      for (int head = 0; head < g.heads; ++head) {
        const int64_t item = pixel * g.heads + head;
        locate_window(offset + item * 2 * kWindow, row, column, g, &window);
        const T* keys = k + image * step + int64_t(head) * g.channels;
        const T* values = v + image * step + int64_t(head) * g.channels;
        corner_products(q + item * g.channels, keys, step, g.channels, window, of_k);
        corner_products(grad + item * g.channels, values, step, g.channels, window, of_v);
        for (int t = 0; t < kPadded; ++t) {
          logits[t] = 0;
          grad_p[t] = 0;
          for (int c = 0; c < 4; ++c) {
            logits[t] += window.weight[c][t] * of_k[c][t];
            grad_p[t] += window.weight[c][t] * of_v[c][t];
          }
        }
        for (int t = 0; t < kWindow; ++t) logits[t] = scale * logits[t] + position[item * kWindow + t];
        softmax(logits, p);
        T mean = 0;
        for (int t = 0; t < kWindow; ++t) mean += p[t] * grad_p[t];
        T* saved = workspace + item * kSaved;
        save_rows(window, g.width, saved);
        for (int t = 0; t < kWindow; ++t) {
          const T grad_logit = p[t] * (grad_p[t] - mean);
          grad_position[item * kWindow + t] = grad_logit;
          share[t] = scale * grad_logit;
          saved[t] = p[t];
          saved[kWindow + t] = share[t];
        }
#pragma omp simd
        for (int t = 0; t < kPadded; ++t) {
          T slope[4];  // of the result along the weight of each corner
          for (int c = 0; c < 4; ++c) slope[c] = share[t] * of_k[c][t] + p[t] * of_v[c][t];
          along_y[t] = window.has_bottom[t] * (window.left[t] * slope[2] + window.right[t] * slope[3]) -
                       window.has_top[t] * (window.left[t] * slope[0] + window.right[t] * slope[1]);
          along_x[t] = window.has_right[t] * (window.top[t] * slope[1] + window.bottom[t] * slope[3]) -
                       window.has_left[t] * (window.top[t] * slope[0] + window.bottom[t] * slope[2]);
        }
        for (int t = 0; t < kWindow; ++t) {
          grad_offset[item * 2 * kWindow + 2 * t] = along_y[t];
          grad_offset[item * 2 * kWindow + 2 * t + 1] = along_x[t];
        }
        add_up_all(keys, step, g.channels, window, share, grad_q + item * g.channels);
      }
    }
  }
  // 2. scatter to k's and v's gradients: a unit owns a band of rows of one head of one image
  // however many bands: additions to one element keep the order of the pixels
  const int bands = threads() == 1 ? 1 : bands_for(threads(), g.batch * g.heads, g.height / 4);
  const int64_t units = g.batch * g.heads * bands;
#pragma omp parallel for schedule(dynamic)
  for (int64_t unit = 0; unit < units; ++unit) {
    const int head = static_cast<int>(unit / bands % g.heads);
    const int band = static_cast<int>(unit % bands);
    const int32_t first = band_start(g.height, band, bands), last = band_start(g.height, band + 1, bands);
    const int64_t image = unit / bands / g.heads * pixels, start = image * step + int64_t(head) * g.channels;
    T *keys = grad_k + start, *values = grad_v + start;
    for (int64_t pixel = int64_t(first) * g.width; pixel < int64_t(last) * g.width; ++pixel) {
      std::fill(keys + pixel * step, keys + pixel * step + g.channels, T(0));
      std::fill(values + pixel * step, values + pixel * step + g.channels, T(0));
    }
    Window<T> window;
    for (int64_t pixel = 0; pixel < pixels; ++pixel) {
      const int64_t item = (image + pixel) * g.heads + head;
      const T* saved = workspace + item * kSaved;
      int32_t low, high; // rows that the window touches
      std::memcpy(&low, saved + 2 * kWindow, sizeof low);
      std::memcpy(&high, saved + 2 * kWindow + 1, sizeof high);
      if (high < first || low >= last) continue;
      locate_window(offset + item * 2 * kWindow, static_cast<int>(pixel / g.width), static_cast<int>(pixel % g.width),
                    g, &window);
      const T *query = q + item * g.channels, *above = grad + item * g.channels;
      if (low >= first && high < last) {
        scatter_all(above, g.channels, window, saved, step, values);
        scatter_all(query, g.channels, window, saved + kWindow, step, keys);
      } else {
        scatter_within(above, g.channels, window, saved, step, values, first * g.width, last * g.width);
        scatter_within(query, g.channels, window, saved + kWindow, step, keys, first * g.width, last * g.width);
      }
    }
  }
}

}  // namespace cpu
}  // namespace mxnetseg
