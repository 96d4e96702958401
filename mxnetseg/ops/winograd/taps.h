// A 3x3 convolution and its gradient by the definition, tap by tap. A tap of a wide dilation meets much padding, and is
// worked out only where it meets pixels; Winograd's tiles would hold little else than padding.
#pragma once

#include "floats.h"

namespace mxnetseg {
namespace cpu {

// The pixels, of a map's rows or columns, of which a tap reads the one `shift` further.
struct Met {
  int begin, end;
  Met(int size, int shift) : begin(std::max(0, -shift)), end(std::min(size, size - shift)) {}
  int count() const { return std::max(0, end - begin); }
};

// Pixels that taps meet.
inline int64_t taps_products(const WinogradGeometry& g) {
  const auto met = [&](int size) { return size + 2 * Met(size, g.dilation).count(); };
  return g.batch * met(g.height) * met(g.width);
}

// How the work is cut: images by blocks of filters, which are added up over some channels after the others.
struct TapsPlan {
  static constexpr int64_t kMostPixels = 4096;  // of images at once, where there are several

  int groups, pairs, depth, parts;
  int64_t images, pixels;  // at once

  TapsPlan(const WinogradGeometry& g, int filters, int threads)
      : groups(static_cast<int>(blocks_of(filters))), pairs((groups + kPanels - 1) / kPanels),
        depth(std::min(g.channels, kDepth)), images(std::max<int64_t>(1, std::min(g.batch, kMostPixels / g.plane()))),
        pixels(images * g.plane() + kRows) {  // the last rows of a product may be none
    parts = static_cast<int>(std::min<int64_t>((2 * threads + pairs - 1) / pairs, images * g.height));
  }
  int64_t of_thread() const { return int64_t(kPanels) * kLanes * (depth + kRows); }
  int64_t scratch(int threads) const { return (blocks_of(depth) + groups) * pixels * kLanes + threads * of_thread(); }
};

// As `winograd_wide`.
template <class Filters>
void convolve_by_taps(const WinogradGeometry& g, FloatLayer<Filters> layer, float* scratch, int threads) {
  const int filters = layer.filters;
  const TapsPlan plan(g, filters, threads);
  const int64_t block = plan.pixels * kLanes;
  float* const inputs = scratch;                               // (blocks of channels, images, pixels, kLanes)
  float* const sums = inputs + blocks_of(plan.depth) * block;  // (groups, images, pixels, kLanes)
  float* const of_threads = sums + plan.groups * block;
#pragma omp parallel num_threads(threads) firstprivate(layer)
  for (int64_t first = 0; first < g.batch; first += plan.images) {
    float* const panels = of_threads + thread() * plan.of_thread();       // (kPanels, depth, kLanes), of a tap
    float* const rest = panels + int64_t(kPanels) * kLanes * plan.depth;  // (kPanels, kRows, kLanes)
    const int64_t rows = std::min(plan.images, g.batch - first) * g.height;
    for (int begin = 0; begin < g.channels; begin += plan.depth) {
      const int depth = std::min(plan.depth, g.channels - begin);
      layer.prepare(0, plan.groups, begin, depth);
#pragma omp for schedule(static)
      for (int64_t item = 0; item < rows * blocks_of(depth); ++item) {
        const int64_t row = item % rows, c = item / rows * kLanes, n = first + row / g.height;
        read_row(g, layer.x + ((n * g.channels + begin + c) * g.height + row % g.height) * g.width,
                 std::min<int>(kLanes, depth - c), 0, g.width, inputs + item / rows * block + row * g.width * kLanes);
      }
#pragma omp for schedule(dynamic)
      for (int item = 0; item < plan.pairs * plan.parts; ++item) {
        const int group = item / plan.parts * kPanels, count = std::min(kPanels, plan.groups - group);
        const int64_t part = item % plan.parts, from = rows * part / plan.parts, to = rows * (part + 1) / plan.parts;
        for (int order = 0; order < 9; ++order) {
          const int tap = (order + 4) % 9;  // the one in the middle first: it meets every pixel
          const int down = (tap / kTaps - 1) * g.dilation, right = (tap % kTaps - 1) * g.dilation;
          const Met high(g.height, down), wide(g.width, right);
          if (!high.count() || !wide.count()) continue;
          for (int i = 0; i < count; ++i)
            for (int c = 0; c < depth; ++c)
              std::copy_n(layer.filter(group + i, begin + c) + tap * kLanes, kLanes, panels + (i * depth + c) * kLanes);
          const bool add = begin > 0 || order > 0;
          for (int64_t row = from; row < to; ++row) {
            const int y = row % g.height;
            if (y < high.begin || y >= high.end) continue;
            for (int left = wide.begin; left < wide.end; left += kRows) {
              const Rows<kLanes, 1> pixels{inputs + ((row + down) * g.width + left + right) * kLanes, kLanes, block};
              float* const sum = sums + group * block + (row * g.width + left) * kLanes;
              const auto product = count < kPanels ? multiply<1, kLanes, 1> : multiply<kPanels, kLanes, 1>;
              if (left + kRows <= wide.end) {
                product(pixels, panels, int64_t(depth) * kLanes, depth, add, sum, kLanes, block);
                continue;
              }
              product(pixels, panels, int64_t(depth) * kLanes, depth, false, rest, kLanes, kRows * kLanes);
              for (int i = 0; i < count; ++i)
                for (int64_t k = 0; k < (wide.end - left) * kLanes; ++k)
                  sum[i * block + k] = rest[i * kRows * kLanes + k] + (add ? sum[i * block + k] : 0);
            }
          }
        }
      }
    }
#pragma omp for schedule(static)
    for (int64_t item = 0; item < rows * plan.groups; ++item) {
      const int64_t row = item % rows, group = item / rows, f = group * kLanes;
      const int64_t to = (((first + row / g.height) * filters + f) * g.height + row % g.height) * g.width;
      write_pixels(sums + group * block + row * g.width * kLanes, g.plane(), g.width, layer.bias + f,
                   layer.residual ? layer.residual + to : nullptr, layer.least, std::min<int>(kLanes, filters - f),
                   layer.out + to);
    }
  }
}

// How the work of the filters' gradient is cut: items of blocks of channels by blocks of filters.
struct TapsGradientPlan {
  static constexpr int kMostFilters = 8;  // blocks of an item
  static constexpr int kLength = 256;     // pixels that are added up at once, about

