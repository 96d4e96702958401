// Vectors and threads on a CPU.
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

// How many threads the next parallel loop has, and within one which of them this is.
#ifdef _OPENMP
inline int threads() { return omp_get_max_threads(); }
inline int thread() { return omp_get_thread_num(); }
#else
inline int threads() { return 1; }
inline int thread() { return 0; }
#endif

// Into how many bands of rows each of `units` independent things is cut, so that every thread has some four of them to
// take; at most `most`, for what neighbouring bands share is computed twice.
inline int bands_for(int threads, int64_t units, int64_t most) {
  return static_cast<int>(std::max<int64_t>(1, std::min<int64_t>((4 * threads + units - 1) / units, most)));
}

// The row that a band begins with, or, for the number of bands, the row behind the last.
inline int band_start(int rows, int band, int bands) { return static_cast<int>(int64_t(rows) * band / bands); }

// ---------------------------------------------------------------------------------------------------------------
// Vectors of 64 bytes: one register with AVX512, several of a narrower machine

template <typename T>
struct Simd {
  typedef T vector __attribute__((vector_size(64)));
  typedef T unaligned __attribute__((vector_size(64), aligned(alignof(T)), may_alias));
  typedef T half __attribute__((vector_size(32)));
  typedef T quarter __attribute__((vector_size(16)));
  static constexpr int lanes = 64 / sizeof(T);
  typedef int32_t index __attribute__((vector_size(256 / sizeof(T))));  // as many lanes
};

template <typename T>
inline typename Simd<T>::vector load(const T* from) {
  return *reinterpret_cast<const typename Simd<T>::unaligned*>(from);
}

template <typename T>
inline void store(T* to, typename Simd<T>::vector value) {
  *reinterpret_cast<typename Simd<T>::unaligned*>(to) = value;
}

// The sum of the four quarters of v.
template <typename T>
inline typename Simd<T>::quarter fold(typename Simd<T>::vector v) {
  typename Simd<T>::half low, high;
  std::memcpy(&low, &v, 32);
  std::memcpy(&high, reinterpret_cast<const char*>(&v) + 32, 32);
  low += high;
  typename Simd<T>::quarter first, second;
  std::memcpy(&first, &low, 16);
  std::memcpy(&second, reinterpret_cast<const char*>(&low) + 16, 16);
  return first + second;
}

template <typename T>
inline T sum(typename Simd<T>::vector v) {
  const typename Simd<T>::quarter folded = fold<T>(v);
  T total = 0;
  for (unsigned i = 0; i < 16 / sizeof(T); ++i) total += folded[i];
  return total;
}

// The sums of four vectors at once.
#if defined(__clang__) || __GNUC__ >= 12
inline void sums(const Simd<float>::vector* v, float* totals) {
  const Simd<float>::quarter a = fold<float>(v[0]), b = fold<float>(v[1]), c = fold<float>(v[2]), d = fold<float>(v[3]);
  const Simd<float>::quarter ab = __builtin_shufflevector(a, b, 0, 4, 1, 5) + __builtin_shufflevector(a, b, 2, 6, 3, 7);
  const Simd<float>::quarter cd = __builtin_shufflevector(c, d, 0, 4, 1, 5) + __builtin_shufflevector(c, d, 2, 6, 3, 7);
  const Simd<float>::quarter all =
      __builtin_shufflevector(ab, cd, 0, 1, 4, 5) + __builtin_shufflevector(ab, cd, 2, 3, 6, 7);
  std::memcpy(totals, &all, sizeof all);
}
#else
inline void sums(const Simd<float>::vector* v, float* totals) {
  for (int i = 0; i < 4; ++i) totals[i] = sum<float>(v[i]);
}
#endif
inline void sums(const Simd<double>::vector* v, double* totals) {
  for (int i = 0; i < 4; ++i) totals[i] = sum<double>(v[i]);
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

// A vector of as many numbers of another type.
template <typename To, typename From>
inline To converted(const From& from) {
  To to{};
  for (unsigned i = 0; i < sizeof(To) / sizeof(to[0]); ++i) to[i] = from[i];
  return to;
}

// The nearest whole number between two, as the low bits of what is returned.
template <typename Value>
inline Value nearest(Value value, float least, float most) {
  value = value < least ? Value{} + least : value;
  value = value > most ? Value{} + most : value;
  return value + 12582912.0f;  // 1.5 * 2^23: numbers of this size have no fraction
}

inline uint8_t low_bits(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return static_cast<uint8_t>(bits);
}

}  // namespace cpu
}  // namespace mxnetseg
