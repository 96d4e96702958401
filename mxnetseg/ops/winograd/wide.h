// Winograd's 3x3 convolution of many channels and filters: lines of tiles by blocks of filters, so that what a block
// needs stays in the caches. A thread works the 36 numbers of a filter out where it needs them, for in memory they take
// four times as much as the filter.
#pragma once

#include "products.h"

namespace mxnetseg {
namespace cpu {

constexpr int kAhead = 6;  // filters that are fetched before they are worked out

// How the work is cut.
struct WidePlan {
  static constexpr int kMostGroups = 4;         // of kLanes filters, in a block
  static constexpr int kMostAtOnce = 64;        // groups whose products are in memory
  static constexpr int64_t kScratch = 2 << 20;  // numbers of tiles and products
  static constexpr int kLeastTiles = 128;       // at once: fewer, and working filters out would take too long

  int64_t lines_at_once, tiles_at_once;
  int groups;     // of filters
  int at_once;    // of these
  int per_block;  // groups of a block
  int blocks;     // of the groups at once
  int parts;      // that the tiles at once are cut into, for many threads
  int depth;
  int64_t strip;

  WidePlan(const WinogradGeometry& g, int filters, int threads) {
    groups = static_cast<int>(blocks_of(filters));
    at_once = std::min(groups, kMostAtOnce);
    depth = std::min(g.channels, kDepth);
    const int64_t of_tile = int64_t(kProducts) * kLanes * (blocks_of(depth) + at_once);
    const int64_t tiles = std::max<int64_t>(kLeastTiles, kScratch / of_tile);
    const int64_t most = std::max<int64_t>(1, tiles / g.line()), times = (g.lines() + most - 1) / most;
    lines_at_once = (g.lines() + times - 1) / times;
    tiles_at_once = rounded(lines_at_once * g.line());
    const int turns = (at_once + kMostGroups * threads - 1) / (kMostGroups * threads);
    per_block = (at_once + threads * turns - 1) / (threads * turns);
    blocks = (at_once + per_block - 1) / per_block;
    parts = static_cast<int>(std::min<int64_t>((threads + blocks - 1) / blocks, tiles_at_once / kRound));
    strip = g.strip(g.columns());
  }
  // From one of the 36 numbers to the next, of tiles, products and the filters of a block. Not a power of two: 36 such
  // numbers would take each other's place in the caches.
  int64_t tiles_apart() const { return (blocks_of(depth) * tiles_at_once + 1) * kLanes; }
  int64_t products_apart() const { return (at_once * tiles_at_once + 1) * kLanes; }
  int64_t filters_apart() const { return (int64_t(per_block) * depth + 1) * kLanes; }
  int64_t of_thread() const { return kProducts * filters_apart() + strip; }
  int64_t scratch(int threads) const { return kProducts * (tiles_apart() + products_apart()) + threads * of_thread(); }
};

// The convolution of a layer (floats.h), of which `g.channels` numbers are added up.
template <class Layer>
void winograd_wide(const WinogradGeometry& g, Layer layer, float* scratch, int threads) {
  typedef typename Layer::Number Number;
  static_assert(sizeof(Number) == sizeof(float), "both are in one scratch");
  const WidePlan plan(g, layer.filters, threads);
  const int64_t block = plan.tiles_at_once * kLanes;
  const int64_t tiles_apart = plan.tiles_apart(), products_apart = plan.products_apart();
  const int64_t filters_apart = plan.filters_apart();
  Number* const tiles = reinterpret_cast<Number*>(scratch);  // (36, blocks of channels, tiles, kLanes)
  float* const products = scratch + kProducts * tiles_apart;  // (36, groups at once, tiles, kLanes)
  float* const of_threads = products + kProducts * products_apart;
#pragma omp parallel num_threads(threads) firstprivate(layer)
  for (int64_t first = 0; first < g.lines(); first += plan.lines_at_once) {
    float* const of_thread = of_threads + thread() * plan.of_thread();
    Number* const transformed = reinterpret_cast<Number*>(of_thread);  // (36, groups, depth, kLanes)
    float* const strip = of_thread + kProducts * filters_apart;
    const int64_t lines = std::min(plan.lines_at_once, g.lines() - first);
    const int64_t count = lines * g.line(), rounds = rounded(count) / kRound;
    for (int start = 0; start < plan.groups; start += plan.at_once) {
      const int here = std::min(plan.at_once, plan.groups - start);
      for (int begin = 0; begin < g.channels; begin += plan.depth) {
        const int depth = std::min(plan.depth, g.channels - begin);
        layer.prepare(start, here, begin, depth);
#pragma omp for schedule(static)
        for (int64_t item = 0; item < lines * blocks_of(depth); ++item) {
          const int64_t line = item % lines, n = (first + line) / g.lines_per_image();
          const int c = static_cast<int>(item / lines) * kLanes;
          const Span span{(first + line) % g.lines_per_image(), 0, g.columns()};
          Number* const to = tiles + c * plan.tiles_at_once;
          layer.read(g, n, begin + c, span, reinterpret_cast<Number*>(strip), to + line * g.line() * kLanes, tiles_apart);
          if (line == lines - 1)
            for (int k = 0; k < kProducts; ++k)
              std::fill(to + k * tiles_apart + count * kLanes, to + k * tiles_apart + rounds * kRound * kLanes, Number(0));
        }
#pragma omp for schedule(dynamic)
        for (int item = 0; item < plan.blocks * plan.parts; ++item) {
          const int group = item / plan.parts * plan.per_block, part = item % plan.parts;
          const int groups = std::min(plan.per_block, here - group);
          const int64_t from = rounds * part / plan.parts * kRound, to = rounds * (part + 1) / plan.parts * kRound;
          for (int i = 0; i < groups; ++i)
            for (int c = 0; c < depth; ++c) {
              // 36 streams are written meanwhile, among which the processor does not see that this one goes on
              const auto* const ahead = reinterpret_cast<const char*>(layer.filter(start + group + i, begin + c + kAhead));
              for (int byte = 0; byte < Layer::kFilterBytes; byte += 64) __builtin_prefetch(ahead + byte);
              layer.read_filter(start + group + i, begin + c, transformed + (int64_t(i) * depth + c) * kLanes,
                                filters_apart);
            }
          for (int k = 0; k < kProducts; ++k)
            for (int64_t tile = from; tile < to; tile += kRows) {
              const Rows<kLanes, 1, Number> rows{tiles + k * tiles_apart + tile * kLanes, kLanes, block};
              for (int i = 0; i < groups; i += kPanels)
                (groups - i < kPanels ? multiply<1, kLanes, 1, Number> : multiply<kPanels, kLanes, 1, Number>)(
                    rows, transformed + k * filters_apart + int64_t(i) * depth * kLanes, int64_t(depth) * kLanes, depth,
                    begin > 0, products + k * products_apart + (group + i) * block + tile * kLanes, kLanes, block);
            }
        }
      }
#pragma omp for schedule(static)
      for (int64_t item = 0; item < lines * here; ++item) {
        const int64_t line = item % lines, group = item / lines, n = (first + line) / g.lines_per_image();
        const Span span{(first + line) % g.lines_per_image(), 0, g.columns()};
        layer.write(g, n, start + static_cast<int>(group), span, products + group * block + line * g.line() * kLanes,
                    products_apart, strip);
      }
    }
  }
}

}  // namespace cpu
}  // namespace mxnetseg
