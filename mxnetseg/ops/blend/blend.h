// A view of an image, its coarse logits enlarged, made probabilities, resized to the image and added to a sum, in one
// pass. Rows are made one at a time, in tiles of columns whose rows of all classes stay in the second-level cache:
//   coarse logits -> enlarged along x -> a row of the view, softmax -> resized along x -> added to rows of the sum
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "../enlarge.h"

namespace mxnetseg {
namespace cpu {

// How one side of the view lands on one side of the sum (Axis in axis.py): pixel i there is two of the view's, weighted.
struct Axis {
  int count;
  const int32_t* index[2];
  const float* weight[2];

  void range(int begin, int end, int* least, int* most) const {
    *least = *std::min_element(index[0] + begin, index[0] + end);
    *most = *std::max_element(index[0] + begin, index[0] + end);
    *least = std::min(*least, *std::min_element(index[1] + begin, index[1] + end));
    *most = std::max(*most, *std::max_element(index[1] + begin, index[1] + end));
  }
};

constexpr int kBlendFloats = 1 << 17;  // of the rows of a tile: half a megabyte

// One row of the view from the enlarged coarse rows above and below it, [vector][class][lane] each
// -> out, (classes rows of `stride` elements).
inline void view_row(const float* top, const float* bottom, float down, int classes, int vectors, bool softmax,
                     float* value, float* out, int64_t stride) {
  typedef Simd<float>::vector Vector;
  constexpr int lanes = Simd<float>::lanes;
  for (int v = 0; v < vectors; ++v, top += classes * lanes, bottom += classes * lanes, out += lanes) {
    Vector most = load(top) + down * (load(bottom) - load(top)), total = {};
    for (int c = 0; c < classes; ++c) {
      const Vector a = load(top + c * lanes), now = a + down * (load(bottom + c * lanes) - a);
      most = now > most ? now : most;
      store(value + c * lanes, now);
    }
    if (!softmax) {
      for (int c = 0; c < classes; ++c) store(out + c * stride, load(value + c * lanes));
      continue;
    }
    for (int c = 0; c < classes; ++c) store(value + c * lanes, load(value + c * lanes) - most);
    for (int i = 0; i < classes * lanes; ++i) value[i] = exponential(value[i]);
    for (int c = 0; c < classes; ++c) total += load(value + c * lanes);
    const Vector share = 1 / total;
    for (int c = 0; c < classes; ++c) store(out + c * stride, load(value + c * lanes) * share);
  }
}

// logits (g.classes, g.height, g.width) of a view of g.out_height x g.out_width pixels; `total` is the pixel of the sum
// that the first of `rows` and `columns` stand for, with strides `plane` and `line`.
inline void blend(const Enlarging& g, const float* logits, bool softmax, const Axis& rows, const Axis& columns,
                  float* total, int64_t plane, int64_t line, int threads) {
  typedef Simd<float>::vector Vector;
  constexpr int lanes = Simd<float>::lanes;
  const Interpolation<float> y(g.height, g.out_height, g.align_corners), x(g.width, g.out_width, g.align_corners);
  const auto padded = [](int n) { return (n + lanes - 1) / lanes * lanes; };

  // A tile is as wide as kBlendFloats allows. Per class each of its columns has a number in two resized rows, and each
  // column of the view, of which there are `ratio` to one of the tile, in three: two enlarged rows, one of probabilities.
  const double ratio = std::max(1.0, double(g.out_width) / columns.count);
  const int tile = std::max(lanes, static_cast<int>(kBlendFloats / (g.classes * (2 + 3 * ratio))));
  const int tiles = (columns.count + tile - 1) / tile, bands = bands_for(threads, tiles, rows.count / 16);
  int widest = 0;
  for (int first = 0; first < columns.count; first += tile) {
    int least, most;
    columns.range(first, std::min(first + tile, columns.count), &least, &most);
    widest = std::max(widest, most - least + 1);
  }
  const int64_t source = int64_t(g.classes) * padded(widest);
  const int64_t target = int64_t(g.classes) * padded(std::min(tile, columns.count));
  const int64_t own = 3 * source + 2 * target + int64_t(g.classes) * lanes;
  std::vector<float> workspace(own * threads);

#pragma omp parallel for schedule(dynamic) num_threads(threads)
  for (int item = 0; item < tiles * bands; ++item) {
    float* const mine = workspace.data() + thread() * own;
    const int first = item / bands * tile, band = item % bands, count = std::min(tile, columns.count - first);
    int least, most;
    columns.range(first, first + count, &least, &most);
    const int width = most - least + 1;
    const int64_t stride = padded(width), out_stride = padded(count);
    float* const probabilities = mine + 2 * source + 2 * target;
    float* const value = probabilities + source;
    const auto enlarge = [&](int row, float* to) {
      enlarge_row(g, logits + int64_t(row) * g.width, x, least, width, to);
    };
    RowPair enlarged(mine, source, enlarge);
    std::vector<int32_t> low(columns.index[0] + first, columns.index[0] + first + count);
    std::vector<int32_t> high(columns.index[1] + first, columns.index[1] + first + count);
    for (int i = 0; i < count; ++i) low[i] -= least, high[i] -= least;
    const float *left = columns.weight[0] + first, *right = columns.weight[1] + first;
    const auto resize = [&](int row, float* to) {
      const bool same = y.high[row] == y.low[row];
      enlarged.hold(y.low[row], same ? -1 : y.high[row]);
      view_row(enlarged[0], enlarged[same ? 0 : 1], y.weight[row], g.classes, static_cast<int>(stride / lanes), softmax, value,
               probabilities, stride);
      for (int c = 0; c < g.classes; ++c) {
        const float* from = probabilities + c * stride;
        float* const out = to + c * out_stride;
        for (int i = 0; i < count; ++i) out[i] = left[i] * from[low[i]] + right[i] * from[high[i]];
      }
    };
    RowPair resized(mine + 2 * source, target, resize);
    for (int row = band_start(rows.count, band, bands); row < band_start(rows.count, band + 1, bands); ++row) {
      // a pixel without weight may lie outside the view's share
      const float weight[2] = {rows.weight[0][row], rows.weight[1][row]};
      int need[2] = {weight[0] != 0 ? rows.index[0][row] : -1, weight[1] != 0 ? rows.index[1][row] : -1};
      if (need[0] == need[1] && need[0] < 0) continue;
      resized.hold(need[0], need[1]);
      for (int c = 0; c < g.classes; ++c) {
        float* const out = total + c * plane + row * line + first;
        const float *top = resized[0] + c * out_stride, *bottom = resized[1] + c * out_stride;
        int i = 0;
        if (need[0] < 0 || need[1] < 0) {
          const float *only = need[0] < 0 ? bottom : top, share = need[0] < 0 ? weight[1] : weight[0];
          for (; i < count; ++i) out[i] += share * only[i];
          continue;
        }
        for (; i + lanes <= count; i += lanes) {
          const Vector sum = load(out + i) + (weight[0] * load(top + i) + weight[1] * load(bottom + i));
          store(out + i, sum);
        }
        for (; i < count; ++i) out[i] += weight[0] * top[i] + weight[1] * bottom[i];
      }
    }
  }
}

}  // namespace cpu
}  // namespace mxnetseg
