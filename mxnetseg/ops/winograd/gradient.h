// The gradient of the filters of a 3x3 convolution, by Winograd's algorithm. With the matrices of tiles.h, a tile of x
// gives y = O [(F g F') * (I x I')] O' with a filter g; * is by element, ' transposes. So the gradient is
//
//     F' [sum over all tiles of (O' dy O) * (I x I')] F
//
// and each of the 36 numbers within is a matrix product, of filters by tiles and tiles by channels.
#pragma once

#include "products.h"

namespace mxnetseg {
namespace cpu {

constexpr float kOutputTransposed[kTile][kStep] = {{1, 0, 0, 0}, {1, 1, 1, 1},  {1, -1, 1, -1},
                                                   {1, 2, 4, 8}, {1, -2, 4, -8}, {0, 0, 0, 1}};
constexpr float kFilterTransposed[kTaps][kTile] = {
    {1.0f / 4, -1.0f / 6, -1.0f / 6, 1.0f / 24, 1.0f / 24, 0},
    {0, -1.0f / 6, 1.0f / 6, 1.0f / 12, -1.0f / 12, 0},
    {0, -1.0f / 6, -1.0f / 6, 1.0f / 6, 1.0f / 6, 1}};

// How the work is cut: items of blocks of filters by blocks of channels, for some lines of tiles and some channels after
// the others.
struct WinogradGradientPlan {
  static constexpr int kMostBlocks = 4;         // of filters, and of channels, of an item
  static constexpr int64_t kScratch = 2 << 20;  // numbers of tiles
  static constexpr int kLeastTiles = 128;       // at once: fewer, and the way back to filters would take too long
  static constexpr int64_t kMostAtOnce = 32;    // blocks of channels

  int64_t filter_blocks, channel_blocks, blocks_at_once;
  int64_t lines_at_once, tiles_at_once;
  int64_t filters_of_item = kMostBlocks, channels_of_item = kMostBlocks;  // blocks
  int64_t strip;

