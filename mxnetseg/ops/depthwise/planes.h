// Convolutions with a kernel of its own for each channel, and their gradients, plane by plane.
//
// A plane is copied with its padding first, its columns sorted by column % stride, so that every tap of the kernel is a
// product of rows. Then blocks of eight rows by one vector stay in registers while all taps go by.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "../simd.h"

namespace mxnetseg {
namespace cpu {

// Of rows, or of columns.
struct DepthwiseSide {
  int size, kernel, stride, pad, dilation;
  int reach() const { return dilation * (kernel - 1); }
  int out() const { return (size + 2 * pad - reach() - 1) / stride + 1; }
};

struct DepthwiseGeometry {
  int64_t images, channels;
  DepthwiseSide down, across;
  int taps() const { return down.kernel * across.kernel; }
  int64_t plane() const { return int64_t(down.size) * across.size; }
  int64_t out_plane() const { return int64_t(down.out()) * across.out(); }
};

constexpr int kRows = 8;

// A plane amid zeros. Vectors of any row that begin within `columns` may be read to their end.
template <typename T>
class PaddedPlane {
 public:
  PaddedPlane(int64_t rows, int64_t columns, int phases)
      : phases_(phases), pitch_((columns + phases - 1) / phases + 2 * Simd<T>::lanes), size_(rows * phases * pitch_) {}

  int64_t size() const { return size_; }
  int64_t row() const { return phases_ * pitch_; }
  int64_t at(int64_t row, int64_t column) const {
    return (row * phases_ + column % phases_) * pitch_ + column / phases_;
  }
  const T* data() const { return data_; }

  // Memory of size() numbers. All that no `copy` reaches stays zero.
  void use(T* memory) {
    data_ = memory;
    std::fill(data_, data_ + size_, T(0));
  }

  // Row y and column x of `from` come to (top + down * y, left + across * x). Several phases: `across` is 1.
  void copy(const T* from, int height, int width, int top, int left, int down = 1, int across = 1) {
    for (int y = 0; y < height; ++y, from += width)
      for (int first = 0; first < phases_ && first < width; ++first) {
        T* to = data_ + at(top + int64_t(down) * y, left + first);
        for (int x = first; x < width; x += phases_, to += across) *to = from[x];
      }
  }

