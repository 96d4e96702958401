// A layer of floats, as wide.h and narrow.h work one out.
#pragma once

#include "filters.h"
#include "products.h"

namespace mxnetseg {
namespace cpu {

// What a layer has: the type of what products are made of, how maps become tiles of it and filters 36 numbers each, and
// what becomes of the products. `g.channels` says how many of these numbers are added up.
template <class Filters>
struct FloatLayer {
  typedef float Number;

  int filters;
  const float* x;  // (batch, channels, height, width)
  Filters weight;
  const float* bias;      // (filters,)
  const float* residual;  // perhaps; as `out`, added to it
  float least;            // what is below becomes that
  float* out;             // (batch, filters, height, width)

  // By all threads of a parallel region: the filters of these groups and numbers are asked for until the next call.
  void prepare(int group, int groups, int number, int numbers) { weight.prepare(group, groups, number, numbers); }

  // The tiles of a block of numbers, from `number` on.
  void read(const WinogradGeometry& g, int64_t n, int number, const Span& span, float* strip, float* to,
            int64_t apart) const {
    read_span(g, kInputMatrix, x + (n * g.channels + number) * g.plane(), std::min(kLanes, g.channels - number), span,
              g.dilation, strip, to, apart);
  }

  void read_filter(int group, int number, float* to, int64_t apart) const {
    read_filters(kFilterMatrix, filter(group, number), to, apart);
  }
  const float* filter(int group, int number) const { return weight.at(group, number); }
  static constexpr int kFilterBytes = 9 * kLanes * sizeof(float);

  void write(const WinogradGeometry& g, int64_t n, int group, const Span& span, const float* products, int64_t apart,
             float* strip) const {
    const int f = group * kLanes;
    const int64_t map = (n * filters + f) * g.plane();
    write_span(g, kOutputMatrix, products, apart, span, strip, [&](const float* pixels, int count, int64_t at) {
      write_pixels(pixels, g.plane(), count, bias + f, residual ? residual + map + at : nullptr, least,
                   std::min(kLanes, filters - f), out + map + at);
    });
  }
};

}  // namespace cpu
}  // namespace mxnetseg
