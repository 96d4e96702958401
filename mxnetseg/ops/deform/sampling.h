// The rule by which a map is sampled between its pixels, once for C++ and for CUDA, and the sizes that go with it.
#pragma once

#include <cstdint>

#ifdef __CUDACC__
#define MXNETSEG_CPU_AND_GPU __host__ __device__
#else
#define MXNETSEG_CPU_AND_GPU
#endif

namespace mxnetseg {

constexpr int kWindow = 9;  // samples of a 3x3 window, row by row

struct Geometry {
  int64_t batch;
  int32_t heads, channels;         // channels of one head (attention); of x, with heads 1 (unfold)
  int32_t height, width;           // of the map sampled from
  int32_t out_height, out_width;   // of the map of positions
  int32_t padding, dilation, stride;
  double scale;                    // of the logits (attention)
};

// Where along one axis a window's sample is taken: of the window at `position`, in the `step`-th row or column of it.
template <typename T>
MXNETSEG_CPU_AND_GPU inline T place(const Geometry& g, int position, int step, T displacement) {
  return T(position * g.stride - g.padding + step * g.dilation) + displacement;
}

// Corners, the four pixels around a sample, are in the order top left, top right, bottom left, bottom right. Where a
// sample does not count, and for corners beyond the map, weights are 0; pixels are always valid.
template <typename T>
struct Sample {
  T top, bottom, left, right;                  // bilinear weights along y and x
  T has_top, has_bottom, has_left, has_right;  // 1 where there is such a corner, else 0
  int32_t pixel[4];

  MXNETSEG_CPU_AND_GPU T weight(int corner) const { return (corner < 2 ? top : bottom) * (corner % 2 ? right : left); }
  // how the weight changes along y and x
  MXNETSEG_CPU_AND_GPU T along_y(int corner) const {
    return (corner < 2 ? -has_top : has_bottom) * (corner % 2 ? right : left);
  }
  MXNETSEG_CPU_AND_GPU T along_x(int corner) const {
    return (corner < 2 ? top : bottom) * (corner % 2 ? has_right : -has_left);
  }
};

// The sample at (y, x), which counts where -1 < y < height and -1 < x < width: the bilinear mean of its corners, of
// which those beyond the map are 0. Without branches, so that a loop over samples becomes vector code.
template <typename T>
MXNETSEG_CPU_AND_GPU inline Sample<T> locate(T y, T x, int height, int width) {
  const T zero = 0, one = 1, rows = T(height), columns = T(width);
  // a NaN compares false, and so counts as outside
  const T counts = (y > -one ? one : zero) * (y < rows ? one : zero) * (x > -one ? one : zero) * (x < columns ? one : zero);
  // what does not count has its corners nearby
  y = y > -one ? y : -one;
  x = x > -one ? x : -one;
  y = y < rows ? y : rows;
  x = x < columns ? x : columns;
  int32_t row = int32_t(y), column = int32_t(x);  // towards 0
  row -= T(row) > y ? 1 : 0;
  column -= T(column) > x ? 1 : 0;
  const T down = y - T(row), across = x - T(column);
  Sample<T> s;
  s.has_top = row >= 0 ? counts : zero;
  s.has_bottom = row < height - 1 ? counts : zero;
  s.has_left = column >= 0 ? counts : zero;
  s.has_right = column < width - 1 ? counts : zero;
  s.top = s.has_top * (one - down);
  s.bottom = s.has_bottom * down;
  s.left = s.has_left * (one - across);
  s.right = s.has_right * across;
  const int32_t below = (row + 1 < height - 1 ? row + 1 : height - 1) * width;
  const int32_t beside = column + 1 < width - 1 ? column + 1 : width - 1;
  row = row > 0 ? row : 0;
  column = column > 0 ? column : 0;
  row = (row < height - 1 ? row : height - 1) * width;
  column = column < width - 1 ? column : width - 1;
  s.pixel[0] = row + column;
  s.pixel[1] = row + beside;
  s.pixel[2] = below + column;
  s.pixel[3] = below + beside;
  return s;
}

}  // namespace mxnetseg
