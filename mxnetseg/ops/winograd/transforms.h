// Winograd's 3x3 convolution, F(4x4, 3x3), without its matrix product: tiles of 6x6 pixels, at every 4th, become 36
// numbers each; after the product 36 numbers become 4x4 pixels. https://arxiv.org/abs/1509.09308
//
// Tiles lie side by side along the last axis, so that vectors run over tiles. A dilated convolution is one on each
// of the dilation x dilation images that hold every dilation-th pixel. Tiles are in the order image, first row of
// the subsampled image, row of tiles, first column, column of tiles.
#pragma once

#include <algorithm>
#include <cstdint>

#include "../simd.h"

namespace mxnetseg {
namespace cpu {

struct WinogradGeometry {
  int64_t batch;
  int channels, height, width, dilation;

  int rows() const { return tiles(height); }  // of tiles, in one subsampled image
  int columns() const { return tiles(width); }
  int line() const { return dilation * columns(); }  // tiles side by side
  int64_t tiles_per_image() const { return int64_t(dilation) * rows() * line(); }
  int64_t tiles_in_all() const { return batch * tiles_per_image(); }
  int tiles(int size) const { return ((size + dilation - 1) / dilation + 3) / 4; }  // along one side of those
};

constexpr int kTile = 6, kStep = 4, kProducts = kTile * kTile;
constexpr int kRun = 64;  // tiles worked on together: 36 numbers of each stay in the first-level cache

constexpr float kInputMatrix[kTile][kTile] = {{4, 0, -5, 0, 1, 0},  {0, -4, -4, 1, 1, 0}, {0, 4, -4, -1, 1, 0},
                                        {0, -2, -1, 2, 1, 0}, {0, 2, -1, -2, 1, 0}, {0, 4, 0, -5, 0, 1}};
constexpr float kOutputMatrix[kStep][kTile] = {
    {1, 1, 1, 1, 1, 0}, {0, 1, -1, 2, -2, 0}, {0, 1, 1, 4, 4, 0}, {0, 1, -1, 8, -8, 1}};

// to[i] = sum over k of matrix[i][k] * from[k], for a whole run of tiles; [i] and [k] are so many numbers apart.
template <int Rows>
inline void transform(const float (&matrix)[Rows][kTile], const float* from, int64_t apart, float* to, int64_t to_apart,
                      int count) {
#pragma omp simd
  for (int j = 0; j < count; ++j) {
    float value[kTile];
#pragma GCC unroll 8
    for (int k = 0; k < kTile; ++k) value[k] = from[k * apart + j];
#pragma GCC unroll 8
    for (int i = 0; i < Rows; ++i) {
      float sum = 0;
#pragma GCC unroll 8
      for (int k = 0; k < kTile; ++k)
        if (matrix[i][k] != 0) sum += matrix[i][k] * value[k];
      to[i * to_apart + j] = sum;
    }
  }
}

// Tiles side by side in one row of one subsampled image, of those that are worked on together: from number `begin` of
// the run on, `count`; the first one's first pixel without the border is (y, x), the next one's 4 * dilation further.
struct Segment {
  int begin, count, y, x;
};

// Call `work` with the segments of the tiles first ... first + count of an image.
template <typename Work>
inline void each_segment(const WinogradGeometry& g, int64_t first, int count, Work work) {
  const int line = g.line(), columns = g.columns(), rows = g.rows();
  for (int begin = 0; begin < count;) {
    const int row = static_cast<int>((first + begin) / line), at = static_cast<int>((first + begin) % line);
    const int column = at % columns, length = std::min(columns - column, count - begin);
    work(Segment{begin, length, row / rows + g.dilation * kStep * (row % rows),
                 at / columns + g.dilation * kStep * column});
    begin += length;
  }
}

// How many of a segment's tiles, from its first on, end before column `end` where each reaches `reach` columns beyond
// its own first.
inline int fitting(const Segment& s, int step, int reach, int end) {
  return std::max(0, std::min(s.count, (end - s.x - reach - 1 + step) / step));
}

// One row of pixels of the tiles of a segment: every pixel's number of all tiles lies together.
template <int Dilation>  // 0: any
inline void read_row(const Segment& s, int dilation, const float* row, int width, float (*to)[kRun]) {
  const int d = Dilation ? Dilation : dilation, step = kStep * d;
  const auto careful = [&](int j) {
    for (int k = 0; k < kTile; ++k) {
      const int column = s.x + j * step + (k - 1) * d;
      to[k][s.begin + j] = column >= 0 && column < width ? row[column] : 0;
    }
  };
  const int first = s.x < d ? 1 : 0, fit = fitting(s, step, 4 * d, width);
  if (first) careful(0);
  const float* const from = row + s.x - d;
  for (int k = 0; k < kTile; ++k)
    for (int j = first; j < fit; ++j) to[k][s.begin + j] = from[j * step + k * d];
  for (int j = std::max(first, fit); j < s.count; ++j) careful(j);
}

// The reverse for a row of results, of which each tile has 4; bias and residual are added on the way.
template <int Dilation>
inline void write_row(const Segment& s, int dilation, const float (*from)[kRun], float bias, const float* more, bool relu,
                      int width, float* row) {
  const int d = Dilation ? Dilation : dilation, step = kStep * d;
  const auto put = [&](int j, int b) {
    const int at = s.x + j * step + b * d;
    const float value = from[b][s.begin + j] + bias + (more ? more[at] : 0);
    row[at] = relu && value < 0 ? 0 : value;  // a NaN stays one
  };
  const int fit = fitting(s, step, 3 * d, width);
  if (more) {
    for (int j = 0; j < fit; ++j)
      for (int b = 0; b < kStep; ++b) put(j, b);
  } else {
    for (int j = 0; j < fit; ++j)
      for (int b = 0; b < kStep; ++b) {
        const float value = from[b][s.begin + j] + bias;
        row[s.x + j * step + b * d] = relu && value < 0 ? 0 : value;
      }
  }
  for (int j = fit; j < s.count; ++j)
    for (int b = 0; b < kStep && s.x + j * step + b * d < width; ++b) put(j, b);
}

// x (batch, channels, height, width) -> out (36, channels, tiles)
inline void winograd_input(const WinogradGeometry& g, const float* x, float* out) {
  const int64_t plane = int64_t(g.height) * g.width, tiles = g.tiles_per_image(), all = g.tiles_in_all();
  const int d = g.dilation;
#pragma omp parallel for schedule(static)
  for (int64_t map = 0; map < g.batch * g.channels; ++map) {
    const int64_t n = map / g.channels, c = map % g.channels;
    const float* const image = x + map * plane;
    alignas(64) float pixels[kTile][kTile][kRun], half[kTile][kTile][kRun];
    for (int64_t first = 0; first < tiles; first += kRun) {
      const int count = static_cast<int>(std::min<int64_t>(kRun, tiles - first));
      each_segment(g, first, count, [&](const Segment& s) {
        for (int r = 0; r < kTile; ++r) {
          const int y = s.y + (r - 1) * d;
          if (y < 0 || y >= g.height) {
            for (int k = 0; k < kTile; ++k) std::fill_n(pixels[r][k] + s.begin, s.count, 0.0f);
            continue;
          }
          (d == 1 ? read_row<1> : read_row<0>)(s, d, image + int64_t(y) * g.width, g.width, pixels[r]);
        }
      });
      for (int k = 0; k < kTile; ++k)
        transform(kInputMatrix, pixels[0][k], kTile * kRun, half[0][k], kTile * kRun, count);
      float* const target = out + c * all + n * tiles + first;
      const int64_t stride = g.channels * all;
      for (int i = 0; i < kTile; ++i)
        transform(kInputMatrix, half[i][0], kRun, target + i * kTile * stride, stride, count);
    }
  }
}

// products (36, channels, tiles), bias (channels,), perhaps residual (batch, channels, height, width), which is
// added -> out (batch, channels, height, width)
inline void winograd_output(const WinogradGeometry& g, const float* products, const float* bias, const float* residual,
                            bool relu, float* out) {
  const int64_t plane = int64_t(g.height) * g.width, tiles = g.tiles_per_image(), all = g.tiles_in_all();
  const int d = g.dilation;
#pragma omp parallel for schedule(static)
  for (int64_t map = 0; map < g.batch * g.channels; ++map) {
    const int64_t n = map / g.channels, c = map % g.channels, stride = g.channels * all;
    float* const image = out + map * plane;
    const float* const more = residual ? residual + map * plane : nullptr;
    alignas(64) float half[kStep][kTile][kRun], pixels[kStep][kStep][kRun];
    for (int64_t first = 0; first < tiles; first += kRun) {
      const int count = static_cast<int>(std::min<int64_t>(kRun, tiles - first));
      const float* const source = products + c * all + n * tiles + first;
      for (int k = 0; k < kTile; ++k)
        transform(kOutputMatrix, source + k * stride, kTile * stride, half[0][k], kTile * kRun, count);
      for (int i = 0; i < kStep; ++i) transform(kOutputMatrix, half[i][0], kRun, pixels[i][0], kRun, count);
      each_segment(g, first, count, [&](const Segment& s) {
        for (int a = 0; a < kStep && s.y + a * d < g.height; ++a) {
          const int64_t begin = int64_t(s.y + a * d) * g.width;
          (d == 1 ? write_row<1> : write_row<0>)(s, d, pixels[a], bias[c], more ? more + begin : nullptr, relu, g.width,
                                                 image + begin);
        }
      });
    }
  }
}

}  // namespace cpu
}  // namespace mxnetseg
