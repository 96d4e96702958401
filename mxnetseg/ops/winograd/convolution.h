// A 3x3 convolution and its gradients, by Winograd's algorithm or tap by tap.
#pragma once

#include "gradient.h"
#include "narrow.h"
#include "taps.h"
#include "wide.h"

namespace mxnetseg {
namespace cpu {

// Whether taps meet so few pixels that the definition is faster; a tile's transforms cost it a fifth of its products. As
// `by_taps` of __init__.py.
inline bool by_taps(const WinogradGeometry& g) {
  return 5 * taps_products(g) < 6 * kProducts * rounded(g.lines() * g.line());
}

// Numbers.
inline int64_t convolution_scratch(const WinogradGeometry& g, int filters, int threads) {
  if (by_taps(g)) return TapsPlan(g, filters, threads).scratch(threads);
  return NarrowPlan::serves(g, filters, threads) ? NarrowPlan(g, filters, threads).scratch(g, threads)
                                                 : WidePlan(g, filters, threads).scratch(threads);
}
inline int64_t weight_gradient_scratch(const WinogradGeometry& g, int filters, int threads) {
  return by_taps(g) ? TapsGradientPlan(g, filters).scratch(threads)
                    : WinogradGradientPlan(g, filters, threads).scratch(threads);
}

// Of PlainFilters::packed.
inline int64_t packed_filters(const WinogradGeometry& g, int filters, int threads) {
  if (by_taps(g)) return PlainFilters::size(filters, TapsPlan(g, filters, threads).depth);
  if (NarrowPlan::serves(g, filters, threads)) return PlainFilters::size(filters, g.channels);
  const WidePlan plan(g, filters, threads);
  return PlainFilters::size(plan.at_once * kLanes, plan.depth);
}

template <class Filters>
void convolution(const WinogradGeometry& g, const FloatLayer<Filters>& layer, float* scratch, int threads) {
  const bool narrow = NarrowPlan::serves(g, layer.filters, threads);
  (by_taps(g) ? convolve_by_taps<Filters>
              : narrow ? winograd_narrow<FloatLayer<Filters>> : winograd_wide<FloatLayer<Filters>>)(g, layer, scratch,
                                                                                                    threads);
}

// x (batch, channels, height, width), dy (batch, filters, height, width) -> weight (filters, channels, 3, 3)
inline void weight_gradient(const WinogradGeometry& g, int filters, const float* x, const float* dy, float* scratch,
                            int threads, float* weight) {
  (by_taps(g) ? weight_gradient_by_taps : winograd_weight_gradient)(g, filters, x, dy, scratch, threads, weight);
}

}  // namespace cpu
}  // namespace mxnetseg
