// Softmax attention of every token to all tokens, in several heads, without their (length, length) maps: they are made
// for a band of queries at a time, and once more in the backward pass. https://arxiv.org/abs/2205.14135
#pragma once

#include <algorithm>
#include <cstdint>

#include "../simd.h"

namespace mxnetseg {
namespace cpu {

constexpr int64_t kQueries = 32;  // of a band: its map stays in a core's cache

// ---------------------------------------------------------------------------------------------------------------
// Products of small matrices

constexpr int kProductRows = 4;
#ifdef __AVX512F__
constexpr int kProductVectors = 4;
#else
constexpr int kProductVectors = 1;  // a vector takes several registers, of which there are fewer
#endif

// A matrix whose number in row r and column c is at data[r * row + c * column].
template <typename T>
struct Strided {
  const T* data;
  int64_t row, column;
};

// Of a (rows, inner) times b (inner, columns) a piece of R rows and V vectors, which stays in registers.
template <typename T, int R, int V>
inline void product_piece(Strided<T> a, const T* b, int64_t b_row, int64_t inner, bool add, T* c, int64_t c_row) {
  typedef typename Simd<T>::vector vector;
  constexpr int lanes = Simd<T>::lanes;
  vector sums[R][V];
  for (int r = 0; r < R; ++r)
    for (int v = 0; v < V; ++v) sums[r][v] = add ? load(c + r * c_row + v * lanes) : vector{};
  for (int64_t k = 0; k < inner; ++k) {
    vector right[V];
    for (int v = 0; v < V; ++v) right[v] = load(b + k * b_row + v * lanes);
    for (int r = 0; r < R; ++r) {
      const T left = a.data[r * a.row + k * a.column];
      for (int v = 0; v < V; ++v) sums[r][v] += left * right[v];
    }
  }
  for (int r = 0; r < R; ++r)
    for (int v = 0; v < V; ++v) store(c + r * c_row + v * lanes, sums[r][v]);
}

template <typename T, int V>
inline void product_columns(Strided<T> a, int64_t rows, const T* b, int64_t b_row, int64_t inner, bool add, T* c,
                            int64_t c_row) {
  for (int64_t r = 0; r < rows; r += kProductRows) {
    const Strided<T> from{a.data + r * a.row, a.row, a.column};
    T* const to = c + r * c_row;
    switch (rows - r) {
      case 1: product_piece<T, 1, V>(from, b, b_row, inner, add, to, c_row); break;
      case 2: product_piece<T, 2, V>(from, b, b_row, inner, add, to, c_row); break;
      case 3: product_piece<T, 3, V>(from, b, b_row, inner, add, to, c_row); break;
      default: product_piece<T, kProductRows, V>(from, b, b_row, inner, add, to, c_row);
    }
  }
}

// c = a b, or c += a b. `columns`, which b and c have, is a multiple of a vector's lanes.
template <typename T>
inline void product(Strided<T> a, int64_t rows, const T* b, int64_t columns, int64_t inner, bool add, T* c) {
  constexpr int lanes = Simd<T>::lanes;
  for (int64_t column = 0; column < columns;) {
    const int vectors = static_cast<int>(std::min<int64_t>(kProductVectors, (columns - column) / lanes));
    switch (vectors) {
      case 1: product_columns<T, 1>(a, rows, b + column, columns, inner, add, c + column, columns); break;
#ifdef __AVX512F__
      case 2: product_columns<T, 2>(a, rows, b + column, columns, inner, add, c + column, columns); break;
      case 3: product_columns<T, 3>(a, rows, b + column, columns, inner, add, c + column, columns); break;
#endif
      default: product_columns<T, kProductVectors>(a, rows, b + column, columns, inner, add, c + column, columns);
    }
    column += vectors * lanes;
  }
}

// ---------------------------------------------------------------------------------------------------------------
// One head of one image

struct AttentionSizes {
  int64_t batch, length, heads, width;  // width: of a head

