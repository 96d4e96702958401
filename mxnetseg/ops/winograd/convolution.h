// Winograd's 3x3 convolution as a whole: blocks of tiles by blocks of filters, so that what a block needs stays in the
// caches. The 36 numbers of every filter are worked out anew in each call, for in memory they take four times as much as
// the filter.
#pragma once

#include <limits>

#include "tiles.h"

namespace mxnetseg {
namespace cpu {

constexpr int kAhead = 6;  // filters that are fetched before they are worked out

// How the work is cut.
struct WinogradPlan {
  static constexpr int kDepth = 128;            // channels at a time: their products are added up
  static constexpr int kMostGroups = 4;         // of kLanes filters, in a block
  static constexpr int64_t kScratch = 2 << 20;  // numbers of tiles and products
  static constexpr int kLeastRuns = 4;          // at once: fewer, and working filters out would take too long

  int64_t runs;            // of tiles, in all: each is of one image
  int64_t runs_per_image;
  int64_t runs_at_once;
  int groups;     // of filters
  int per_block;  // groups of a block
  int blocks;     // of filters
  int parts;      // that the runs at once are cut into, for many threads
  int depth;

  WinogradPlan(const WinogradGeometry& g, int filters, int threads) {
    runs_per_image = (g.tiles_per_image() + kRun - 1) / kRun;
    runs = g.batch * runs_per_image;
    groups = (filters + kLanes - 1) / kLanes;
    depth = std::min(g.channels, kDepth);
    const int64_t most = std::max<int64_t>(kLeastRuns, kScratch / (int64_t(kProducts) * kRun * (depth + groups * kLanes)));
    const int64_t times = (runs + most - 1) / most;
    runs_at_once = (runs + times - 1) / times;
    const int turns = (groups + kMostGroups * threads - 1) / (kMostGroups * threads);
    per_block = (groups + threads * turns - 1) / (threads * turns);
    blocks = (groups + per_block - 1) / per_block;
    parts = static_cast<int>(std::min<int64_t>((threads + blocks - 1) / blocks, runs_at_once));
  }
  // From one of the 36 numbers to the next, of tiles, products and the filters of a block. Not a power of two: 36 such
  // numbers would take each other's place in the caches.
  int64_t tiles_apart() const { return (runs_at_once * depth + 1) * kRun; }
  int64_t products_apart() const { return (runs_at_once * groups * kLanes + 1) * kRun; }
  int64_t filters_apart() const { return (int64_t(per_block) * depth + 1) * kLanes; }
  int64_t scratch(int threads) const {
    return kProducts * (tiles_apart() + products_apart() + threads * filters_apart());
  }
};

// A vector of the machine's own length: the sums of kRows filters by two of them stay in registers.
#if defined(__AVX512F__)
constexpr int kBytes = 64, kRows = 8;
#elif defined(__AVX__)
constexpr int kBytes = 32, kRows = 4;
#else
constexpr int kBytes = 16, kRows = 4;
#endif
typedef float Vector __attribute__((vector_size(kBytes)));
constexpr int kVector = kBytes / sizeof(float);

// sums[row][tile] = the sum over all channels of filters[channel][row] * tiles[channel][tile], for kRows of kLanes
// filters and Vectors vectors of tiles. With `add` it is added to what is there: sums of sums keep more digits than one
// long sum.
template <int Vectors>
inline void multiply(const float* filters, const float* tiles, int depth, bool add, float* sums) {
  Vector sum[kRows][Vectors]{};
  for (int c = 0; c < depth; ++c) {
    Vector tile[Vectors];
#pragma GCC unroll 2
    for (int i = 0; i < Vectors; ++i) std::memcpy(&tile[i], tiles + c * kRun + i * kVector, sizeof(Vector));
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      const float filter = filters[c * kLanes + r];
#pragma GCC unroll 2
      for (int i = 0; i < Vectors; ++i) sum[r][i] += filter * tile[i];
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 2
    for (int i = 0; i < Vectors; ++i) {
      float* const to = sums + r * kRun + i * kVector;
      Vector before{};
      if (add) std::memcpy(&before, to, sizeof before);
      before += sum[r][i];
      std::memcpy(to, &before, sizeof before);
    }
}

// Tiles of a run of an image.
inline int tiles_of_run(const WinogradGeometry& g, int64_t run) {
  return static_cast<int>(std::min<int64_t>(kRun, g.tiles_per_image() - run * kRun));
}

// x (batch, channels, height, width), weight (groups, channels, 9, kLanes), bias (filters,), perhaps residual, which is
// added -> out (batch, filters, height, width)
inline void winograd(const WinogradGeometry& g, int filters, const float* x, const float* weight, const float* bias,
                     const float* residual, bool relu, float* scratch, int threads, float* out) {
  const WinogradPlan plan(g, filters, threads);
  const int64_t plane = int64_t(g.height) * g.width;
  float* const tiles = scratch;                            // (36, runs, depth, kRun)
  float* const products = tiles + kProducts * plan.tiles_apart();  // (36, runs, filters, kRun)
  float* const transformed = products + kProducts * plan.products_apart();
  const float least = relu ? 0 : -std::numeric_limits<float>::infinity();
  const int wide = plan.groups * kLanes;
  const int64_t tiles_apart = plan.tiles_apart(), products_apart = plan.products_apart();
  const int64_t filters_apart = plan.filters_apart();
#pragma omp parallel num_threads(threads)
  for (int64_t first = 0; first < plan.runs; first += plan.runs_at_once) {
    const int64_t runs = std::min(plan.runs_at_once, plan.runs - first);
    for (int begin = 0; begin < g.channels; begin += plan.depth) {
      const int depth = std::min(plan.depth, g.channels - begin);
#pragma omp for schedule(static)
      for (int64_t item = 0; item < runs * depth; ++item) {
        const int64_t run = item % runs, c = item / runs, n = (first + run) / plan.runs_per_image;
        const int64_t at = (first + run) % plan.runs_per_image;
        read_tiles(g, x + (n * g.channels + begin + c) * plane, at * kRun, tiles_of_run(g, at),
                   tiles + (run * plan.depth + c) * kRun, tiles_apart);
      }
#pragma omp for schedule(dynamic)
      for (int item = 0; item < plan.blocks * plan.parts; ++item) {
        const int block = item / plan.parts, part = item % plan.parts;
        const int group = block * plan.per_block, groups = std::min(plan.per_block, plan.groups - group);
        const int64_t from = runs * part / plan.parts, to = runs * (part + 1) / plan.parts;
        float* const own = transformed + thread() * kProducts * filters_apart;  // (36, groups, depth, kLanes)
        for (int i = 0; i < groups; ++i)
          for (int c = 0; c < depth; ++c) {
            const float* const filter = weight + (int64_t(group + i) * g.channels + begin + c) * 9 * kLanes;
            // 36 streams are written meanwhile, among which the processor does not see that this one goes on
            for (int line = 0; line < 9; ++line) __builtin_prefetch(filter + (kAhead * 9 + line) * kLanes);
            read_filters(filter, own + (int64_t(i) * depth + c) * kLanes, filters_apart);
          }
        for (int k = 0; k < kProducts; ++k)
          for (int64_t run = from; run < to; ++run) {
            const float* const tile = tiles + k * tiles_apart + run * plan.depth * kRun;
            float* const sums = products + k * products_apart + (run * wide + group * kLanes) * kRun;
            const int count = tiles_of_run(g, (first + run) % plan.runs_per_image);
            for (int at = 0; at < count; at += 2 * kVector)
              for (int row = 0; row < groups * kLanes; row += kRows)
                (count - at <= kVector ? multiply<1> : multiply<2>)(
                    own + k * filters_apart + int64_t(row / kLanes) * depth * kLanes + row % kLanes, tile + at, depth,
                    begin > 0, sums + row * kRun + at);
          }
        if (begin + depth < g.channels) continue;
        const int last = std::min((group + groups) * kLanes, filters);
        for (int64_t run = from; run < to; ++run) {
          const int64_t n = (first + run) / plan.runs_per_image, at = (first + run) % plan.runs_per_image;
          for (int f = group * kLanes; f < last; ++f) {
            const int64_t map = (n * filters + f) * plane;
            write_tiles(g, products + (run * wide + f) * kRun, products_apart, at * kRun, tiles_of_run(g, at), bias[f],
                        residual ? residual + map : nullptr, least, out + map);
          }
        }
      }
    }
  }
}

}  // namespace cpu
}  // namespace mxnetseg
