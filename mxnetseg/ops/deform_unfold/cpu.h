// Deformable sampling on the CPU: OpenMP over independent outputs, SIMD over channels (attention) or positions
// (unfold). Results don't depend on the number of threads: every output element has one owner, which sums in a
// fixed order.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

#ifdef _OPENMP
#include <omp.h>
#endif

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

inline int threads() {
#ifdef _OPENMP
  return omp_get_max_threads();
#else
  return 1;
#endif
}

// ---------------------------------------------------------------------------------------------------------------
// The sampling rule

// Bilinear weights of one sample, along y (top, bottom) and x (left, right), and which of the neighbours exist.
// All are 0 where the sample does not count; indices are always valid.
template <typename T>
struct Sample {
  T top, bottom, left, right;
  T has_top, has_bottom, has_left, has_right; // 0 or 1
  int32_t row0, row1, column0, column1;
};

template <typename T>
inline Sample<T> locate(T y, T x, int height, int width) {
  // a NaN compares false, and so counts as outside
  const bool counts = (y > T(-1)) & (y < T(height)) & (x > T(-1)) & (x < T(width));
  // what does not count reads the pixel next to it, times 0; max(0, NaN) is 0
  const T at_y = counts ? y : std::min(std::max(T(0), y), T(height - 1));
  const T at_x = counts ? x : std::min(std::max(T(0), x), T(width - 1));
  const T row = std::floor(at_y), column = std::floor(at_x), one = counts ? T(1) : T(0);
  const int32_t top = static_cast<int32_t>(row), left = static_cast<int32_t>(column);
  Sample<T> s;
  s.has_top = top >= 0 ? one : T(0);
  s.has_bottom = top + 1 < height ? one : T(0);
  s.has_left = left >= 0 ? one : T(0);
  s.has_right = left + 1 < width ? one : T(0);
  const T down = at_y - row, across = at_x - column;
  s.top = s.has_top * (T(1) - down);
  s.bottom = s.has_bottom * down;
  s.left = s.has_left * (T(1) - across);
  s.right = s.has_right * across;
  s.row0 = top < 0 ? 0 : top;
  s.row1 = top + 1 < height ? top + 1 : height - 1;
  s.column0 = left < 0 ? 0 : left;
  s.column1 = left + 1 < width ? left + 1 : width - 1;
  return s;
}

// ---------------------------------------------------------------------------------------------------------------
// Vectors of 64 bytes: one register with AVX512, several of a narrower machine

template <typename T>
struct Simd {
  typedef T vector __attribute__((vector_size(64)));
  typedef T unaligned __attribute__((vector_size(64), aligned(alignof(T)), may_alias));
  typedef T half __attribute__((vector_size(32)));
  typedef T quarter __attribute__((vector_size(16)));
  static constexpr int lanes = 64 / sizeof(T);
};

template <typename T>
inline typename Simd<T>::vector load(const T* from) {
  return *reinterpret_cast<const typename Simd<T>::unaligned*>(from);
}

template <typename T>
inline void store(T* to, typename Simd<T>::vector value) {
  *reinterpret_cast<typename Simd<T>::unaligned*>(to) = value;
}

template <typename T>
inline T sum(typename Simd<T>::vector v) {
  typename Simd<T>::half low, high;
  std::memcpy(&low, &v, 32);
  std::memcpy(&high, reinterpret_cast<const char*>(&v) + 32, 32);
  low += high;
  typename Simd<T>::quarter first, second;
  std::memcpy(&first, &low, 16);
  std::memcpy(&second, reinterpret_cast<const char*>(&low) + 16, 16);
  first += second;
  T total = 0;
  for (unsigned i = 0; i < 16 / sizeof(T); ++i) total += first[i];
  return total;
}

// e^x for x <= 0. Unlike the library's it becomes vector code; error below 2 units in the last place.
inline float exponential(float x) {
  const float n = std::floor(x * 1.44269504f + 0.5f);
  const float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  // below -87 the result is not representable as a normal number; a NaN must stay one
  const int32_t power = x < -87.0f ? 0 : static_cast<int32_t>(n) + 127;
  const int32_t bits = static_cast<int32_t>(static_cast<uint32_t>(power) << 23);
  float scale;
  std::memcpy(&scale, &bits, 4);
  return x < -87.0f ? 0.0f : p * scale;
}
inline double exponential(double x) { return std::exp(x); }

