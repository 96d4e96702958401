// Winograd's 3x3 convolution.
#pragma once

#include <limits>

#include "narrow.h"
#include "wide.h"

namespace mxnetseg {
namespace cpu {

// Numbers.
inline int64_t winograd_scratch(const WinogradGeometry& g, int filters, int threads) {
  return NarrowPlan::serves(g, filters, threads) ? NarrowPlan(g, filters, threads).scratch(g, threads)
                                        : WidePlan(g, filters, threads).scratch(threads);
}

// Of PlainFilters::packed.
inline int64_t winograd_packed(const WinogradGeometry& g, int filters, int threads) {
  if (NarrowPlan::serves(g, filters, threads)) return PlainFilters::size(filters, g.channels);
  const WidePlan plan(g, filters, threads);
  return PlainFilters::size(plan.at_once * kLanes, plan.depth);
}

// x (batch, channels, height, width), weight as in filters.h, bias (filters,), perhaps residual, which is added -> out
// (batch, filters, height, width)
template <class Filters>
void winograd(const WinogradGeometry& g, int filters, const float* x, const Filters& weight, const float* bias,
              const float* residual, bool relu, float* scratch, int threads, float* out) {
  const float least = relu ? 0 : -std::numeric_limits<float>::infinity();
  (NarrowPlan::serves(g, filters, threads) ? winograd_narrow<Filters> : winograd_wide<Filters>)(
      g, filters, x, weight, bias, residual, least, scratch, threads, out);
}

}  // namespace cpu
}  // namespace mxnetseg
