// Unfold: x (batch, channels, height, width), offset (batch, 18, out_height, out_width). One warp takes one sample of
// the window at 32 positions. Warps of a block take samples of the same positions, which lie close together, so that
// most pixels are read from memory only once: forward all nine, backward, which needs shared memory, a row of three.
#pragma once

#include "warp.h"

namespace {

constexpr int kForwardThreads = kWindow * kWarp;
constexpr int kBackwardWarps = 3;
constexpr int kBackwardThreads = kBackwardWarps * kWarp;
constexpr int kGroup = 16;  // channels that share the located sample, forward

struct Task {
  int t, position;  // of this lane
  bool any, live;   // whether there is work for the warp, for this lane
};

__device__ inline Task unfold_task(const Geometry& g) {
  const int64_t warp = (int64_t)blockIdx.x * (blockDim.x / kWarp) + threadIdx.x / kWarp;
  const int positions = g.out_height * g.out_width;
  const int64_t first = warp / kWindow * kWarp, position = first + threadIdx.x % kWarp;
  Task task;
  task.t = (int)(warp % kWindow);
  task.any = first < positions;
  task.live = position < positions;
  task.position = task.live ? (int)position : positions - 1;
  return task;
}

template <typename T>
__device__ inline Sample locate_unfold(const Geometry& g, const T* offset, int64_t image, const Task& task) {
  const int64_t positions = (int64_t)g.out_height * g.out_width;
  const T* along_y = offset + (image * 2 * kWindow + 2 * task.t) * positions + task.position;
  return locate(place(g, task.position / g.out_width, task.t / 3, to_float(along_y[0])),
                place(g, task.position % g.out_width, task.t % 3, to_float(along_y[positions])), g.height, g.width);
}

template <typename T>
__global__ void __launch_bounds__(kForwardThreads)
unfold_forward(Geometry g, const T* __restrict__ x, const T* __restrict__ offset, T* __restrict__ out) {
  const int64_t positions = (int64_t)g.out_height * g.out_width, pixels = (int64_t)g.height * g.width;
  const Task task = unfold_task(g);
  if (!task.live) return;
  for (int64_t image = blockIdx.y; image < g.batch; image += gridDim.y) {
    const Sample s = locate_unfold(g, offset, image, task);
    const Corners corners = corners_of(s, 1, true);
    for (int first = blockIdx.z * kGroup; first < g.channels; first += gridDim.z * kGroup) {
      const int count = min(kGroup, g.channels - first);
      const T* map = x + (image * g.channels + first) * pixels;
      T* to = out + ((image * g.channels + first) * kWindow + task.t) * positions + task.position;
#pragma unroll 4
      for (int i = 0; i < count; ++i, map += pixels, to += kWindow * positions) {
        float value = 0.f;
#pragma unroll
        for (int c = 0; c < 4; ++c) value += corners.weight[c] * to_float(map[corners.element[c]]);
        assign(to, value);
      }
    }
  }
}

// Takes 32 channels at a time: lanes over positions gather, lanes over channels scatter. For that, sum_x is channels
// last: (batch, height, width, channels).
template <typename T>
__global__ void __launch_bounds__(kBackwardThreads)
unfold_backward(Geometry g, const T* __restrict__ grad, const T* __restrict__ x, const T* __restrict__ offset,
                float* __restrict__ sum_x, T* __restrict__ grad_offset) {
  __shared__ float tiles[kBackwardWarps][kWarp][kWarp + 1];  // grad by channel and position; + 1: no bank conflicts
  __shared__ Corners located[kBackwardWarps][kWarp];
  const int64_t positions = (int64_t)g.out_height * g.out_width, pixels = (int64_t)g.height * g.width;
  const int warp = threadIdx.x / kWarp, lane = threadIdx.x % kWarp;
  float(*tile)[kWarp + 1] = tiles[warp];
  const Task task = unfold_task(g);
  if (!task.any) return;
  for (int64_t image = blockIdx.y; image < g.batch; image += gridDim.y) {
    const Sample s = locate_unfold(g, offset, image, task);
    located[warp][lane] = corners_of(s, g.channels, task.live);
    float along_y = 0.f, along_x = 0.f;
    for (int base = 0; base < g.channels; base += kWarp) {
      const int count = min(kWarp, g.channels - base);
      const T* map = x + (image * g.channels + base) * pixels;
      const T* from = grad + ((image * g.channels + base) * kWindow + task.t) * positions + task.position;
#pragma unroll 4
      for (int i = 0; i < count; ++i, map += pixels, from += kWindow * positions) {
        const float above = to_float(*from);
        float slope_y = 0.f, slope_x = 0.f;
#pragma unroll
        for (int c = 0; c < 4; ++c) {
          const float value = to_float(map[s.pixel[c]]);
          slope_y += s.along_y(c) * value;
          slope_x += s.along_x(c) * value;
        }
        along_y += above * slope_y;
        along_x += above * slope_x;
        tile[i][lane] = above;
      }
      __syncwarp();
      if (lane < count) {
        float* const to = sum_x + image * pixels * g.channels + base + lane;
#pragma unroll 4
        for (int p = 0; p < kWarp; ++p) {
          const Corners corners = located[warp][p];
          const float above = tile[lane][p];
#pragma unroll
          for (int c = 0; c < 4; ++c)
            if (corners.weight[c] != 0.f)
              atomicAdd(to + corners.element[c], corners.weight[c] * above);
        }
      }
      __syncwarp();
    }
    if (task.live) {
      T* const to = grad_offset + (image * 2 * kWindow + 2 * task.t) * positions + task.position;
      assign(to, along_y);
      assign(to + positions, along_x);
    }
  }
}

constexpr int kTurnWarps = 4;
constexpr int kTurnThreads = kTurnWarps * kWarp;

// (batch, pixels, channels) to (batch, channels, pixels); one warp takes 32 x 32.
template <typename T>
__global__ void __launch_bounds__(kTurnThreads)
channels_first(Geometry g, const float* __restrict__ from, T* __restrict__ to) {
  __shared__ float tiles[kTurnWarps][kWarp][kWarp + 1];
  const int64_t pixels = (int64_t)g.height * g.width;
  const int warp = threadIdx.x / kWarp, lane = threadIdx.x % kWarp;
  const int64_t pixel = ((int64_t)blockIdx.x * kTurnWarps + warp) * kWarp;  // the warp's first
  const int count = (int)min((int64_t)kWarp, pixels - pixel);
  for (int64_t image = blockIdx.y; image < g.batch; image += gridDim.y) {
    for (int base = blockIdx.z * kWarp; base < g.channels; base += gridDim.z * kWarp) {
      const int channels = min(kWarp, g.channels - base);
#pragma unroll 8
      for (int i = 0; i < count; ++i)
        if (lane < channels) tiles[warp][i][lane] = from[(image * pixels + pixel + i) * g.channels + base + lane];
      __syncwarp();
#pragma unroll 8
      for (int i = 0; i < channels; ++i)
        if (lane < count) assign(to + (image * g.channels + base + i) * pixels + pixel + lane, tiles[warp][lane][i]);
      __syncwarp();
    }
  }
}

}  // namespace