// ---------------------------------------------------------------------------------------------------------------
// Attention. Maps are channels last: q, k, v (batch, height, width, heads*channels).

// The nine samples of one pixel and head; corners in the order top left, top right, bottom left, bottom right.
template <typename T>
struct Window {
  alignas(64) T weight[4][kPadded];
  alignas(64) T along_y[4][kPadded]; // derivatives of the weights
  alignas(64) T along_x[4][kPadded];
  alignas(64) int32_t pixel[4][kPadded];
};

template <typename T>
inline void locate_window(const T* offset, int row, int column, const Geometry& g, Window<T>* window) {
  alignas(64) T y[kPadded] = {}, x[kPadded] = {};
  for (int t = 0; t < kTaps; ++t) {
    y[t] = T(row - g.padding + t / 3 * g.dilation) + offset[2 * t];
    x[t] = T(column - g.padding + t % 3 * g.dilation) + offset[2 * t + 1];
  }
#pragma omp simd
  for (int t = 0; t < kPadded; ++t) {
    const Sample<T> s = locate(y[t], x[t], g.height, g.width);
    window->weight[0][t] = s.top * s.left;
    window->weight[1][t] = s.top * s.right;
    window->weight[2][t] = s.bottom * s.left;
    window->weight[3][t] = s.bottom * s.right;
    window->along_y[0][t] = -s.has_top * s.left;
    window->along_y[1][t] = -s.has_top * s.right;
    window->along_y[2][t] = s.has_bottom * s.left;
    window->along_y[3][t] = s.has_bottom * s.right;
    window->along_x[0][t] = -s.top * s.has_left;
    window->along_x[1][t] = s.top * s.has_right;
    window->along_x[2][t] = -s.bottom * s.has_left;
    window->along_x[3][t] = s.bottom * s.has_right;
    window->pixel[0][t] = s.row0 * g.width + s.column0;
    window->pixel[1][t] = s.row0 * g.width + s.column1;
    window->pixel[2][t] = s.row1 * g.width + s.column0;
    window->pixel[3][t] = s.row1 * g.width + s.column1;
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

template <typename T>
void attention_forward(const Geometry& g, T scale, const T* q, const T* k, const T* v, const T* offset,
                       const T* position, T* out) {
  const int64_t pixels = int64_t(g.height) * g.width, step = int64_t(g.heads) * g.channels;
  const int64_t rows = g.batch * g.height;
#pragma omp parallel for schedule(dynamic)
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

// products[c] += <a, corner c of tap t> over N vectors of channels
template <int N, typename T>
inline void add_corner_products(const T* a, const T* map, int64_t step, const Window<T>& window, int t,
                                typename Simd<T>::vector* products) {
  constexpr int lanes = Simd<T>::lanes;
#pragma GCC unroll 4
  for (int c = 0; c < 4; ++c) {
    const T* corner = map + window.pixel[c][t] * step;
#pragma GCC unroll 4
    for (int n = 0; n < N; ++n) products[c] += load(a + n * lanes) * load(corner + n * lanes);
  }
}

// products[c][t] = <a, corner c of tap t>
template <typename T>
inline void corner_products(const T* a, const T* map, int64_t step, int channels, const Window<T>& window,
                            T (*products)[kPadded]) {
  for (int t = 0; t < kTaps; ++t) {
    typename Simd<T>::vector totals[4] = {};
    T left[4] = {};
    over_channels<T>(
        0, channels, [&](int j) { add_corner_products<4>(a + j, map + j, step, window, t, totals); },
        [&](int j) { add_corner_products<1>(a + j, map + j, step, window, t, totals); },
        [&](int begin) {
          for (int c = 0; c < 4; ++c)
            for (int j = begin; j < channels; ++j) left[c] += a[j] * map[window.pixel[c][t] * step + j];
        });
#pragma GCC unroll 4
    for (int c = 0; c < 4; ++c) products[c][t] = sum<T>(totals[c]) + left[c];
  }
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
#pragma omp parallel for schedule(dynamic)
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
        for (int t = 0; t < kPadded; ++t) {
          along_y[t] = 0;
          along_x[t] = 0;
          for (int c = 0; c < 4; ++c) {
            const T slope = share[t] * of_k[c][t] + p[t] * of_v[c][t];
            along_y[t] += window.along_y[c][t] * slope;
            along_x[t] += window.along_x[c][t] * slope;
          }
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
  alignas(64) T top[kTaps][kTile], bottom[kTaps][kTile], left[kTaps][kTile], right[kTaps][kTile];
  alignas(64) T has_top[kTaps][kTile], has_bottom[kTaps][kTile], has_left[kTaps][kTile], has_right[kTaps][kTile];
  alignas(64) int32_t pixel[4][kTaps][kTile];
};

template <typename T>
inline void locate_tile(const T* offset, int64_t begin, int count, const Geometry& g, Tile<T>* tile) {
  const int64_t positions = int64_t(g.out_height) * g.out_width;
  for (int t = 0; t < kTaps; ++t) {
    const T* along_y = offset + 2 * t * positions + begin;
    const T* along_x = along_y + positions;
#pragma omp simd
    for (int i = 0; i < count; ++i) {
      const int row = static_cast<int>(begin + i) / g.out_width, column = static_cast<int>(begin + i) % g.out_width;
      const T y = T(row * g.stride - g.padding + t / 3 * g.dilation) + along_y[i];
      const T x = T(column * g.stride - g.padding + t % 3 * g.dilation) + along_x[i];
      const Sample<T> s = locate(y, x, g.height, g.width);
      tile->top[t][i] = s.top;
      tile->bottom[t][i] = s.bottom;
      tile->left[t][i] = s.left;
      tile->right[t][i] = s.right;
      tile->has_top[t][i] = s.has_top;
      tile->has_bottom[t][i] = s.has_bottom;
      tile->has_left[t][i] = s.has_left;
      tile->has_right[t][i] = s.has_right;
      tile->pixel[0][t][i] = s.row0 * g.width + s.column0;
      tile->pixel[1][t][i] = s.row0 * g.width + s.column1;
      tile->pixel[2][t][i] = s.row1 * g.width + s.column0;
      tile->pixel[3][t][i] = s.row1 * g.width + s.column1;
    }
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
        T* to = out + ((image * g.channels + channel) * kTaps + t) * positions + begin;
#pragma omp simd
        for (int i = 0; i < count; ++i) {
          to[i] = tile.top[t][i] * (tile.left[t][i] * map[tile.pixel[0][t][i]] +
                                    tile.right[t][i] * map[tile.pixel[1][t][i]]) +
                  tile.bottom[t][i] * (tile.left[t][i] * map[tile.pixel[2][t][i]] +
                                       tile.right[t][i] * map[tile.pixel[3][t][i]]);
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
      T* along_y = grad_offset + (image * 2 * kTaps + 2 * t) * positions + begin;
      T* along_x = along_y + positions;
      std::fill(along_y, along_y + count, T(0));
      std::fill(along_x, along_x + count, T(0));
      for (int channel = 0; channel < g.channels; ++channel) {
        const T* map = x + (image * g.channels + channel) * pixels;
        const T* from = grad + ((image * g.channels + channel) * kTaps + t) * positions + begin;
#pragma omp simd
        for (int i = 0; i < count; ++i) {
          const T v0 = map[tile.pixel[0][t][i]], v1 = map[tile.pixel[1][t][i]];
          const T v2 = map[tile.pixel[2][t][i]], v3 = map[tile.pixel[3][t][i]];
          along_y[i] += from[i] * (tile.has_bottom[t][i] * (tile.left[t][i] * v2 + tile.right[t][i] * v3) -
                                   tile.has_top[t][i] * (tile.left[t][i] * v0 + tile.right[t][i] * v1));
          along_x[i] += from[i] * (tile.has_right[t][i] * (tile.top[t][i] * v1 + tile.bottom[t][i] * v3) -
                                   tile.has_left[t][i] * (tile.top[t][i] * v0 + tile.bottom[t][i] * v2));
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
          const T* from = grad + ((image * g.channels + channel) * kTaps + t) * positions + begin;
          for (int i = 0; i < count; ++i) {
            const T top = tile.top[t][i] * from[i], bottom = tile.bottom[t][i] * from[i];
            map[tile.pixel[0][t][i]] += top * tile.left[t][i];
            map[tile.pixel[1][t][i]] += top * tile.right[t][i];
            map[tile.pixel[2][t][i]] += bottom * tile.left[t][i];
            map[tile.pixel[3][t][i]] += bottom * tile.right[t][i];
          }
        }
      }
    }
  }
}

}  // namespace cpu
}  // namespace mxnetseg
