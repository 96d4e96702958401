// What the kernels for GPUs share: types, and what the lanes of a warp tell each other of a sample.
#pragma once

#include <cuda_fp16.h>
#include <cuda_runtime.h>
#include <stdint.h>

#include "sampling.h"

using mxnetseg::Geometry;
using mxnetseg::kWindow;
using mxnetseg::locate;
using mxnetseg::place;
typedef mxnetseg::Sample<float> Sample;

namespace {

constexpr int kWarp = 32;
constexpr unsigned kAll = 0xffffffffu;

__device__ inline float to_float(float x) { return x; }
__device__ inline float to_float(__half x) { return __half2float(x); }
__device__ inline void assign(float* to, float x) { *to = x; }
__device__ inline void assign(__half* to, float x) { *to = __float2half(x); }

// What other lanes need of a sample: where its corners are in a map whose pixels are `step` elements apart.
struct alignas(16) Corners {
  int64_t element[4];
  float weight[4];
};

// Where the sample is not `live` (beyond the map of positions), all weights are 0.
__device__ inline Corners corners_of(const Sample& s, int64_t step, bool live) {
  Corners result;
#pragma unroll
  for (int c = 0; c < 4; ++c) {
    result.element[c] = s.pixel[c] * step;
    result.weight[c] = live ? s.weight(c) : 0.f;
  }
  return result;
}

}  // namespace