  WinogradGradientPlan(const WinogradGeometry& g, int filters, int threads)
      : filter_blocks(blocks_of(filters)), channel_blocks(blocks_of(g.channels)), strip(g.strip(g.columns())) {
    blocks_at_once = std::min(channel_blocks, kMostAtOnce);
    const int64_t of_tile = kProducts * kLanes * (filter_blocks + blocks_at_once);
    const int64_t most = std::max<int64_t>(1, std::max<int64_t>(kLeastTiles, kScratch / of_tile) / g.line());
    const int64_t times = (g.lines() + most - 1) / most;
    lines_at_once = (g.lines() + times - 1) / times;
    tiles_at_once = lines_at_once * g.line();
    while (items() < 2 * threads && filters_of_item > 1)
      (channels_of_item > filters_of_item ? channels_of_item : filters_of_item) /= 2;
  }
  int64_t items_down() const { return (filter_blocks + filters_of_item - 1) / filters_of_item; }
  int64_t items_across() const { return (blocks_at_once + channels_of_item - 1) / channels_of_item; }
  int64_t items() const { return items_down() * items_across(); }
  int64_t channels_apart() const { return (blocks_at_once * tiles_at_once + 1) * kLanes; }  // see WidePlan
  int64_t filters_apart() const { return (filter_blocks * tiles_at_once + 1) * kLanes; }
  int64_t sums_apart() const { return (filters_of_item * kLanes * channels_of_item + 1) * kLanes; }
  int64_t of_thread() const { return kProducts * sums_apart() + strip; }
  int64_t scratch(int threads) const { return kProducts * (channels_apart() + filters_apart()) + threads * of_thread(); }
};

// 36 numbers of `count` channels, `apart` numbers apart -> the nine taps of each, or with `add` what they add to those.
inline void write_taps(const float* sums, int64_t apart, int count, bool add, float* weight) {
  alignas(64) float half[kTaps][kTile][kLanes], taps[9][kLanes];
  for (int k = 0; k < kTile; ++k)
    transform(kFilterTransposed, sums + k * apart, kTile * apart, half[0][k], kTile * kLanes);
  for (int k = 0; k < kTaps; ++k) transform(kFilterTransposed, half[k][0], kLanes, taps[kTaps * k], kLanes);
  for (int lane = 0; lane < count; ++lane)
    for (int tap = 0; tap < 9; ++tap) {
      float& to = weight[lane * 9 + tap];
      to = taps[tap][lane] + (add ? to : 0);
    }
}

// x (batch, channels, height, width), dy (batch, filters, height, width) -> weight (filters, channels, 3, 3)
inline void winograd_weight_gradient(const WinogradGeometry& g, int filters, const float* x, const float* dy,
                                     float* scratch, int threads, float* weight) {
  const WinogradGradientPlan plan(g, filters, threads);
  const int64_t plane = g.plane(), block = plan.tiles_at_once * kLanes;
  const int64_t channels_apart = plan.channels_apart(), filters_apart = plan.filters_apart();
  const int64_t sums_apart = plan.sums_apart();
  float* const of_x = scratch;                            // (36, blocks of channels, tiles, kLanes)
  float* const of_dy = of_x + kProducts * channels_apart;  // (36, blocks of filters, tiles, kLanes)
  float* const of_threads = of_dy + kProducts * filters_apart;
#pragma omp parallel num_threads(threads)
  for (int64_t first = 0; first < g.lines(); first += plan.lines_at_once) {
    float* const sums = of_threads + thread() * plan.of_thread();  // (36, filters, blocks of channels, kLanes)
    float* const strip = sums + kProducts * sums_apart;
    const int64_t lines = std::min(plan.lines_at_once, g.lines() - first);
    const int tiles = static_cast<int>(lines * g.line());
    for (int64_t begin = 0; begin < plan.channel_blocks; begin += plan.blocks_at_once) {
      const int64_t blocks = std::min(plan.blocks_at_once, plan.channel_blocks - begin);
#pragma omp for schedule(static)
      for (int64_t item = 0; item < lines * (blocks + (begin == 0 ? plan.filter_blocks : 0)); ++item) {
        const int64_t line = item % lines, n = (first + line) / g.lines_per_image();
        const Span span{(first + line) % g.lines_per_image(), 0, g.columns()};
        const int64_t from = line * g.line() * kLanes;
        const int64_t b = item / lines, channel = (begin + b) * kLanes, filter = (b - blocks) * kLanes;
        if (filter < 0)
          read_span(g, kInputMatrix, x + (n * g.channels + channel) * plane,
                    static_cast<int>(std::min<int64_t>(kLanes, g.channels - channel)), span, g.dilation, strip,
                    of_x + b * block + from, channels_apart);
        else
          read_span(g, kOutputTransposed, dy + (n * filters + filter) * plane,
                    static_cast<int>(std::min<int64_t>(kLanes, filters - filter)), span, 0, strip,
                    of_dy + (b - blocks) * block + from, filters_apart);
      }
#pragma omp for schedule(dynamic)
      for (int64_t item = 0; item < plan.items(); ++item) {
        const int64_t f = item / plan.items_across() * plan.filters_of_item;
        const int64_t c = item % plan.items_across() * plan.channels_of_item;
        const int64_t down = std::min(plan.filters_of_item, plan.filter_blocks - f);
        const int64_t across = std::min(plan.channels_of_item, blocks - c);
        for (int k = 0; k < kProducts; ++k)
          for (int64_t i = 0; i < across; i += kPanels)
            for (int64_t row = 0; row < down * kLanes; row += kRows) {
              const Rows<1, kLanes> rows{
                  of_dy + k * filters_apart + (f + row / kLanes) * block + row % kLanes, tiles, 0};
              (across - i < kPanels ? multiply<1, 1, kLanes> : multiply<kPanels, 1, kLanes>)(
                  rows, of_x + k * channels_apart + (c + i) * block, block, tiles, false,
                  sums + k * sums_apart + (row * across + i) * kLanes, across * kLanes, kLanes);
            }
        for (int64_t row = 0; row < std::min<int64_t>(down * kLanes, filters - f * kLanes); ++row)
          for (int64_t i = 0; i < across; ++i) {
            const int64_t channel = (begin + c + i) * kLanes;
            write_taps(sums + (row * across + i) * kLanes, sums_apart,
                       static_cast<int>(std::min<int64_t>(kLanes, g.channels - channel)), first > 0,
                       weight + ((f * kLanes + row) * g.channels + channel) * 9);
          }
      }
    }
  }
}

// dy (batch, filters, height, width) -> bias (filters,)
inline void bias_gradient(const WinogradGeometry& g, int filters, const float* dy, int threads, float* bias) {
#pragma omp parallel for schedule(static) num_threads(threads)
  for (int f = 0; f < filters; ++f) {
    double total = 0;
    for (int64_t n = 0; n < g.batch; ++n) {
      const float* const map = dy + (n * filters + f) * g.plane();
      for (int64_t i = 0; i < g.plane(); ++i) total += map[i];
    }
    bias[f] = static_cast<float>(total);
  }
}

}  // namespace cpu
}  // namespace mxnetseg