 private:
  int phases_;
  int64_t pitch_, size_;
  T* data_ = nullptr;
};

// Where each tap of the kernel begins to read, in a padded plane.
template <typename T>
std::vector<int64_t> tap_starts(const DepthwiseGeometry& g, const PaddedPlane<T>& plane) {
  std::vector<int64_t> starts;
  for (int i = 0; i < g.down.kernel; ++i)
    for (int j = 0; j < g.across.kernel; ++j) starts.push_back(plane.at(i * g.down.dilation, j * g.across.dilation));
  return starts;
}

// One block of rows, one vector wide: the sum of all taps.
template <typename T, int rows>
void correlate_block(const T* from, int64_t step, const std::vector<int64_t>& starts, const T* weights, T first, T* to,
                     int width, int filled) {
  typename Simd<T>::vector sums[rows];
  for (int r = 0; r < rows; ++r) sums[r] = first - typename Simd<T>::vector{};
  for (size_t tap = 0; tap < starts.size(); ++tap) {
    const T weight = weights[tap];
    const T* const row = from + starts[tap];
    for (int r = 0; r < rows; ++r) sums[r] += weight * load(row + r * step);
  }
  for (int r = 0; r < rows; ++r) {
    if (filled == Simd<T>::lanes)
      store(to + int64_t(r) * width, sums[r]);
    else
      std::memcpy(to + int64_t(r) * width, &sums[r], filled * sizeof(T));
  }
}

// to (height, width): the sum of `first` and of weights times what each tap sees; `step`: from row to row.
template <typename T>
void correlate(const PaddedPlane<T>& plane, int64_t step, const std::vector<int64_t>& starts, const T* weights, T first,
               T* to, int height, int width) {
  constexpr int lanes = Simd<T>::lanes;
  const int filled = std::min(width, lanes);
  for (int y = 0; y < height;) {
    const int left = height - y, rows = left >= kRows ? kRows : left >= 4 ? 4 : left >= 2 ? 2 : 1;
    for (int column = 0; column < width; column += lanes) {
      const int x = std::min(column, width - filled);  // the last vector may overlap the one before
      const T* const from = plane.data() + y * step + x;
      T* const target = to + int64_t(y) * width + x;
      if (rows == kRows)
        correlate_block<T, kRows>(from, step, starts, weights, first, target, width, filled);
      else if (rows == 4)
        correlate_block<T, 4>(from, step, starts, weights, first, target, width, filled);
      else if (rows == 2)
        correlate_block<T, 2>(from, step, starts, weights, first, target, width, filled);
      else
        correlate_block<T, 1>(from, step, starts, weights, first, target, width, filled);
    }
    y += rows;
  }
}

// sums[tap] += the gradient times what the tap sees; the last of sums: the gradient itself.
template <typename T>
void gradient_sums(const PaddedPlane<T>& plane, int64_t step, const std::vector<int64_t>& starts,
                   const PaddedPlane<T>& gradient, int height, int width, typename Simd<T>::vector* sums) {
  typedef typename Simd<T>::vector vector;
  for (int y = 0; y < height; y += kRows)  // below the last row the gradient is zero
    for (int x = 0; x < width; x += Simd<T>::lanes) {
      vector of_rows[kRows];
      for (int r = 0; r < kRows; ++r) {
        of_rows[r] = load(gradient.data() + gradient.at(y + r, x));
        sums[starts.size()] += of_rows[r];
      }
      const T* const from = plane.data() + y * step + x;
      for (size_t tap = 0; tap < starts.size(); ++tap) {
        const T* const row = from + starts[tap];
        vector sum = sums[tap];
        for (int r = 0; r < kRows; ++r) sum += of_rows[r] * load(row + r * step);
        sums[tap] = sum;
      }
    }
}

// The input with its padding. `kRows - 1` rows more, for blocks of rows that end below the last.
template <typename T>
PaddedPlane<T> padded_input(const DepthwiseGeometry& g) {
  const int64_t rows = g.down.size + 2 * g.down.pad + g.down.stride * (kRows - 1);
  return {rows, g.across.size + 2 * g.across.pad, g.across.stride};
}

// bias may be null.
template <typename T>
int64_t depthwise_workspace(const DepthwiseGeometry& g) {
  return threads() * padded_input<T>(g).size();
}

template <typename T>
void depthwise(const DepthwiseGeometry& g, const T* x, const T* weight, const T* bias, T* y, T* workspace) {
#pragma omp parallel
  {
    PaddedPlane<T> input = padded_input<T>(g);
    input.use(workspace + thread() * input.size());
    const std::vector<int64_t> starts = tap_starts(g, input);
    const int64_t step = g.down.stride * input.row();
#pragma omp for schedule(static)
    for (int64_t i = 0; i < g.images * g.channels; ++i) {
      const int64_t channel = i % g.channels;
      input.copy(x + i * g.plane(), g.down.size, g.across.size, g.down.pad, g.across.pad);
      correlate(input, step, starts, weight + channel * g.taps(), bias ? bias[channel] : T(0), y + i * g.out_plane(),
                g.down.out(), g.across.out());
    }
  }
}

// Three planes: the input, the gradient as it is, and with zeros in between where there is a stride.
template <typename T>
struct DepthwiseScratch {
  explicit DepthwiseScratch(const DepthwiseGeometry& g)
      : input(padded_input<T>(g)),
        gradient(g.down.out() + kRows - 1, g.across.out(), 1),
        spread(g.down.size + g.down.reach(), g.across.size + g.across.reach(), 1) {}
  int64_t size() const { return input.size() + gradient.size() + spread.size(); }
  void use(T* memory) {
    input.use(memory);
    gradient.use(memory + input.size());
    spread.use(memory + input.size() + gradient.size());
  }
  PaddedPlane<T> input, gradient, spread;
};

template <typename T>
int64_t depthwise_gradients_workspace(const DepthwiseGeometry& g) {
  return threads() * DepthwiseScratch<T>(g).size();
}

// Of x, weight and, unless it is null, bias. Each channel is one thread's, so sums don't depend on their number.
template <typename T>
void depthwise_gradients(const DepthwiseGeometry& g, const T* of_y, const T* x, const T* weight, T* of_x, T* of_weight,
                         T* of_bias, T* workspace) {
  const int taps = g.taps(), height = g.down.out(), width = g.across.out();
#pragma omp parallel
  {
    DepthwiseScratch<T> scratch(g);
    scratch.use(workspace + thread() * scratch.size());
    const std::vector<int64_t> starts = tap_starts(g, scratch.input), back = tap_starts(g, scratch.spread);
    std::vector<T> mirrored(taps);
#pragma omp for schedule(dynamic)
    for (int64_t channel = 0; channel < g.channels; ++channel) {
      std::reverse_copy(weight + channel * taps, weight + (channel + 1) * taps, mirrored.begin());
      std::vector<typename Simd<T>::vector> sums(taps + 1);
      for (int64_t image = 0; image < g.images; ++image) {
        const int64_t i = image * g.channels + channel;
        const T* const given = of_y + i * g.out_plane();
        scratch.input.copy(x + i * g.plane(), g.down.size, g.across.size, g.down.pad, g.across.pad);
        scratch.gradient.copy(given, height, width, 0, 0);
        gradient_sums(scratch.input, g.down.stride * scratch.input.row(), starts, scratch.gradient, height, width,
                      sums.data());
        scratch.spread.copy(given, height, width, g.down.reach() - g.down.pad, g.across.reach() - g.across.pad,
                            g.down.stride, g.across.stride);
        correlate(scratch.spread, scratch.spread.row(), back, mirrored.data(), T(0), of_x + i * g.plane(), g.down.size,
                  g.across.size);
      }
      for (int tap = 0; tap < taps; ++tap) of_weight[channel * taps + tap] = sum<T>(sums[tap]);
      if (of_bias) of_bias[channel] = sum<T>(sums[taps]);
    }
  }
}

}  // namespace cpu
}  // namespace mxnetseg
