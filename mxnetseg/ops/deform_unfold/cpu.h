// Deformable sampling on the CPU: OpenMP over independent outputs, SIMD over channels (attention) or positions
// (unfold). Results don't depend on the number of threads: every output element has one owner, which sums in a
// fixed order.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "../simd.h"

namespace mxnetseg {
namespace cpu {

constexpr int kTaps = 9;    // of the 3x3 window, row by row
constexpr int kPadded = 16; // taps in arrays, rounded up so that loops over them become whole vectors

struct Geometry {
  int64_t batch;
  int heads, channels;               // channels of one head (attention); of x, with heads 1 (unfold)
  int height, width;                 // of the map sampled from
  int out_height, out_width;         // of the map of positions
  int padding, dilation, stride;
};

// ---------------------------------------------------------------------------------------------------------------
// The sampling rule

// N samples: bilinear weights along y (top, bottom) and x (left, right), which of the neighbours exist (0 or 1), and
// the neighbours' pixels in the order top left, top right, bottom left, bottom right. Where a sample does not count
// all weights are 0; pixels are always valid.
template <typename T, int N>
struct Samples {
  alignas(64) T top[N], bottom[N], left[N], right[N];
  alignas(64) T has_top[N], has_bottom[N], has_left[N], has_right[N];
  alignas(64) int32_t pixel[4][N];
};

template <typename T, int N>
inline void locate(const T* y, const T* x, int height, int width, Samples<T, N>* samples) {
  typedef typename Simd<T>::vector Vector;
  typedef typename Simd<T>::index Index;
  constexpr int lanes = Simd<T>::lanes;
  static_assert(N % lanes == 0, "whole vectors only");
  const Vector zero = {}, one = zero + T(1), rows = zero + T(height), columns = zero + T(width);
  const Index none = {}, last_row = none + (height - 1), last_column = none + (width - 1);
  for (int i = 0; i < N; i += lanes) {
    Vector at_y = load(y + i), at_x = load(x + i);
    // a NaN compares false, and so counts as outside
    const Vector counts = (at_y > -one ? one : zero) * (at_y < rows ? one : zero) * (at_x > -one ? one : zero) *
                          (at_x < columns ? one : zero);
    // what does not count reads a pixel nearby, times 0
    at_y = at_y > -one ? at_y : -one;
    at_x = at_x > -one ? at_x : -one;
    at_y = at_y < rows ? at_y : rows;
    at_x = at_x < columns ? at_x : columns;
    Vector row = __builtin_convertvector(__builtin_convertvector(at_y, Index), Vector);  // towards 0
    Vector column = __builtin_convertvector(__builtin_convertvector(at_x, Index), Vector);
    row = row > at_y ? row - one : row;
    column = column > at_x ? column - one : column;
    const Vector down = at_y - row, across = at_x - column;
    const Vector has_top = row >= zero ? counts : zero, has_bottom = row < rows - one ? counts : zero;
    const Vector has_left = column >= zero ? counts : zero, has_right = column < columns - one ? counts : zero;
    store(samples->has_top + i, has_top);
    store(samples->has_bottom + i, has_bottom);
    store(samples->has_left + i, has_left);
    store(samples->has_right + i, has_right);
    store(samples->top + i, has_top * (one - down));
    store(samples->bottom + i, has_bottom * down);
    store(samples->left + i, has_left * (one - across));
    store(samples->right + i, has_right * across);
    const Index top = __builtin_convertvector(row, Index), left = __builtin_convertvector(column, Index);
    Index row0 = top > none ? top : none, row1 = top + 1;
    Index column0 = left > none ? left : none, column1 = left + 1;
    row0 = (row0 < last_row ? row0 : last_row) * width;
    row1 = (row1 < last_row ? row1 : last_row) * width;
    column0 = column0 < last_column ? column0 : last_column;
    column1 = column1 < last_column ? column1 : last_column;
    const Index pixels[4] = {row0 + column0, row0 + column1, row1 + column0, row1 + column1};
    for (int c = 0; c < 4; ++c) std::memcpy(samples->pixel[c] + i, &pixels[c], sizeof pixels[c]);
  }
}

// ---------------------------------------------------------------------------------------------------------------
// Attention. Maps are channels last: q, k, v (batch, height, width, heads*channels).

// The nine samples of one pixel and head, and the weights of their corners.
template <typename T>
struct Window : Samples<T, kPadded> {
  alignas(64) T weight[4][kPadded];
};

template <typename T>
inline void locate_window(const T* offset, int row, int column, const Geometry& g, Window<T>* window) {
  alignas(64) T y[kPadded] = {}, x[kPadded] = {};
  for (int t = 0; t < kTaps; ++t) {
    y[t] = T(row - g.padding + t / 3 * g.dilation) + offset[2 * t];
    x[t] = T(column - g.padding + t % 3 * g.dilation) + offset[2 * t + 1];
  }
  Window<T>& w = *window;
  locate<T, kPadded>(y, x, g.height, g.width, &w);
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
  for (int t = 0; t < kTaps; ++t) {
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

// out = sum over taps and corners of share * weight * map, over N vectors of channels
template <int N, typename T>
inline void blend(const T* map, int64_t step, const Window<T>& window, const T* share, T* out) {
  constexpr int lanes = Simd<T>::lanes;
  typename Simd<T>::vector even[N] = {}, odd[N] = {}; // two chains of additions, to hide their latency
  for (int t = 0; t < kTaps; ++t) {
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
inline void blend_all(const T* map, int64_t step, int channels, const Window<T>& window, const T* share, T* out) {
  over_channels<T>(
      0, channels, [&](int j) { blend<4>(map + j, step, window, share, out + j); },
      [&](int j) { blend<1>(map + j, step, window, share, out + j); },
      [&](int begin) {
        for (int j = begin; j < channels; ++j) {
          T total = 0;
          for (int t = 0; t < kTaps; ++t)
            for (int c = 0; c < 4; ++c) total += share[t] * window.weight[c][t] * map[window.pixel[c][t] * step + j];
          out[j] = total;
        }
      });
}

// p = softmax of logits over the taps; both have kPadded elements
template <typename T>
inline void softmax(T* logits, T* p) {
  T largest = logits[0], total = 0;
  for (int t = 1; t < kTaps; ++t) largest = std::max(largest, logits[t]);
  for (int t = kTaps; t < kPadded; ++t) logits[t] = largest;
#pragma omp simd
  for (int t = 0; t < kPadded; ++t) p[t] = exponential(logits[t] - largest);
  for (int t = 0; t < kTaps; ++t) total += p[t];
  for (int t = 0; t < kPadded; ++t) p[t] /= total;
}

// Rows of the map that a thread takes at a time: neighbouring rows sample the same pixels.
inline int rows_at_a_time(int64_t rows) {
  return static_cast<int>(std::max<int64_t>(1, std::min<int64_t>(16, rows / (4 * threads()))));
}

template <typename T>
void attention_forward(const Geometry& g, T scale, const T* q, const T* k, const T* v, const T* offset,
                       const T* position, T* out) {
  const int64_t pixels = int64_t(g.height) * g.width, step = int64_t(g.heads) * g.channels;
  const int64_t rows = g.batch * g.height;
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
        locate_window(offset + item * 2 * kTaps, row, column, g, &window);
        const T* query = q + item * g.channels;
        const T* keys = k + image * step + int64_t(head) * g.channels;
        const T* values = v + image * step + int64_t(head) * g.channels;
        typename Simd<T>::vector products[kTaps] = {};
        T left[kTaps] = {};
        over_channels<T>(
            0, g.channels, [&](int j) { add_products<4>(query + j, keys + j, step, window, products); },
            [&](int j) { add_products<1>(query + j, keys + j, step, window, products); },
            [&](int begin) {
              for (int t = 0; t < kTaps; ++t)
                for (int c = 0; c < 4; ++c)
                  for (int j = begin; j < g.channels; ++j)
                    left[t] += query[j] * window.weight[c][t] * keys[window.pixel[c][t] * step + j];
            });
        for (int t = 0; t < kTaps; ++t)
          logits[t] = scale * (sum<T>(products[t]) + left[t]) + position[item * kTaps + t];
        softmax(logits, p);
        blend_all(values, step, g.channels, window, p, out + item * g.channels);
      }
    }
  }
}

// products[c][t] += <a, corner c of tap t> over N vectors of channels
template <int N, typename T>
inline void add_corner_products(const T* a, const T* map, int64_t step, const Window<T>& window,
                                T (*products)[kPadded]) {
  constexpr int lanes = Simd<T>::lanes;
  typename Simd<T>::vector value[N];
#pragma GCC unroll 4
  for (int n = 0; n < N; ++n) value[n] = load(a + n * lanes);
  for (int t = 0; t < kTaps; ++t) {
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

// products[c][t] = <a, corner c of tap t>
template <typename T>
inline void corner_products(const T* a, const T* map, int64_t step, int channels, const Window<T>& window,
                            T (*products)[kPadded]) {
  for (int c = 0; c < 4; ++c) std::fill(products[c], products[c] + kPadded, T(0));
  over_channels<T>(
      0, channels, [&](int j) { add_corner_products<4>(a + j, map + j, step, window, products); },
      [&](int j) { add_corner_products<1>(a + j, map + j, step, window, products); },
      [&](int begin) {
        for (int t = 0; t < kTaps; ++t)
          for (int c = 0; c < 4; ++c)
            for (int j = begin; j < channels; ++j) products[c][t] += a[j] * map[window.pixel[c][t] * step + j];
      });
}

// What the scatter of the backward pass needs of the softmax, and the rows it will touch, per pixel and head.
constexpr int kSaved = 2 * kTaps + 2;

inline int64_t attention_workspace(const Geometry& g) { return g.batch * g.height * g.width * g.heads * kSaved; }

template <typename T>
inline void save_rows(const Window<T>& window, int width, T* saved) {
  int32_t low = window.pixel[0][0], high = window.pixel[3][0];
  for (int t = 1; t < kTaps; ++t) {
    low = std::min(low, window.pixel[0][t]);
    high = std::max(high, window.pixel[3][t]);
  }
  low /= width;
  high /= width;
  std::memcpy(saved + 2 * kTaps, &low, sizeof low);
  std::memcpy(saved + 2 * kTaps + 1, &high, sizeof high);
}

// to += weight * from for the four corners of every tap, over N vectors of channels
template <int N, typename T>
inline void scatter(const T* from, const Window<T>& window, const T* share, int64_t step, T* to) {
  constexpr int lanes = Simd<T>::lanes;
  typename Simd<T>::vector value[N];
#pragma GCC unroll 4
  for (int n = 0; n < N; ++n) value[n] = load(from + n * lanes);
  for (int t = 0; t < kTaps; ++t) {
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
        for (int t = 0; t < kTaps; ++t)
          for (int c = 0; c < 4; ++c)
            for (int j = begin; j < channels; ++j)
              to[window.pixel[c][t] * step + j] += share[t] * window.weight[c][t] * from[j];
      });
}

// The same in the same order, but only to pixels of [first, last).
template <typename T>
inline void scatter_within(const T* from, int channels, const Window<T>& window, const T* share, int64_t step, T* to,
                           int32_t first, int32_t last) {
  for (int t = 0; t < kTaps; ++t)
    for (int c = 0; c < 4; ++c) {
      if (window.pixel[c][t] < first || window.pixel[c][t] >= last) continue;
      T* corner = to + window.pixel[c][t] * step;
      const T factor = share[t] * window.weight[c][t];
      for (int j = 0; j < channels; ++j) corner[j] += from[j] * factor;
    }
}

// Bands of rows that one head of one image is cut into for the scatter: enough to keep all threads busy. Whatever
// this returns, additions to one element keep the order of the pixels.
inline int scatter_bands(const Geometry& g) {
  if (threads() == 1) return 1;
  const int64_t units = g.batch * g.heads, wanted = 4 * threads();
  const int64_t bands = (wanted + units - 1) / units;
  return static_cast<int>(std::max<int64_t>(1, std::min<int64_t>(bands, g.height / 4)));
}

template <typename T>
void attention_backward(const Geometry& g, T scale, const T* grad, const T* q, const T* k, const T* v,
                        const T* offset, const T* position, T* grad_q, T* grad_k, T* grad_v, T* grad_offset,
                        T* grad_position, T* workspace) {
  const int64_t pixels = int64_t(g.height) * g.width, step = int64_t(g.heads) * g.channels;
  const int64_t rows = g.batch * g.height;
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
        locate_window(offset + item * 2 * kTaps, row, column, g, &window);
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
        for (int t = 0; t < kTaps; ++t) logits[t] = scale * logits[t] + position[item * kTaps + t];
        softmax(logits, p);
        T mean = 0;
        for (int t = 0; t < kTaps; ++t) mean += p[t] * grad_p[t];
        T* saved = workspace + item * kSaved;
        save_rows(window, g.width, saved);
        for (int t = 0; t < kTaps; ++t) {
          const T grad_logit = p[t] * (grad_p[t] - mean);
          grad_position[item * kTaps + t] = grad_logit;
          share[t] = scale * grad_logit;
          saved[t] = p[t];
          saved[kTaps + t] = share[t];
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
        for (int t = 0; t < kTaps; ++t) {
          grad_offset[item * 2 * kTaps + 2 * t] = along_y[t];
          grad_offset[item * 2 * kTaps + 2 * t + 1] = along_x[t];
        }
        blend_all(keys, step, g.channels, window, share, grad_q + item * g.channels);
      }
    }
  }
  // 2. scatter to k's and v's gradients: a unit owns a band of rows of one head of one image
  const int bands = scatter_bands(g);
  const int64_t units = g.batch * g.heads * bands;
#pragma omp parallel for schedule(dynamic)
  for (int64_t unit = 0; unit < units; ++unit) {
    const int head = static_cast<int>(unit / bands % g.heads);
    const int32_t first = static_cast<int32_t>(unit % bands * g.height / bands);  // rows [first, last)
    const int32_t last = static_cast<int32_t>((unit % bands + 1) * g.height / bands);
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
      std::memcpy(&low, saved + 2 * kTaps, sizeof low);
      std::memcpy(&high, saved + 2 * kTaps + 1, sizeof high);
      if (high < first || low >= last) continue;
      locate_window(offset + item * 2 * kTaps, static_cast<int>(pixel / g.width), static_cast<int>(pixel % g.width),
                    g, &window);
      const T *query = q + item * g.channels, *above = grad + item * g.channels;
      if (low >= first && high < last) {
        scatter_all(above, g.channels, window, saved, step, values);
        scatter_all(query, g.channels, window, saved + kTaps, step, keys);
      } else {
        scatter_within(above, g.channels, window, saved, step, values, first * g.width, last * g.width);
        scatter_within(query, g.channels, window, saved + kTaps, step, keys, first * g.width, last * g.width);
      }
    }
  }
}

// ---------------------------------------------------------------------------------------------------------------
// Unfold. Maps are channels first: x (batch, channels, height, width), offset (batch, 18, out_height, out_width).

constexpr int kTile = 128; // output positions whose samples are located together, so that they stay in cache

template <typename T>
struct Tile {
  Samples<T, kTile> taps[kTaps];
};

template <typename T>
inline void locate_tile(const T* offset, int64_t begin, int count, const Geometry& g, Tile<T>* tile) {
  const int64_t positions = int64_t(g.out_height) * g.out_width;
  alignas(64) T y[kTile] = {}, x[kTile] = {}, rows[kTile], columns[kTile];
  for (int i = 0; i < count; ++i) {
    rows[i] = T((begin + i) / g.out_width * g.stride - g.padding);
    columns[i] = T((begin + i) % g.out_width * g.stride - g.padding);
  }
  for (int t = 0; t < kTaps; ++t) {
    const T* along_y = offset + 2 * t * positions + begin;
    const T* along_x = along_y + positions;
    const T down = T(t / 3 * g.dilation), across = T(t % 3 * g.dilation);
    for (int i = 0; i < count; ++i) {
      y[i] = (rows[i] + down) + along_y[i];
      x[i] = (columns[i] + across) + along_x[i];
    }
    locate<T, kTile>(y, x, g.height, g.width, &tile->taps[t]);
  }
}

template <typename T>
void unfold_forward(const Geometry& g, const T* x, const T* offset, T* out) {
  const int64_t positions = int64_t(g.out_height) * g.out_width, pixels = int64_t(g.height) * g.width;
  const int64_t tiles = (positions + kTile - 1) / kTile;
#pragma omp parallel for schedule(dynamic)
  for (int64_t unit = 0; unit < g.batch * tiles; ++unit) {
    const int64_t image = unit / tiles, begin = unit % tiles * kTile;
    const int count = static_cast<int>(std::min<int64_t>(kTile, positions - begin));
    Tile<T> tile;
    locate_tile(offset + image * 2 * kTaps * positions, begin, count, g, &tile);
    for (int channel = 0; channel < g.channels; ++channel) {
      const T* map = x + (image * g.channels + channel) * pixels;
      for (int t = 0; t < kTaps; ++t) {
        const Samples<T, kTile>& s = tile.taps[t];
        T* to = out + ((image * g.channels + channel) * kTaps + t) * positions + begin;
#pragma omp simd
        for (int i = 0; i < count; ++i) {
          to[i] = s.top[i] * (s.left[i] * map[s.pixel[0][i]] +
                                    s.right[i] * map[s.pixel[1][i]]) +
                  s.bottom[i] * (s.left[i] * map[s.pixel[2][i]] +
                                       s.right[i] * map[s.pixel[3][i]]);
        }
      }
    }
  }
}

template <typename T>
void unfold_backward(const Geometry& g, const T* grad, const T* x, const T* offset, T* grad_x, T* grad_offset) {
  const int64_t positions = int64_t(g.out_height) * g.out_width, pixels = int64_t(g.height) * g.width;
  const int64_t tiles = (positions + kTile - 1) / kTile;
  // 1. offset: a unit owns some positions, and sums over the channels
#pragma omp parallel for schedule(dynamic)
  for (int64_t unit = 0; unit < g.batch * tiles; ++unit) {
    const int64_t image = unit / tiles, begin = unit % tiles * kTile;
    const int count = static_cast<int>(std::min<int64_t>(kTile, positions - begin));
    Tile<T> tile;
    locate_tile(offset + image * 2 * kTaps * positions, begin, count, g, &tile);
    for (int t = 0; t < kTaps; ++t) {
      const Samples<T, kTile>& s = tile.taps[t];
      T* along_y = grad_offset + (image * 2 * kTaps + 2 * t) * positions + begin;
      T* along_x = along_y + positions;
      std::fill(along_y, along_y + count, T(0));
      std::fill(along_x, along_x + count, T(0));
      for (int channel = 0; channel < g.channels; ++channel) {
        const T* map = x + (image * g.channels + channel) * pixels;
        const T* from = grad + ((image * g.channels + channel) * kTaps + t) * positions + begin;
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
  int group = 8; // channels that share the located samples
  while (group > 1 && g.batch * ((g.channels + group - 1) / group) < 2 * threads()) group /= 2;
  const int64_t groups = (g.channels + group - 1) / group;
#pragma omp parallel for schedule(dynamic)
  for (int64_t unit = 0; unit < g.batch * groups; ++unit) {
    const int64_t image = unit / groups;
    const int first = static_cast<int>(unit % groups) * group, last = std::min(first + group, g.channels);
    std::fill(grad_x + (image * g.channels + first) * pixels, grad_x + (image * g.channels + last) * pixels, T(0));
    Tile<T> tile;
    for (int64_t begin = 0; begin < positions; begin += kTile) {
      const int count = static_cast<int>(std::min<int64_t>(kTile, positions - begin));
      locate_tile(offset + image * 2 * kTaps * positions, begin, count, g, &tile);
      for (int channel = first; channel < last; ++channel) {
        T* map = grad_x + (image * g.channels + channel) * pixels;
        for (int t = 0; t < kTaps; ++t) {
          const Samples<T, kTile>& s = tile.taps[t];
          const T* from = grad + ((image * g.channels + channel) * kTaps + t) * positions + begin;
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
