// Where the convolutions get their filters from: the nine taps of kLanes filters for a channel, side by side.
#pragma once

#include "tiles.h"

namespace mxnetseg {
namespace cpu {

// Those that lie in memory like this, (groups, channels, 9, kLanes).
struct PackedFilters {
  const float* data;
  int channels;

  void prepare(int, int, int, int) const {}
  const float* at(int group, int channel) const { return data + (int64_t(group) * channels + channel) * 9 * kLanes; }
};

// Those of MXNet's layout, (outer, inner, 3, 3), which are packed for some groups and channels at a time. With `back` the
// convolution is that which leads gradients back: its filters are the channels, and the taps are in the reverse order.
struct PlainFilters {
  const float* data;
  int outer, inner;
  bool back;
  float* packed;  // size() numbers
  int first_group = 0, first_channel = 0, count = 0;  // channels that are packed

  int filters() const { return back ? inner : outer; }
  static int64_t size(int filters, int channels) { return blocks_of(filters) * channels * 9 * kLanes; }

  // By all threads of a parallel region: `at` serves these groups and channels until the next call.
  void prepare(int group, int groups, int channel, int channels) {
    first_group = group;
    first_channel = channel;
    count = channels;
    const int64_t lane_apart = 9 * int64_t(back ? 1 : inner), channel_apart = 9 * int64_t(back ? inner : 1);
#pragma omp for schedule(static)
    for (int64_t item = 0; item < int64_t(groups) * channels; ++item) {
      const int64_t filter = (group + item / channels) * kLanes;
      const int lanes = static_cast<int>(std::min<int64_t>(kLanes, filters() - filter));
      const float* const from = data + filter * lane_apart + (channel + item % channels) * channel_apart;
      float* const to = packed + item * 9 * kLanes;
      for (int tap = 0; tap < 9; ++tap)
        for (int lane = 0; lane < kLanes; ++lane)
          to[tap * kLanes + lane] = lane < lanes ? from[lane * lane_apart + (back ? 8 - tap : tap)] : 0;
    }
  }
  const float* at(int group, int channel) const {
    return packed + (int64_t(group - first_group) * count + channel - first_channel) * 9 * kLanes;
  }
};

}  // namespace cpu
}  // namespace mxnetseg