  int64_t channels() const { return heads * width; }
  template <typename T>
  static int64_t whole_vectors(int64_t size) {
    return (size + Simd<T>::lanes - 1) / Simd<T>::lanes * Simd<T>::lanes;
  }
  template <typename T>
  int64_t keys() const { return whole_vectors<T>(length); }
  template <typename T>
  int64_t columns() const { return whole_vectors<T>(width); }
};

// `count` rows of a head, `stride` apart, times `factor` -> (count, columns), zeros behind them.
template <typename T>
inline void take_rows(const T* from, int64_t stride, int64_t count, int64_t width, int64_t columns, T factor, T* to) {
  for (int64_t row = 0; row < count; ++row) {
    for (int64_t i = 0; i < width; ++i) to[row * columns + i] = factor * from[row * stride + i];
    std::fill(to + row * columns + width, to + (row + 1) * columns, T(0));
  }
}

// The same, transposed: (width, columns).
template <typename T>
inline void take_columns(const T* from, int64_t stride, int64_t count, int64_t width, int64_t columns, T* to) {
  for (int64_t i = 0; i < width; ++i) {
    for (int64_t row = 0; row < count; ++row) to[i * columns + row] = from[row * stride + i];
    std::fill(to + i * columns + count, to + (i + 1) * columns, T(0));
  }
}

template <typename T>
inline void give_rows(const T* from, int64_t columns, int64_t count, int64_t width, int64_t stride, T* to) {
  for (int64_t row = 0; row < count; ++row) std::copy_n(from + row * columns, width, to + row * stride);
}

template <typename T>
inline void softmax_row(T* row, int64_t length) {
  T most = row[0], total = 0;
#pragma omp simd reduction(max : most)
  for (int64_t i = 0; i < length; ++i) most = std::max(most, row[i]);
#pragma omp simd reduction(+ : total)
  for (int64_t i = 0; i < length; ++i) {
    row[i] = exponential(row[i] - most);
    total += row[i];
  }
  const T scale = 1 / total;
#pragma omp simd
  for (int64_t i = 0; i < length; ++i) row[i] *= scale;
}

// Which rows of qkv (batch, length, 3 channels) a head has.
template <typename T>
struct Head {
  Head(T* qkv, const AttentionSizes& s, int64_t unit)
      : q(qkv + unit / s.heads * s.length * 3 * s.channels() + unit % s.heads * s.width),
        k(q + s.channels()),
        v(k + s.channels()) {}
  T *q, *k, *v;
};

template <typename T>
T attention_scale(const AttentionSizes& s) {
  return 1 / std::sqrt(T(s.width));
}

template <typename T>
int64_t attention_workspace(const AttentionSizes& s, bool backward) {
  const int64_t by_key = s.width * s.keys<T>(), by_row = s.length * s.columns<T>();
  const int64_t band = kQueries * (s.keys<T>() + s.columns<T>());
  return backward ? 2 * by_key + 3 * by_row + 2 * band + kQueries * s.columns<T>() : by_key + by_row + 2 * band;
}

// qkv (batch, length, 3 channels): queries, keys and values of all heads -> y (batch, length, channels).
template <typename T>
void attend(const T* qkv, const AttentionSizes& s, T* y, T* workspace) {
  const int64_t keys = s.keys<T>(), columns = s.columns<T>(), stride = 3 * s.channels();
  const int64_t units = s.batch * s.heads;
  const int bands = bands_for(threads(), units, (s.length + kQueries - 1) / kQueries);
#pragma omp parallel for schedule(dynamic)
  for (int64_t task = 0; task < units * bands; ++task) {
    const int64_t unit = task / bands;
    const int band = static_cast<int>(task % bands);
    const Head<const T> head(qkv, s, unit);
    T* const k = workspace + thread() * attention_workspace<T>(s, false);
    T *const v = k + s.width * keys, *const q = v + s.length * columns;
    T *const map = q + kQueries * columns, *const sums = map + kQueries * keys;
    take_columns(head.k, stride, s.length, s.width, keys, k);
    take_rows(head.v, stride, s.length, s.width, columns, T(1), v);
    const int64_t end = band_start(static_cast<int>(s.length), band + 1, bands);
    for (int64_t first = band_start(static_cast<int>(s.length), band, bands); first < end; first += kQueries) {
      const int64_t count = std::min(kQueries, end - first);
      take_rows(head.q + first * stride, stride, count, s.width, columns, attention_scale<T>(s), q);
      product({q, columns, 1}, count, k, keys, s.width, false, map);
      for (int64_t row = 0; row < count; ++row) softmax_row(map + row * keys, s.length);
      product({map, keys, 1}, count, v, columns, s.length, false, sums);
      T* const to = y + (unit / s.heads * s.length + first) * s.channels() + unit % s.heads * s.width;
      give_rows(sums, columns, count, s.width, s.channels(), to);
    }
  }
}

// The gradient of y, qkv and y -> the gradient of qkv.
template <typename T>
void attend_gradient(const T* of_y, const T* qkv, const T* y, const AttentionSizes& s, T* of_qkv, T* workspace) {
  const int64_t keys = s.keys<T>(), columns = s.columns<T>(), stride = 3 * s.channels();
  const T scale = attention_scale<T>(s);
#pragma omp parallel for schedule(dynamic)
  for (int64_t unit = 0; unit < s.batch * s.heads; ++unit) {
    const Head<const T> head(qkv, s, unit);
    const Head<T> of(of_qkv, s, unit);
    const int64_t place = unit / s.heads * s.length * s.channels() + unit % s.heads * s.width;
    T* const k = workspace + thread() * attention_workspace<T>(s, true);
    T *const v = k + s.width * keys, *const k_rows = v + s.width * keys;
    T *const of_k = k_rows + s.length * columns, *const of_v = of_k + s.length * columns;
    T *const map = of_v + s.length * columns, *const of_map = map + kQueries * keys;
    T *const q = of_map + kQueries * keys, *const given = q + kQueries * columns, *const of_q = given + kQueries * columns;
    take_columns(head.k, stride, s.length, s.width, keys, k);
    take_columns(head.v, stride, s.length, s.width, keys, v);
    take_rows(head.k, stride, s.length, s.width, columns, scale, k_rows);
    std::fill(of_k, of_k + 2 * s.length * columns, T(0));
    for (int64_t first = 0; first < s.length; first += kQueries) {
      const int64_t count = std::min(kQueries, s.length - first);
      take_rows(head.q + first * stride, stride, count, s.width, columns, scale, q);
      take_rows(of_y + place + first * s.channels(), s.channels(), count, s.width, columns, T(1), given);
      product({q, columns, 1}, count, k, keys, s.width, false, map);
      product({given, columns, 1}, count, v, keys, s.width, false, of_map);
      for (int64_t row = 0; row < count; ++row) {
        T *const weights = map + row * keys, *const gradients = of_map + row * keys;
        const T* const result = y + place + (first + row) * s.channels();
        softmax_row(weights, s.length);
        T mean = 0;  // of the gradients, by the weights
        for (int64_t i = 0; i < s.width; ++i) mean += given[row * columns + i] * result[i];
#pragma omp simd
        for (int64_t i = 0; i < s.length; ++i) gradients[i] = weights[i] * (gradients[i] - mean);
      }
      product({map, 1, keys}, s.length, given, columns, count, true, of_v);
      product({of_map, 1, keys}, s.length, q, columns, count, true, of_k);
      product({of_map, keys, 1}, count, k_rows, columns, s.length, false, of_q);
      give_rows(of_q, columns, count, s.width, stride, of.q + first * stride);
    }
    give_rows(of_k, columns, s.length, s.width, stride, of.k);
    give_rows(of_v, columns, s.length, s.width, stride, of.v);
  }
}

}  // namespace cpu
}  // namespace mxnetseg
