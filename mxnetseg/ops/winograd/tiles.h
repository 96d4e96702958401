// Winograd's 3x3 convolution, F(4x4, 3x3), before and behind its matrix products: tiles of 6x6 pixels, at every 4th,
// become 36 numbers each, and so does a filter; products of these become 4x4 pixels. https://arxiv.org/abs/1509.09308
//
// Tiles lie side by side, so that vectors run over tiles. A dilated convolution is one on each of the
// dilation x dilation images that hold every dilation-th pixel. Tiles are in the order image, first row of the
// subsampled image, row of tiles, first column, column of tiles.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

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
constexpr int kRun = 32;  // tiles worked on together: 36 numbers of each stay in the first-level cache
constexpr int kLanes = 16;  // filters that lie side by side

constexpr float kInputMatrix[kTile][kTile] = {{4, 0, -5, 0, 1, 0},  {0, -4, -4, 1, 1, 0}, {0, 4, -4, -1, 1, 0},
                                        {0, -2, -1, 2, 1, 0}, {0, 2, -1, -2, 1, 0}, {0, 4, 0, -5, 0, 1}};
constexpr float kFilterMatrix[kTile][3] = {{1.0f / 4, 0, 0},
                                           {-1.0f / 6, -1.0f / 6, -1.0f / 6},
                                           {-1.0f / 6, 1.0f / 6, -1.0f / 6},
                                           {1.0f / 24, 1.0f / 12, 1.0f / 6},
                                           {1.0f / 24, -1.0f / 12, 1.0f / 6},
                                           {0, 0, 1}};
constexpr float kOutputMatrix[kStep][kTile] = {
    {1, 1, 1, 1, 1, 0}, {0, 1, -1, 2, -2, 0}, {0, 1, 1, 4, 4, 0}, {0, 1, -1, 8, -8, 1}};

