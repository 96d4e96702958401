// Between MXNet's layout, where the pixels of a map lie side by side, and that of Winograd's vectors, where channels do.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "../simd.h"

namespace mxnetseg {
namespace cpu {

constexpr int kLanes = 16;  // channels, or filters, of a block

// (channel, pixel) <-> (pixel, channel), of four each.
typedef Simd<float>::quarter Quad;
struct Quads {
  Quad of[4];
};

inline Quad load_quad(const float* from) {
  Quad quad;
  std::memcpy(&quad, from, sizeof quad);
  return quad;
}

inline Quads transposed(const Quads& q) {
#if defined(__clang__) || __GNUC__ >= 12
  const Quad a = __builtin_shufflevector(q.of[0], q.of[1], 0, 4, 1, 5), b = __builtin_shufflevector(q.of[2], q.of[3], 0, 4, 1, 5);
  const Quad c = __builtin_shufflevector(q.of[0], q.of[1], 2, 6, 3, 7), d = __builtin_shufflevector(q.of[2], q.of[3], 2, 6, 3, 7);
  return {{__builtin_shufflevector(a, b, 0, 1, 4, 5), __builtin_shufflevector(a, b, 2, 3, 6, 7),
           __builtin_shufflevector(c, d, 0, 1, 4, 5), __builtin_shufflevector(c, d, 2, 3, 6, 7)}};
#else
  Quads result;
  for (int i = 0; i < 4; ++i)
    for (int j = 0; j < 4; ++j) result.of[i][j] = q.of[j][i];
  return result;
#endif
}

// The same for sixteen each, of bytes; rows of `from` are `apart` bytes apart.
typedef uint8_t Sixteen __attribute__((vector_size(16)));
struct Sixteens {
  Sixteen of[16];
};

__attribute__((noinline)) inline Sixteens transposed(const uint8_t* from, int64_t apart) {
  Sixteens a;
  for (int i = 0; i < 16; ++i) std::memcpy(&a.of[i], from + i * apart, sizeof(Sixteen));
#if defined(__clang__) || __GNUC__ >= 12
  // each time the rows of both halves are interleaved, which moves a row's index one bit on into a column's
  for (int time = 0; time < 4; ++time) {
    Sixteens b;
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) {
      const Sixteen low = a.of[i], high = a.of[i + 8];
      b.of[2 * i] = __builtin_shufflevector(low, high, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
      b.of[2 * i + 1] = __builtin_shufflevector(low, high, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
    }
    a = b;
  }
  return a;
#else
  Sixteens result;
  for (int i = 0; i < 16; ++i)
    for (int j = 0; j < 16; ++j) result.of[i][j] = a.of[j][i];
  return result;
#endif
}

// Pixels of `count` maps, which are `plane` numbers apart -> (pixels, channels of a vector of `to`'s numbers); channels
// that are not there are zero.
inline void read_pixels(const float* maps, int64_t plane, int count, int pixels, float* to) {
  for (int lane = 0; lane < kLanes; lane += 4) {
    const float* const from = maps + lane * plane;
    int x = 0;
    if (lane + 4 <= count)
      for (; x + 4 <= pixels; x += 4) {
        Quads quads;
        for (int i = 0; i < 4; ++i) quads.of[i] = load_quad(from + i * plane + x);
        quads = transposed(quads);
        for (int i = 0; i < 4; ++i) std::memcpy(to + (x + i) * kLanes + lane, &quads.of[i], sizeof(Quad));
      }
    for (; x < pixels; ++x)
      for (int i = 0; i < 4; ++i) to[x * kLanes + lane + i] = lane + i < count ? from[i * plane + x] : 0;
  }
}

// 8-bit integers of either type in memory.
struct Bytes {
  const uint8_t* data;
  bool is_signed;

  Bytes operator+(int64_t count) const { return {data + count, is_signed}; }
  int operator[](int64_t i) const { return is_signed ? static_cast<int8_t>(data[i]) : data[i]; }
};

// Sixteen of them as wider numbers.
template <typename Wide>
inline Wide widened(const Sixteen& bytes, bool is_signed) {
  typedef int8_t Signed __attribute__((vector_size(16)));
  return is_signed ? converted<Wide>((Signed)bytes) : converted<Wide>(bytes);
}

inline void read_pixels(const Bytes& maps, int64_t plane, int count, int pixels, int16_t* to) {
  constexpr int lanes = Simd<int16_t>::lanes;
  for (int lane = 0; lane < lanes; lane += 16) {
    const Bytes from = maps + lane * plane;
    int x = 0;
    if (lane + 16 <= count)
      for (; x + 16 <= pixels; x += 16) {
        const Sixteens bytes = transposed(from.data + x, plane);
        for (int i = 0; i < 16; ++i) {
          const auto wide = widened<Simd<int16_t>::half>(bytes.of[i], maps.is_signed);
          std::memcpy(to + (x + i) * lanes + lane, &wide, sizeof wide);
        }
      }
    for (; x < pixels; ++x)
      for (int i = 0; i < 16; ++i) to[x * lanes + lane + i] = lane + i < count ? from[i * plane + x] : 0;
  }
}

// The reverse for floats, with bias and, perhaps, residual added; what is below `least` becomes that.
inline void write_pixels(const float* from, int64_t plane, int pixels, const float* bias, const float* residual,
                         float least, int count, float* maps) {
  for (int lane = 0; lane < count; lane += 4) {
    int x = 0;
    if (lane + 4 <= count)
      for (; x + 4 <= pixels; x += 4) {
        Quads quads;
        for (int i = 0; i < 4; ++i) quads.of[i] = load_quad(from + (x + i) * kLanes + lane);
        quads = transposed(quads);
        for (int i = 0; i < 4; ++i) {
          const int64_t to = (lane + i) * plane + x;
          Quad value = quads.of[i] + bias[lane + i];
          if (residual) value += load_quad(residual + to);
          value = value < least ? Quad{} + least : value;  // a NaN stays one
          std::memcpy(maps + to, &value, sizeof value);
        }
      }
    for (; x < pixels; ++x)
      for (int i = 0; i < 4 && lane + i < count; ++i) {
        const int64_t to = (lane + i) * plane + x;
        const float value = from[x * kLanes + lane + i] + bias[lane + i] + (residual ? residual[to] : 0);
        maps[to] = value < least ? least : value;
      }
  }
}

}  // namespace cpu
}  // namespace mxnetseg
