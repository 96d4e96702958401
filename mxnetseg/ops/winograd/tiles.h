// Winograd's 3x3 convolution, F(4x4, 3x3), before and behind its matrix products: tiles of 6x6 pixels, at every 4th,
// become 36 numbers each, and so does a filter; products of these become 4x4 pixels. https://arxiv.org/abs/1509.09308
//
// Vectors run over channels, of which sixteen, a block, lie side by side. Work goes by lines: the tiles of one row of
// tiles. A dilated convolution is one on each of the dilation x dilation images that hold every dilation-th pixel; a
// line has the tiles of all those that begin in the same row. A span is some of its columns.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "../simd.h"

namespace mxnetseg {
namespace cpu {

constexpr int kTile = 6, kStep = 4, kTaps = 3, kProducts = kTile * kTile;
constexpr int kLanes = 16;  // channels, or filters, of a block
typedef Simd<float>::vector Lanes;

inline int64_t blocks_of(int64_t channels) { return (channels + kLanes - 1) / kLanes; }

struct WinogradGeometry {
  int64_t batch;
  int channels, height, width, dilation;

  int rows() const { return tiles(height); }  // of tiles, in one subsampled image
  int columns() const { return tiles(width); }
  int line() const { return dilation * columns(); }  // tiles
  int lines_per_image() const { return dilation * rows(); }
  int64_t lines() const { return batch * lines_per_image(); }
  int tiles(int size) const { return ((size + dilation - 1) / dilation + 3) / 4; }  // along one side of those
  int first_row(int64_t line) const {  // of the pixels of an image that its tiles become
    return static_cast<int>(line / rows() + dilation * kStep * (line % rows()));
  }
  int64_t plane() const { return int64_t(height) * width; }
  // A strip holds the pixels of some columns of a line, a block of channels side by side.
  int strip_width(int columns) const { return dilation * (kStep * columns + 2); }
  int64_t strip(int columns) const { return int64_t(kTile) * strip_width(columns) * kLanes; }
};

// Columns of a line.
struct Span {
  int64_t line;
  int first, count;
};

constexpr float kInputMatrix[kTile][kTile] = {{4, 0, -5, 0, 1, 0},  {0, -4, -4, 1, 1, 0}, {0, 4, -4, -1, 1, 0},
                                        {0, -2, -1, 2, 1, 0}, {0, 2, -1, -2, 1, 0}, {0, 4, 0, -5, 0, 1}};
constexpr float kFilterMatrix[kTile][kTaps] = {{1.0f / 4, 0, 0},
                                           {-1.0f / 6, -1.0f / 6, -1.0f / 6},
                                           {-1.0f / 6, 1.0f / 6, -1.0f / 6},
                                           {1.0f / 24, 1.0f / 12, 1.0f / 6},
                                           {1.0f / 24, -1.0f / 12, 1.0f / 6},
                                           {0, 0, 1}};
constexpr float kOutputMatrix[kStep][kTile] = {
    {1, 1, 1, 1, 1, 0}, {0, 1, -1, 2, -2, 0}, {0, 1, 1, 4, 4, 0}, {0, 1, -1, 8, -8, 1}};

// to[i] = sum over k of matrix[i][k] * from[k], for a block; [i] and [k] are so many numbers apart. `to` may be `from`.
template <int Rows, int Columns>
inline void transform(const float (&matrix)[Rows][Columns], const float* from, int64_t apart, float* to,
                      int64_t to_apart) {
  Lanes value[Columns];
#pragma GCC unroll 8
  for (int k = 0; k < Columns; ++k) value[k] = load(from + k * apart);
#pragma GCC unroll 8
  for (int i = 0; i < Rows; ++i) {
    Lanes sum{};
#pragma GCC unroll 8
    for (int k = 0; k < Columns; ++k)
      if (matrix[i][k] != 0) sum += matrix[i][k] * value[k];
    store(to + i * to_apart, sum);
  }
}

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

// `count` maps of an image -> a row of a strip of `strip_width` pixels, from pixel `from`; what is no pixel is zero.
inline void read_row(const WinogradGeometry& g, const float* row, int count, int from_pixel, int strip_width,
                     float* strip) {
  const int64_t plane = g.plane();
  const int border = std::max(0, -from_pixel);
  const int width = std::max(0, std::min(g.width - from_pixel, strip_width) - border);
  row += from_pixel + border;
  std::fill_n(strip, border * kLanes, 0.0f);
  strip += border * kLanes;
  std::fill_n(strip + width * kLanes, (strip_width - border - width) * kLanes, 0.0f);
  for (int lane = 0; lane < kLanes; lane += 4) {
    const float* const from = row + lane * plane;
    int x = 0;
    if (lane + 4 <= count)
      for (; x + 4 <= width; x += 4) {
        Quads quads;
        for (int i = 0; i < 4; ++i) quads.of[i] = load_quad(from + i * plane + x);
        quads = transposed(quads);
        for (int i = 0; i < 4; ++i) std::memcpy(strip + (x + i) * kLanes + lane, &quads.of[i], sizeof(Quad));
      }
    for (; x < width; ++x)
      for (int i = 0; i < 4; ++i) strip[x * kLanes + lane + i] = lane + i < count ? from[i * plane + x] : 0;
  }
}

// The tiles of a span of `count` maps, of Size x Size pixels each, which begin `border` pixels before those that they
// become: out[k] has number k of each tile, `apart` numbers apart.
template <int Size>
inline void read_span(const WinogradGeometry& g, const float (&matrix)[kTile][Size], const float* maps, int count,
                      const Span& span, int border, float* strip, float* out, int64_t apart) {
  const int d = g.dilation, width = g.strip_width(span.count), x = span.first * kStep * d - border;
  for (int r = 0; r < Size; ++r) {
    const int y = g.first_row(span.line) + r * d - border;
    if (y < 0 || y >= g.height)
      std::fill_n(strip + int64_t(r) * width * kLanes, width * kLanes, 0.0f);
    else
      read_row(g, maps + int64_t(y) * g.width, count, x, width, strip + int64_t(r) * width * kLanes);
  }
  for (int p = 0; p < width; ++p)
    transform(matrix, strip + p * kLanes, width * kLanes, strip + p * kLanes, width * kLanes);
  for (int first = 0; first < d; ++first)
    for (int column = 0; column < span.count; ++column, out += kLanes)
      for (int i = 0; i < kTile; ++i)
        transform(matrix, strip + (i * width + first + column * kStep * d) * kLanes, d * kLanes, out + i * kTile * apart,
                  apart);
}

// The reverse of read_row for `across` pixels, with bias and, perhaps, residual added; what is below `least` becomes that.
inline void write_row(const WinogradGeometry& g, const float* pixels, int across, const float* bias,
                      const float* residual, float least, int count, float* row) {
  const int64_t plane = g.plane();
  for (int lane = 0; lane < count; lane += 4) {
    int x = 0;
    if (lane + 4 <= count)
      for (; x + 4 <= across; x += 4) {
        Quads quads;
        for (int i = 0; i < 4; ++i) quads.of[i] = load_quad(pixels + (x + i) * kLanes + lane);
        quads = transposed(quads);
        for (int i = 0; i < 4; ++i) {
          const int64_t to = (lane + i) * plane + x;
          Quad value = quads.of[i] + bias[lane + i];
          if (residual) value += load_quad(residual + to);
          value = value < least ? Quad{} + least : value;  // a NaN stays one
          std::memcpy(row + to, &value, sizeof value);
        }
      }
    for (; x < across; ++x)
      for (int i = 0; i < 4 && lane + i < count; ++i) {
        const int64_t to = (lane + i) * plane + x;
        const float value = pixels[x * kLanes + lane + i] + bias[lane + i] + (residual ? residual[to] : 0);
        row[to] = value < least ? least : value;
      }
  }
}

// The reverse of read_span for products[k], `apart` numbers apart; otherwise as write_row.
inline void write_span(const WinogradGeometry& g, const float* products, int64_t apart, const Span& span,
                       const float* bias, const float* residual, float least, float* strip, int count, float* maps) {
  const int d = g.dilation, width = g.strip_width(span.count), begin = span.first * kStep * d;
  const int pixels_across = std::min(g.width - begin, span.count * kStep * d);
  for (int first = 0; first < d; ++first)
    for (int column = 0; column < span.count; ++column, products += kLanes)
      for (int i = 0; i < kTile; ++i)
        transform(kOutputMatrix, products + i * kTile * apart, apart,
                  strip + (i * width + first + column * kStep * d) * kLanes, d * kLanes);
  for (int p = 0; p < pixels_across; ++p)
    transform(kOutputMatrix, strip + p * kLanes, width * kLanes, strip + p * kLanes, width * kLanes);
  for (int a = 0; a < kStep; ++a) {
    const int y = g.first_row(span.line) + a * d;
    if (y >= g.height) break;
    const int64_t at = int64_t(y) * g.width + begin;
    write_row(g, strip + int64_t(a) * width * kLanes, pixels_across, bias, residual ? residual + at : nullptr, least, count,
              maps + at);
  }
}

// weight (9, kLanes), of as many filters: out[k] is number k of each, `apart` numbers apart.
inline void read_filters(const float* weight, float* out, int64_t apart) {
  alignas(64) float half[kTile][kTaps][kLanes];
  for (int k = 0; k < kTaps; ++k)
    transform(kFilterMatrix, weight + k * kLanes, kTaps * kLanes, half[0][k], kTaps * kLanes);
  for (int i = 0; i < kTile; ++i) transform(kFilterMatrix, half[i][0], kLanes, out + i * kTile * apart, apart);
}

}  // namespace cpu
}  // namespace mxnetseg