// to[i] = sum over k of matrix[i][k] * from[k], for Count things side by side; [i] and [k] are so many numbers apart.
template <int Count, int Rows, int Columns>
inline void transform(const float (&matrix)[Rows][Columns], const float* from, int64_t apart, float* to,
                      int64_t to_apart) {
#pragma omp simd
  for (int j = 0; j < Count; ++j) {
    float value[Columns];
#pragma GCC unroll 8
    for (int k = 0; k < Columns; ++k) value[k] = from[k * apart + j];
#pragma GCC unroll 8
    for (int i = 0; i < Rows; ++i) {
      float sum = 0;
#pragma GCC unroll 8
      for (int k = 0; k < Columns; ++k)
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

// (tile, pixel) <-> (pixel, tile), of four each.
typedef Simd<float>::quarter Quad;
struct Quads {
  Quad of[kStep];
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
  for (int i = 0; i < kStep; ++i)
    for (int j = 0; j < kStep; ++j) result.of[i][j] = q.of[j][i];
  return result;
#endif
}

// One row of pixels of the tiles of a segment: every pixel's number of all tiles lies together.
inline void read_row(const Segment& s, int d, const float* row, int width, float (*to)[kRun]) {
  const auto careful = [&](int k, int j) {
    const int column = s.x + (j * kStep + k - 1) * d;
    to[k][s.begin + j] = column >= 0 && column < width ? row[column] : 0;
  };
  if (d > 1) {
    const int step = kStep * d, first = s.x < d ? 1 : 0, fit = std::max(first, fitting(s, step, kStep * d, width));
    const float* const from = row + s.x - d;
    for (int k = 0; k < kTile; ++k) {
      if (first) careful(k, 0);
      for (int j = first; j < fit; ++j) to[k][s.begin + j] = from[j * step + k * d];
      for (int j = fit; j < s.count; ++j) careful(k, j);
    }
    return;
  }
  int j = 0;
  for (const float* from = row + s.x; j + kStep <= s.count && s.x + (j + kStep) * kStep <= width; j += kStep) {
    Quads quads;
    for (int i = 0; i < kStep; ++i) quads.of[i] = load_quad(from + (j + i) * kStep);
    quads = transposed(quads);
    for (int i = 0; i < kStep; ++i) std::memcpy(to[i + 1] + s.begin + j, &quads.of[i], sizeof(Quad));
  }
  for (; j < s.count; ++j)
    for (int k = 1; k <= kStep; ++k) careful(k, j);
  // neighbouring tiles share the others
  careful(0, 0);
  careful(kTile - 1, s.count - 1);
  for (j = 1; j < s.count; ++j) {
    to[0][s.begin + j] = to[kStep][s.begin + j - 1];
    to[kTile - 1][s.begin + j - 1] = to[1][s.begin + j];
  }
}

// The reverse for a row of results, of which each tile has 4; bias and residual are added on the way,
// and what is below `least` becomes that.
inline void write_row(const Segment& s, int d, const float (*from)[kRun], float bias, const float* more, float least,
                      int width, float* row) {
  const auto put = [&](int j, int i) {
    const int at = s.x + (j * kStep + i) * d;
    const float value = from[i][s.begin + j] + bias + (more ? more[at] : 0);
    row[at] = value < least ? least : value;  // a NaN stays one
  };
  int j = 0;
  if (d == 1)
    for (; j + kStep <= s.count && s.x + (j + kStep) * kStep <= width; j += kStep) {
      Quads quads;
      for (int i = 0; i < kStep; ++i) quads.of[i] = load_quad(from[i] + s.begin + j);
      quads = transposed(quads);
      for (int i = 0; i < kStep; ++i) {
        const int at = s.x + (j + i) * kStep;
        Quad value = quads.of[i] + bias;
        if (more) value += load_quad(more + at);
        value = value < least ? Quad{} + least : value;
        std::memcpy(row + at, &value, sizeof value);
      }
    }
  for (const int fit = fitting(s, kStep * d, (kStep - 1) * d, width); j < fit; ++j)
    for (int i = 0; i < kStep; ++i) put(j, i);
  for (; j < s.count; ++j)
    for (int i = 0; i < kStep && s.x + (j * kStep + i) * d < width; ++i) put(j, i);
}

// Tiles `first` ... first + count of an image (height, width): out[k] is number k of each, `apart` numbers apart.
inline void read_tiles(const WinogradGeometry& g, const float* image, int64_t first, int count, float* out,
                       int64_t apart) {
  alignas(64) float pixels[kTile][kTile][kRun], half[kTile][kTile][kRun];
  const int d = g.dilation;
  if (count < kRun) std::memset(pixels, 0, sizeof pixels);
  each_segment(g, first, count, [&](const Segment& s) {
    for (int r = 0; r < kTile; ++r) {
      const int y = s.y + (r - 1) * d;
      if (y < 0 || y >= g.height) {
        for (int k = 0; k < kTile; ++k) std::fill_n(pixels[r][k] + s.begin, s.count, 0.0f);
        continue;
      }
      read_row(s, d, image + int64_t(y) * g.width, g.width, pixels[r]);
    }
  });
  for (int k = 0; k < kTile; ++k) transform<kRun>(kInputMatrix, pixels[0][k], kTile * kRun, half[0][k], kTile * kRun);
  for (int i = 0; i < kTile; ++i) transform<kRun>(kInputMatrix, half[i][0], kRun, out + i * kTile * apart, apart);
}

// The reverse for products[k], `apart` numbers apart: pixels of an image, with bias and residual added.
inline void write_tiles(const WinogradGeometry& g, const float* products, int64_t apart, int64_t first, int count,
                        float bias, const float* residual, float least, float* image) {
  alignas(64) float half[kStep][kTile][kRun], pixels[kStep][kStep][kRun];
  const int d = g.dilation;
  for (int k = 0; k < kTile; ++k)
    transform<kRun>(kOutputMatrix, products + k * apart, kTile * apart, half[0][k], kTile * kRun);
  for (int i = 0; i < kStep; ++i) transform<kRun>(kOutputMatrix, half[i][0], kRun, pixels[i][0], kRun);
  each_segment(g, first, count, [&](const Segment& s) {
    for (int a = 0; a < kStep && s.y + a * d < g.height; ++a) {
      const int64_t begin = int64_t(s.y + a * d) * g.width;
      write_row(s, d, pixels[a], bias, residual ? residual + begin : nullptr, least,
                g.width, image + begin);
    }
  });
}

// weight (9, kLanes), of as many filters: out[k] is number k of each, `apart` numbers apart.
inline void read_filters(const float* weight, float* out, int64_t apart) {
  alignas(64) float half[kTile][3][kLanes];
  for (int k = 0; k < 3; ++k) transform<kLanes>(kFilterMatrix, weight + k * kLanes, 3 * kLanes, half[0][k], 3 * kLanes);
  for (int i = 0; i < kTile; ++i) transform<kLanes>(kFilterMatrix, half[i][0], kLanes, out + i * kTile * apart, apart);
}

}  // namespace cpu
}  // namespace mxnetseg
