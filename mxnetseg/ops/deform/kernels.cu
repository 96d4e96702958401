// Deformable sampling on NVIDIA GPUs; gpu.h says what each launcher does. Storage is float or half, arithmetic is
// float. Scatters add with atomics into float memory (half results are converted afterwards), so gradients of x, k
// and v may differ in the last bits from run to run.

#include <cuda_fp16.h>
#include <cuda_runtime.h>
#include <stdint.h>

#include "gpu.h"

using mxnetseg::Geometry;
using mxnetseg::kWindow;
using mxnetseg::locate;
using mxnetseg::place;
typedef mxnetseg::Sample<float> Sample;

namespace {

constexpr int kWarp = 32;
constexpr int kThreads = 256;
constexpr int64_t kMaxBlocks = 1 << 20;  // loops take over beyond
constexpr int kGroup = 8;    // channels that one thread of the unfold takes, to share the located sample
constexpr unsigned kAll = 0xffffffffu;

__device__ inline float to_float(float x) { return x; }
__device__ inline float to_float(__half x) { return __half2float(x); }
__device__ inline void assign(float* to, float x) { *to = x; }
__device__ inline void assign(__half* to, float x) { *to = __float2half(x); }

int blocks(int64_t threads) {
  const int64_t needed = (threads + kThreads - 1) / kThreads;
  return (int)(needed < kMaxBlocks ? needed : kMaxBlocks);
}

// ---------------------------------------------------------------------------------------------------------------
// Unfold: x (batch, channels, height, width), offset (batch, 18, out_height, out_width)

// Sample t of the window at one output position.
template <typename T>
__device__ inline Sample locate_unfold(const Geometry& g, const T* offset, int64_t image, int t, int position) {
  const int64_t positions = (int64_t)g.out_height * g.out_width;
  const T* along_y = offset + (image * 2 * kWindow + 2 * t) * positions + position;
  return locate(place(g, position / g.out_width, t / 3, to_float(along_y[0])),
                place(g, position % g.out_width, t % 3, to_float(along_y[positions])), g.height, g.width);
}

// One thread: one position and sample, kGroup channels.
template <typename T>
__global__ void unfold_forward(Geometry g, const T* x, const T* offset, T* out) {
  const int64_t positions = (int64_t)g.out_height * g.out_width, pixels = (int64_t)g.height * g.width;
  const int64_t groups = (g.channels + kGroup - 1) / kGroup, count = g.batch * groups * kWindow * positions;
  for (int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x; i < count; i += (int64_t)gridDim.x * blockDim.x) {
    const int position = (int)(i % positions), t = (int)(i / positions % kWindow);
    const int first = (int)(i / positions / kWindow % groups) * kGroup, last = min(first + kGroup, g.channels);
    const int64_t image = i / positions / kWindow / groups;
    const Sample s = locate_unfold(g, offset, image, t, position);
    for (int channel = first; channel < last; ++channel) {
      const T* map = x + (image * g.channels + channel) * pixels;
      float value = 0.f;
#pragma unroll
      for (int c = 0; c < 4; ++c) value += s.weight(c) * to_float(map[s.pixel[c]]);
      assign(out + ((image * g.channels + channel) * kWindow + t) * positions + position, value);
    }
  }
}

// One thread: one position and sample, all channels, so that the offset's gradient needs no atomics.
template <typename T>
__global__ void unfold_backward(Geometry g, const T* grad, const T* x, const T* offset, float* grad_x,
                                T* grad_offset) {
  const int64_t positions = (int64_t)g.out_height * g.out_width, pixels = (int64_t)g.height * g.width;
  const int64_t count = g.batch * kWindow * positions;
  for (int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x; i < count; i += (int64_t)gridDim.x * blockDim.x) {
    const int position = (int)(i % positions), t = (int)(i / positions % kWindow);
    const int64_t image = i / positions / kWindow;
    const Sample s = locate_unfold(g, offset, image, t, position);
    float along_y = 0.f, along_x = 0.f;
    for (int channel = 0; channel < g.channels; ++channel) {
      const int64_t map = (image * g.channels + channel) * pixels;
      const float from = to_float(grad[((image * g.channels + channel) * kWindow + t) * positions + position]);
#pragma unroll
      for (int c = 0; c < 4; ++c) {
        const int64_t at = map + s.pixel[c];
        const float slope = from * to_float(x[at]);
        along_y += s.along_y(c) * slope;
        along_x += s.along_x(c) * slope;
        if (s.weight(c) != 0.f) atomicAdd(grad_x + at, s.weight(c) * from);
      }
    }
    T* to = grad_offset + (image * 2 * kWindow + 2 * t) * positions + position;
    assign(to, along_y);
    assign(to + positions, along_x);
  }
}

// ---------------------------------------------------------------------------------------------------------------
// Attention: q, k, v (batch, height, width, heads*channels); one warp for one pixel and head, lanes over channels

__device__ inline float warp_sum(float x) {
#pragma unroll
  for (int step = kWarp / 2; step; step /= 2) x += __shfl_xor_sync(kAll, x, step);
  return x;
}

__device__ inline float warp_max(float x) {
#pragma unroll
  for (int step = kWarp / 2; step; step /= 2) x = fmaxf(x, __shfl_xor_sync(kAll, x, step));
  return x;
}

// Softmax over the window, of which lane t holds the t-th logit; 0 in the other lanes.
__device__ inline float window_softmax(float logit, int lane) {
  const float largest = warp_max(lane < kWindow ? logit : -INFINITY);
  const float e = lane < kWindow ? expf(logit - largest) : 0.f;
  return e / warp_sum(e);
}

// Sample t of the window at the pixel; all lanes compute the same.
template <typename T>
__device__ inline Sample locate_attention(const Geometry& g, const T* offset, int64_t item, int row, int column,
                                          int t) {
  const T* pair = offset + (item * kWindow + t) * 2;
  return locate(place(g, row, t / 3, to_float(pair[0])), place(g, column, t % 3, to_float(pair[1])), g.height,
                g.width);
}

struct Item {
  int row, column;
  int64_t map;  // first element of the item's head in its image's k and v
};

__device__ inline Item unpack(const Geometry& g, int64_t item) {
  const int64_t pixels = (int64_t)g.height * g.width, pixel = item / g.heads;
  Item result;
  result.row = (int)(pixel % pixels / g.width);
  result.column = (int)(pixel % pixels % g.width);
  result.map = (pixel / pixels * pixels * g.heads + item % g.heads) * g.channels;
  return result;
}

template <typename T>
__global__ void attention_forward(Geometry g, const T* q, const T* k, const T* v, const T* offset,
                                  const T* position, T* out) {
  const int64_t items = g.batch * g.height * g.width * g.heads, step = (int64_t)g.heads * g.channels;
  const float scale = (float)g.scale;
  const int lane = threadIdx.x % kWarp;
  // the bound is the same for all lanes of a warp, so that none is missing from the shuffles
  for (int64_t item = ((int64_t)blockIdx.x * blockDim.x + threadIdx.x) / kWarp; item < items;
       item += (int64_t)gridDim.x * blockDim.x / kWarp) {
    const Item at = unpack(g, item);
    const T *query = q + item * g.channels, *keys = k + at.map, *values = v + at.map;
    float logit = 0.f;  // of sample `lane`
    for (int t = 0; t < kWindow; ++t) {
      const Sample s = locate_attention(g, offset, item, at.row, at.column, t);
      float product = 0.f;
      for (int j = lane; j < g.channels; j += kWarp) {
        float key = 0.f;
#pragma unroll
        for (int c = 0; c < 4; ++c) key += s.weight(c) * to_float(keys[s.pixel[c] * step + j]);
        product += to_float(query[j]) * key;
      }
      product = warp_sum(product);
      if (lane == t) logit = product;
    }
    if (lane < kWindow) logit = scale * logit + to_float(position[item * kWindow + lane]);
    const float p = window_softmax(logit, lane);
    for (int base = 0; base < g.channels; base += kWarp) {
      const int j = base + lane;
      float value = 0.f;
      for (int t = 0; t < kWindow; ++t) {
        const Sample s = locate_attention(g, offset, item, at.row, at.column, t);
        const float share = __shfl_sync(kAll, p, t);
        if (j < g.channels) {
#pragma unroll
          for (int c = 0; c < 4; ++c) value += share * s.weight(c) * to_float(values[s.pixel[c] * step + j]);
        }
      }
      if (j < g.channels) assign(out + item * g.channels + j, value);
    }
  }
}

template <typename T>
__global__ void attention_backward(Geometry g, const T* grad, const T* q, const T* k, const T* v,
                                   const T* offset, const T* position, T* grad_q, float* grad_k, float* grad_v,
                                   T* grad_offset, T* grad_position) {
  const int64_t items = g.batch * g.height * g.width * g.heads, step = (int64_t)g.heads * g.channels;
  const float scale = (float)g.scale;
  const int lane = threadIdx.x % kWarp;
  for (int64_t item = ((int64_t)blockIdx.x * blockDim.x + threadIdx.x) / kWarp; item < items;
       item += (int64_t)gridDim.x * blockDim.x / kWarp) {
    const Item at = unpack(g, item);
    const T *query = q + item * g.channels, *above = grad + item * g.channels;
    const T *keys = k + at.map, *values = v + at.map;
    // lane t keeps, of sample t: <q, k_t>, <grad, v_t>, and their derivatives along y and x
    float qk = 0.f, gv = 0.f, qk_y = 0.f, qk_x = 0.f, gv_y = 0.f, gv_x = 0.f;
    for (int t = 0; t < kWindow; ++t) {
      const Sample s = locate_attention(g, offset, item, at.row, at.column, t);
      float sums[6] = {0.f, 0.f, 0.f, 0.f, 0.f, 0.f};
      for (int j = lane; j < g.channels; j += kWarp) {
        const float of_q = to_float(query[j]), of_grad = to_float(above[j]);
#pragma unroll
        for (int c = 0; c < 4; ++c) {
          const int64_t element = s.pixel[c] * step + j;
          const float with_k = of_q * to_float(keys[element]), with_v = of_grad * to_float(values[element]);
          sums[0] += s.weight(c) * with_k;
          sums[1] += s.weight(c) * with_v;
          sums[2] += s.along_y(c) * with_k;
          sums[3] += s.along_x(c) * with_k;
          sums[4] += s.along_y(c) * with_v;
          sums[5] += s.along_x(c) * with_v;
        }
      }
#pragma unroll
      for (int n = 0; n < 6; ++n) sums[n] = warp_sum(sums[n]);
      if (lane == t) {
        qk = sums[0];
        gv = sums[1];
        qk_y = sums[2];
        qk_x = sums[3];
        gv_y = sums[4];
        gv_x = sums[5];
      }
    }
    const float logit = lane < kWindow ? scale * qk + to_float(position[item * kWindow + lane]) : 0.f;
    const float p = window_softmax(logit, lane);
    const float grad_logit = p * (gv - warp_sum(p * gv));
    if (lane < kWindow) {
      assign(grad_position + item * kWindow + lane, grad_logit);
      T* pair = grad_offset + (item * kWindow + lane) * 2;
      assign(pair, scale * grad_logit * qk_y + p * gv_y);
      assign(pair + 1, scale * grad_logit * qk_x + p * gv_x);
    }
    for (int base = 0; base < g.channels; base += kWarp) {
      const int j = base + lane;
      const bool mine = j < g.channels;
      const float of_q = mine ? to_float(query[j]) : 0.f, of_grad = mine ? to_float(above[j]) : 0.f;
      float to_q = 0.f;
      for (int t = 0; t < kWindow; ++t) {
        const Sample s = locate_attention(g, offset, item, at.row, at.column, t);
        const float share = __shfl_sync(kAll, p, t), by_logit = scale * __shfl_sync(kAll, grad_logit, t);
#pragma unroll
        for (int c = 0; c < 4; ++c) {
          const float weight = s.weight(c);
          if (!mine || weight == 0.f) continue;
          const int64_t element = s.pixel[c] * step + j;
          to_q += by_logit * weight * to_float(keys[element]);
          atomicAdd(grad_k + at.map + element, by_logit * weight * of_q);
          atomicAdd(grad_v + at.map + element, share * weight * of_grad);
        }
      }
      if (mine) assign(grad_q + item * g.channels + j, to_q);
    }
  }
}

// ---------------------------------------------------------------------------------------------------------------

__global__ void convert(int64_t count, const float* from, __half* to) {
  for (int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x; i < count; i += (int64_t)gridDim.x * blockDim.x)
    to[i] = __float2half(from[i]);
}

// Elements of x, and of k or v.
int64_t map_size(const Geometry& g) { return g.batch * g.heads * g.channels * g.height * g.width; }

// Float memory for sums: the result itself, or for half results a part of the workspace.
float* sums(float* result, float*) { return result; }
float* sums(__half*, float* workspace) { return workspace; }
void deliver(int64_t, const float*, float*, cudaStream_t) {}
void deliver(int64_t count, const float* from, __half* to, cudaStream_t stream) {
  convert<<<blocks(count), kThreads, 0, stream>>>(count, from, to);
}

template <typename T>
int run_unfold_forward(const Geometry& g, const T* const* in, T* const* out, float*, cudaStream_t stream) {
  const int64_t count = g.batch * ((g.channels + kGroup - 1) / kGroup) * kWindow * g.out_height * g.out_width;
  unfold_forward<T><<<blocks(count), kThreads, 0, stream>>>(g, in[0], in[1], out[0]);
  return (int)cudaGetLastError();
}

template <typename T>
int run_unfold_backward(const Geometry& g, const T* const* in, T* const* out, float* workspace, cudaStream_t stream) {
  const int64_t size = map_size(g), count = g.batch * kWindow * g.out_height * g.out_width;
  float* sum = sums(out[0], workspace);
  const cudaError_t cleared = cudaMemsetAsync(sum, 0, size * sizeof(float), stream);
  if (cleared != cudaSuccess) return (int)cleared;
  unfold_backward<T><<<blocks(count), kThreads, 0, stream>>>(g, in[0], in[1], in[2], sum, out[1]);
  deliver(size, sum, out[0], stream);
  return (int)cudaGetLastError();
}

template <typename T>
int run_attention_forward(const Geometry& g, const T* const* in, T* const* out, float*, cudaStream_t stream) {
  const int64_t threads = g.batch * g.height * g.width * g.heads * kWarp;
  attention_forward<T><<<blocks(threads), kThreads, 0, stream>>>(g, in[0], in[1], in[2], in[3], in[4], out[0]);
  return (int)cudaGetLastError();
}

template <typename T>
int run_attention_backward(const Geometry& g, const T* const* in, T* const* out, float* workspace,
                           cudaStream_t stream) {
  const int64_t size = map_size(g), threads = g.batch * g.height * g.width * g.heads * kWarp;
  float *sum_k = sums(out[1], workspace), *sum_v = sums(out[2], workspace + size);
  cudaError_t cleared = cudaMemsetAsync(sum_k, 0, size * sizeof(float), stream);
  if (cleared == cudaSuccess) cleared = cudaMemsetAsync(sum_v, 0, size * sizeof(float), stream);
  if (cleared != cudaSuccess) return (int)cleared;
  attention_backward<T><<<blocks(threads), kThreads, 0, stream>>>(g, in[0], in[1], in[2], in[3], in[4], in[5], out[0],
                                                                  sum_k, sum_v, out[3], out[4]);
  deliver(size, sum_k, out[1], stream);
  deliver(size, sum_v, out[2], stream);
  return (int)cudaGetLastError();
}

}  // namespace

#define MXNETSEG_LAUNCH(name)                                                                                      \
  MXNETSEG_LAUNCHER(name) {                                                                                        \
    float* const floats = (float*)workspace;                                                                       \
    return dtype == MXNETSEG_FLOAT16                                                                               \
               ? run_##name(*geometry, (const __half* const*)in, (__half* const*)out, floats, (cudaStream_t)stream) \
               : run_##name(*geometry, (const float* const*)in, (float* const*)out, floats, (cudaStream_t)stream);  \
  }
MXNETSEG_LAUNCH(unfold_forward)
MXNETSEG_LAUNCH(unfold_backward)
MXNETSEG_LAUNCH(attention_forward)
MXNETSEG_LAUNCH(attention_backward)

int64_t mxnetseg_gpu_workspace(int dtype, const Geometry* geometry, int maps) {
  return dtype == MXNETSEG_FLOAT16 ? maps * map_size(*geometry) * (int64_t)sizeof(float) : 0;
}

const char* mxnetseg_gpu_error(int code) { return cudaGetErrorString((cudaError_t)code); }
