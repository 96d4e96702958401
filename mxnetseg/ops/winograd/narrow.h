// Winograd's 3x3 convolution of few channels and filters. A thread takes a few tiles through all steps, while they are in
// its own cache: how long it takes through caches that are shared depends on what others do there.
#pragma once

#include "products.h"

namespace mxnetseg {
namespace cpu {

struct NarrowPlan {
  static constexpr int kTiles = 16;      // about so many at once, where every thread has as many
  static constexpr int kMostPairs = 64;  // of blocks of channels and of filters: more, and the filters take too much

  int channel_blocks, filter_blocks;
  int columns_at_once, spans_per_line;
  int64_t spans_at_once, tiles_at_once;
  int64_t strip;

  NarrowPlan(const WinogradGeometry& g, int filters, int threads)
      : channel_blocks(static_cast<int>(blocks_of(g.channels))), filter_blocks(static_cast<int>(blocks_of(filters))) {
    const int tiles = g.lines() * g.line() < int64_t(threads) * kTiles ? kRound : kTiles;
    spans_per_line = std::min(g.columns(), (g.line() + tiles - 1) / tiles);
    columns_at_once = (g.columns() + spans_per_line - 1) / spans_per_line;
    spans_per_line = (g.columns() + columns_at_once - 1) / columns_at_once;
    const int of_span = g.dilation * columns_at_once;
    spans_at_once = std::max(1, tiles / of_span);
    tiles_at_once = rounded(spans_at_once * of_span);
    strip = g.strip(columns_at_once);
  }
  static bool serves(const WinogradGeometry& g, int filters, int threads) {
    return blocks_of(g.channels) * blocks_of(filters) <= kMostPairs && g.lines() * g.line() >= int64_t(threads) * kRound;
  }
  int64_t spans(const WinogradGeometry& g) const { return g.lines() * spans_per_line; }
  // Not a power of two, as in WidePlan.
  int64_t tiles_apart() const { return (channel_blocks * tiles_at_once + 1) * kLanes; }
  int64_t products_apart() const { return (filter_blocks * tiles_at_once + 1) * kLanes; }
  int64_t filters_apart(const WinogradGeometry& g) const { return (int64_t(filter_blocks) * g.channels + 1) * kLanes; }
  int64_t of_thread() const { return kProducts * (tiles_apart() + products_apart()) + strip; }
  int64_t scratch(const WinogradGeometry& g, int threads) const {
    return kProducts * filters_apart(g) + threads * of_thread();
  }
};

// As `winograd_wide`.
template <class Layer>
void winograd_narrow(const WinogradGeometry& g, Layer layer, float* scratch, int threads) {
  typedef typename Layer::Number Number;
  static_assert(sizeof(Number) == sizeof(float), "both are in one scratch");
  const NarrowPlan plan(g, layer.filters, threads);
  const int64_t block = plan.tiles_at_once * kLanes, spans = plan.spans(g);
  const int64_t tiles_apart = plan.tiles_apart(), products_apart = plan.products_apart();
  const int64_t filters_apart = plan.filters_apart(g);
  Number* const transformed = reinterpret_cast<Number*>(scratch);  // (36, blocks of filters, channels, kLanes)
#pragma omp parallel num_threads(threads) firstprivate(layer)
  {
    float* const of_thread = scratch + kProducts * filters_apart + thread() * plan.of_thread();
    Number* const tiles = reinterpret_cast<Number*>(of_thread);
    float* const products = of_thread + kProducts * tiles_apart;
    float* const strip = products + kProducts * products_apart;
    layer.prepare(0, plan.filter_blocks, 0, g.channels);
#pragma omp for schedule(static)
    for (int i = 0; i < plan.filter_blocks * g.channels; ++i)
      layer.read_filter(i / g.channels, i % g.channels, transformed + int64_t(i) * kLanes, filters_apart);
#pragma omp for schedule(dynamic)
    for (int64_t first = 0; first < spans; first += plan.spans_at_once) {
      const int64_t last = std::min(spans, first + plan.spans_at_once);
      const auto each = [&](auto body) {
        for (int64_t i = first, at = 0; i < last; ++i) {
          const int64_t line = i / plan.spans_per_line;
          const int column = static_cast<int>(i % plan.spans_per_line) * plan.columns_at_once;
          const Span span{line % g.lines_per_image(), column, std::min(plan.columns_at_once, g.columns() - column)};
          body(line / g.lines_per_image(), span, at);
          at += g.dilation * span.count * kLanes;
        }
      };
      each([&](int64_t n, const Span& span, int64_t at) {
        for (int c = 0; c < plan.channel_blocks; ++c)
          layer.read(g, n, c * kLanes, span, reinterpret_cast<Number*>(strip), tiles + c * block + at, tiles_apart);
      });
      for (int k = 0; k < kProducts; ++k)
        for (int64_t tile = 0; tile < plan.tiles_at_once; tile += kRows)
          for (int begin = 0; begin < g.channels; begin += kDepth) {
            const Rows<kLanes, 1, Number> rows{tiles + k * tiles_apart + begin / kLanes * block + tile * kLanes, kLanes,
                                               block};
            const int depth = std::min(kDepth, g.channels - begin);
            for (int f = 0; f < plan.filter_blocks; f += kPanels)
              (plan.filter_blocks - f < kPanels ? multiply<1, kLanes, 1, Number> : multiply<kPanels, kLanes, 1, Number>)(
                  rows, transformed + k * filters_apart + (int64_t(f) * g.channels + begin) * kLanes,
                  int64_t(g.channels) * kLanes, depth, begin > 0,
                  products + k * products_apart + f * block + tile * kLanes, kLanes, block);
          }
      each([&](int64_t n, const Span& span, int64_t at) {
        for (int f = 0; f < plan.filter_blocks; ++f)
          layer.write(g, n, f, span, products + f * block + at, products_apart, strip);
      });
    }
  }
}

}  // namespace cpu
}  // namespace mxnetseg
