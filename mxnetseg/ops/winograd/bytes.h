// A layer of 8-bit integers, as wide.h and narrow.h work one out. Pixels and filters become whole numbers that 16 bits
// hold, of two channels side by side, and their products whole numbers of 32 bits: up to there all is exact.
#pragma once

#include "products.h"

namespace mxnetseg {
namespace cpu {

// kFilterMatrix times the least whole numbers that leave no fractions; what they make too much, over kTooMuch, is taken
// from the output.
constexpr float kWholeFilterMatrix[kTile][kTaps] = {{1, 0, 0}, {1, 1, 1}, {1, -1, 1}, {1, 2, 4}, {1, -2, 4}, {0, 0, 1}};
constexpr float kWholeOutputMatrix[kStep][kTile] = {
    {6, -4, -4, 1, 1, 0}, {0, -4, 4, 2, -2, 0}, {0, -4, -4, 4, 4, 0}, {0, -4, 4, 8, -8, 24}};
constexpr float kTooMuch = 24 * 24;

// What becomes of a sum: times `scale`, plus `bias`, both of (groups, kLanes), plus, perhaps, a residual times its scale,
// and the nearest whole number between two.
struct Rounding {
  const float *scale, *bias;
  Bytes residual;  // as the output, or none
  float residual_scale, least, most;
};

// The reverse of read_pixels for a group of filters, of which `count` are there; `at`: where they begin in `maps`.
inline void write_pixels(const float* from, int64_t plane, int pixels, const Rounding& rounding, int group, int count,
                         int64_t at, uint8_t* maps) {
  const float *const scale = rounding.scale + group * kLanes, *const bias = rounding.bias + group * kLanes;
  const Bytes& residual = rounding.residual;
  if (count == kLanes && pixels >= 16) {
    const Lanes scales = load(scale), biases = load(bias);
    for (int x = 0; x < pixels; x += 16) {
      const int first = std::min(x, pixels - 16);  // the last ones are written twice
      Sixteens bytes, added;
      if (residual.data) added = transposed(residual.data + at + first, plane);
      for (int i = 0; i < 16; ++i) {
        Lanes value = load(from + (first + i) * kLanes) * scales + biases;
        if (residual.data) value += widened<Lanes>(added.of[i], residual.is_signed) * rounding.residual_scale;
        value = nearest(value, rounding.least, rounding.most);
        Simd<int32_t>::vector bits;
        std::memcpy(&bits, &value, sizeof bits);
        bytes.of[i] = converted<Sixteen>(bits);
      }
      bytes = transposed(reinterpret_cast<const uint8_t*>(bytes.of), 16);
      for (int i = 0; i < 16; ++i) std::memcpy(maps + at + i * plane + first, &bytes.of[i], 16);
    }
    return;
  }
  for (int i = 0; i < count; ++i)
    for (int x = 0; x < pixels; ++x) {
      const int64_t to = at + i * plane + x;
      float value = from[x * kLanes + i] * scale[i] + bias[i];
      if (residual.data) value += residual[to] * rounding.residual_scale;
      maps[to] = low_bits(nearest(value, rounding.least, rounding.most));
    }
}

// As FloatLayer. `g.channels` says how many pairs of channels there are; of the last, the second may be missing.
struct ByteLayer {
  typedef Pair Number;

  int channels, filters;
  Bytes x;               // (batch, channels, height, width)
  const int8_t* weight;  // (groups, pairs, 9, kLanes, 2)
  Rounding rounding;
  uint8_t* out;  // (batch, filters, height, width), of either type

  void prepare(int, int, int, int) const {}

  void read(const WinogradGeometry& g, int64_t n, int pair, const Span& span, Pair* strip, Pair* to, int64_t apart) const {
    read_span(g, kInputMatrix, x + (n * channels + 2 * pair) * g.plane(), std::min(2 * kLanes, channels - 2 * pair), span,
              g.dilation, reinterpret_cast<int16_t*>(strip), reinterpret_cast<int16_t*>(to), 2 * apart);
  }

  void read_filter(int group, int pair, Pair* to, int64_t apart) const {
    alignas(64) int16_t taps[9 * 2 * kLanes];
    const int8_t* const from = filter(group, pair);
    for (int i = 0; i < kFilterBytes; ++i) taps[i] = from[i];
    read_filters(kWholeFilterMatrix, taps, reinterpret_cast<int16_t*>(to), 2 * apart);
  }
  const int8_t* filter(int group, int pair) const {
    return weight + (int64_t(group) * ((channels + 1) / 2) + pair) * kFilterBytes;
  }
  static constexpr int kFilterBytes = 9 * 2 * kLanes;

  void write(const WinogradGeometry& g, int64_t n, int group, const Span& span, const float* products, int64_t apart,
             float* strip) const {
    const int64_t map = (n * filters + group * kLanes) * g.plane();
    write_span(g, kWholeOutputMatrix, products, apart, span, strip, [&](const float* pixels, int count, int64_t at) {
      write_pixels(pixels, g.plane(), count, rounding, group, std::min(kLanes, filters - group * kLanes), map + at, out);
    });
  }
};

}  // namespace cpu
}  // namespace mxnetseg
