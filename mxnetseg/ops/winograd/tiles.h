// Winograd's 3x3 convolution, F(4x4, 3x3), before and behind its matrix products: tiles of 6x6 pixels, at every 4th,
// become 36 numbers each, and so does a filter; products of these become 4x4 pixels. https://arxiv.org/abs/1509.09308
//
// Vectors run over channels, of which sixteen, a block, lie side by side. Work goes by lines: the tiles of one row of
// tiles. A dilated convolution is one on each of the dilation x dilation images that hold every dilation-th pixel; a
// line has the tiles of all those that begin in the same row. A span is some of its columns.
#pragma once

#include "pixels.h"

namespace mxnetseg {
namespace cpu {

constexpr int kTile = 6, kStep = 4, kTaps = 3, kProducts = kTile * kTile;
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

// to[i] = sum over k of matrix[i][k] * from[k], for a vector of numbers; [i] and [k] are so many numbers apart. `to` may
// be `from`.
template <typename Number, int Rows, int Columns>
inline void transform(const float (&matrix)[Rows][Columns], const Number* from, int64_t apart, Number* to,
                      int64_t to_apart) {
  typename Simd<Number>::vector value[Columns];
#pragma GCC unroll 8
  for (int k = 0; k < Columns; ++k) value[k] = load(from + k * apart);
#pragma GCC unroll 8
  for (int i = 0; i < Rows; ++i) {
    typename Simd<Number>::vector sum{};
#pragma GCC unroll 8
    for (int k = 0; k < Columns; ++k)
      if (matrix[i][k] != 0) sum += static_cast<Number>(matrix[i][k]) * value[k];
    store(to + i * to_apart, sum);
  }
}

// `count` maps of an image -> a row of a strip of `strip_width` pixels, from pixel `from`; what is no pixel is zero. Source:
// const float*, or Bytes.
template <typename Source, typename Number>
inline void read_row(const WinogradGeometry& g, Source row, int count, int from_pixel, int strip_width,
                     Number* strip) {
  constexpr int lanes = Simd<Number>::lanes;
  const int border = std::max(0, -from_pixel);
  const int width = std::max(0, std::min(g.width - from_pixel, strip_width) - border);
  std::fill_n(strip, border * lanes, Number(0));
  strip += border * lanes;
  std::fill_n(strip + width * lanes, (strip_width - border - width) * lanes, Number(0));
  read_pixels(row + from_pixel + border, g.plane(), count, width, strip);
}

// The tiles of a span of `count` maps, of Size x Size pixels each, which begin `border` pixels before those that they
// become: out[k] has number k of each tile, `apart` numbers apart.
template <int Size, typename Source, typename Number>
inline void read_span(const WinogradGeometry& g, const float (&matrix)[kTile][Size], Source maps, int count,
                      const Span& span, int border, Number* strip, Number* out, int64_t apart) {
  constexpr int lanes = Simd<Number>::lanes;
  const int d = g.dilation, width = g.strip_width(span.count), x = span.first * kStep * d - border;
  for (int r = 0; r < Size; ++r) {
    const int y = g.first_row(span.line) + r * d - border;
    if (y < 0 || y >= g.height)
      std::fill_n(strip + int64_t(r) * width * lanes, width * lanes, Number(0));
    else
      read_row(g, maps + int64_t(y) * g.width, count, x, width, strip + int64_t(r) * width * lanes);
  }
  for (int p = 0; p < width; ++p)
    transform(matrix, strip + p * lanes, width * lanes, strip + p * lanes, width * lanes);
  for (int first = 0; first < d; ++first)
    for (int column = 0; column < span.count; ++column, out += lanes)
      for (int i = 0; i < kTile; ++i)
        transform(matrix, strip + (i * width + first + column * kStep * d) * lanes, d * lanes, out + i * kTile * apart,
                  apart);
}

// The reverse of read_span for products[k], `apart` numbers apart: write(pixels, count, at) gets those of every row,
// which begin at `at` in their map.
template <class Write>
inline void write_span(const WinogradGeometry& g, const float (&matrix)[kStep][kTile], const float* products,
                       int64_t apart, const Span& span, float* strip, Write write) {
  const int d = g.dilation, width = g.strip_width(span.count), begin = span.first * kStep * d;
  const int pixels_across = std::min(g.width - begin, span.count * kStep * d);
  for (int first = 0; first < d; ++first)
    for (int column = 0; column < span.count; ++column, products += kLanes)
      for (int i = 0; i < kTile; ++i)
        transform(matrix, products + i * kTile * apart, apart,
                  strip + (i * width + first + column * kStep * d) * kLanes, d * kLanes);
  for (int p = 0; p < pixels_across; ++p)
    transform(matrix, strip + p * kLanes, width * kLanes, strip + p * kLanes, width * kLanes);
  for (int a = 0; a < kStep; ++a) {
    const int y = g.first_row(span.line) + a * d;
    if (y >= g.height) break;
    write(strip + int64_t(a) * width * kLanes, pixels_across, int64_t(y) * g.width + begin);
  }
}

// weight (9, lanes of a vector): out[k] is number k of each filter, `apart` numbers apart.
template <typename Number>
inline void read_filters(const float (&matrix)[kTile][kTaps], const Number* weight, Number* out, int64_t apart) {
  constexpr int lanes = Simd<Number>::lanes;
  alignas(64) Number half[kTile][kTaps][lanes];
  for (int k = 0; k < kTaps; ++k) transform(matrix, weight + k * lanes, kTaps * lanes, half[0][k], kTaps * lanes);
  for (int i = 0; i < kTile; ++i) transform(matrix, half[i][0], lanes, out + i * kTile * apart, apart);
}

}  // namespace cpu
}  // namespace mxnetseg