  int64_t filter_blocks, pairs, chunks;
  int64_t images, pixels;  // at once, of an image

  TapsGradientPlan(const WinogradGeometry& g, int filters)
      : filter_blocks(blocks_of(filters)), pairs((blocks_of(g.channels) + kPanels - 1) / kPanels),
        chunks((filter_blocks + kMostFilters - 1) / kMostFilters),
        images(std::max<int64_t>(1, std::min(g.batch, TapsPlan::kMostPixels / g.plane()))), pixels(g.plane()) {}
  int64_t sums() const { return int64_t(9) * kMostFilters * kLanes * kPanels * kLanes; }
  int64_t of_thread() const { return 2 * kPanels * pixels * kLanes + sums(); }
  int64_t scratch(int threads) const { return filter_blocks * images * pixels * kLanes + threads * of_thread(); }
};

// As `winograd_weight_gradient`.
inline void weight_gradient_by_taps(const WinogradGeometry& g, int filters, const float* x, const float* dy,
                                    float* scratch, int threads, float* weight) {
  const TapsGradientPlan plan(g, filters);
  const int64_t plane = plan.pixels * kLanes, block = plan.images * plane;
  float* const outputs = scratch;  // (blocks of filters, images, pixels, kLanes)
#pragma omp parallel num_threads(threads)
  for (int64_t first = 0; first < g.batch; first += plan.images) {
    float* const inputs = outputs + plan.filter_blocks * block + thread() * plan.of_thread();  // (kPanels, pixels, kLanes)
    float* const met = inputs + kPanels * plane;  // those of a tap, side by side
    float* const sums = met + kPanels * plane;    // (9, filters, kPanels, kLanes)
    const int64_t images = std::min(plan.images, g.batch - first), rows = images * g.height;
#pragma omp for schedule(static)
    for (int64_t item = 0; item < rows * plan.filter_blocks; ++item) {
      const int64_t row = item % rows, f = item / rows * kLanes, n = first + row / g.height;
      read_row(g, dy + ((n * filters + f) * g.height + row % g.height) * g.width, std::min<int>(kLanes, filters - f), 0,
               g.width, outputs + item / rows * block + row * g.width * kLanes);
    }
#pragma omp for schedule(dynamic)
    for (int64_t item = 0; item < plan.pairs * plan.chunks; ++item) {
      const int64_t channel = item / plan.chunks * kPanels * kLanes, f = item % plan.chunks * plan.kMostFilters * kLanes;
      const int64_t some = std::min<int64_t>(plan.kMostFilters * kLanes, plan.filter_blocks * kLanes - f);
      std::fill_n(sums, plan.sums(), 0.0f);
      for (int64_t n = 0; n < images; ++n) {
        for (int i = 0; i < kPanels; ++i)
          for (int y = 0; y < g.height; ++y)
            read_row(g, x + (((first + n) * g.channels + channel + i * kLanes) * g.height + y) * g.width,
                     static_cast<int>(std::max<int64_t>(0, std::min<int64_t>(kLanes, g.channels - channel - i * kLanes))),
                     0, g.width, inputs + i * plane + int64_t(y) * g.width * kLanes);
        for (int tap = 0; tap < 9; ++tap) {
          const int down = (tap / kTaps - 1) * g.dilation, right = (tap % kTaps - 1) * g.dilation;
          const Met high(g.height, down), wide(g.width, right);
          const int across = wide.count();
          if (!high.count() || !across) continue;
          for (int i = 0; i < kPanels; ++i)
            for (int y = 0; y < high.count(); ++y)
              std::copy_n(inputs + i * plane + (int64_t(y + high.begin + down) * g.width + wide.begin + right) * kLanes,
                          across * kLanes, met + i * plane + int64_t(y) * across * kLanes);
          const int most = std::max(1, plan.kLength / across);
          for (int y = 0; y < high.count(); y += most) {
            const int length = std::min(most, high.count() - y) * across;
            for (int64_t row = 0; row < some; row += kRows) {
              const float* const from = outputs + (f + row) / kLanes * block + n * plane + row % kLanes +
                                        (int64_t(y + high.begin) * g.width + wide.begin) * kLanes;
              multiply<kPanels>(Rows<1, kLanes>{from, across, int64_t(g.width) * kLanes},
                                met + int64_t(y) * across * kLanes, plane, length, true,
                                sums + (tap * some + row) * kPanels * kLanes, kPanels * kLanes, kLanes);
            }
          }
        }
      }
      for (int64_t row = 0; row < std::min(some, filters - f); ++row)
        for (int64_t lane = 0; lane < std::min<int64_t>(kPanels * kLanes, g.channels - channel); ++lane)
          for (int tap = 0; tap < 9; ++tap) {
            float& to = weight[((f + row) * g.channels + channel + lane) * 9 + tap];
            to = sums[((tap * some + row) * kPanels) * kLanes + lane] + (first > 0 ? to : 0);
          }
    }
  }
}

}  // namespace cpu
}  // namespace mxnetseg
