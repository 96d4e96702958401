// Bilinear interpolation along one axis, as `mxnetseg.nn.resize_like` and PyTorch have it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace mxnetseg {
namespace cpu {

// Target i is the mean of sources low[i] and high[i], the latter with weight[i], at most one apart.
template <typename T>
struct Axis {
  std::vector<int32_t> low, high;
  std::vector<T> weight;

  Axis(int sources, int targets, bool align_corners) : low(targets), high(targets), weight(targets) {
    const double last = sources - 1;
    // a single target takes the first source where corners are aligned
    const double scale = align_corners ? last / std::max(targets - 1, 1) : double(sources) / targets;
    for (int i = 0; i < targets; ++i) {
      const double centre = align_corners ? i * scale : (i + 0.5) * scale - 0.5;
      const double position = std::min(std::max(centre, 0.0), last);
      low[i] = static_cast<int32_t>(position);
      high[i] = std::min(low[i] + 1, sources - 1);
      weight[i] = static_cast<T>(position - low[i]);
    }
  }
};

}  // namespace cpu
}  // namespace mxnetseg
