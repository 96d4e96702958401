// Deformable sampling on NVIDIA GPUs; gpu.h says what each launcher does. Storage is float or half, arithmetic is
// float. Scatters add with atomics into float memory, so gradients of x, k and v may differ in the last bits from run
// to run.
//
// What bounds these kernels is instructions and atomics, not bytes: a sample is located once, by one lane, which tells
// the others; atomics of a warp go to neighbouring addresses, where 8 floats cost the memory as much as one; indices
// come from the grid, since divisions of 64 bits take as long as ten loads. Warps don't wait for each other.

#include <cuda_fp16.h>
#include <cuda_runtime.h>
#include <stdint.h>

#include <initializer_list>

#include "gpu.h"

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

// Blocks along a dimension of the grid: one per piece, as many as CUDA allows; the kernels' loops take over beyond.
unsigned blocks(int64_t size, int64_t piece, int64_t most = 65535) {
  const int64_t needed = (size + piece - 1) / piece;
  return (unsigned)(needed < most ? needed : most);
}

// ---------------------------------------------------------------------------------------------------------------
// Unfold: x (batch, channels, height, width), offset (batch, 18, out_height, out_width). One warp takes one sample of
// the window at 32 positions. Warps of a block take samples of the same positions, which lie close together, so that
// most pixels are read from memory only once: forward all nine, backward, which needs shared memory, a row of three.

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

// ---------------------------------------------------------------------------------------------------------------
// Attention: q, k, v (batch, height, width, heads*channels). 16 lanes take an item (a pixel and head), 64 channels at
// a time. A block takes a square of pixels of one head: their samples lie close together, so that most are read from
// memory only once. All lanes of a warp come to every shuffle.
//
// Lane l has channels l, l + 16, l + 32 and l + 48, whatever their number. If kWide, heads have 64 channels, as DGMN2's
// do, and arrays are aligned; then the lane reads and writes channels 4l to 4l + 3 at once.

constexpr int kAttentionThreads = 256;
constexpr int kLanes = 16;
constexpr int kEach = 4;
constexpr int kSlice = kLanes * kEach;
constexpr int kItems = kAttentionThreads / kLanes;
constexpr int kSquare = 4;  // pixels along its side
static_assert(kSquare * kSquare == kItems, "one item per 16 lanes");

__device__ inline float item_sum(float x) {
#pragma unroll
  for (int step = kLanes / 2; step; step /= 2) x += __shfl_xor_sync(kAll, x, step);
  return x;
}

__device__ inline float item_max(float x) {
#pragma unroll
  for (int step = kLanes / 2; step; step /= 2) x = fmaxf(x, __shfl_xor_sync(kAll, x, step));
  return x;
}

// Sums of 8 numbers over an item's lanes: lane l gets that of number l % 8. At each step, a lane gives away half of
// its numbers, which takes a third of the shuffles of 8 sums.
__device__ inline float eight_sums(float (&x)[8], int lane) {
#pragma unroll
  for (int step = 4; step; step /= 2) {
    const bool upper = lane & step;
#pragma unroll
    for (int i = 0; i < step; ++i) {
      const float mine = upper ? x[i + step] : x[i], other = upper ? x[i] : x[i + step];
      x[i] = mine + __shfl_xor_sync(kAll, other, step);
    }
  }
  return x[0] + __shfl_xor_sync(kAll, x[0], 8);
}

// Softmax over the window, of which lane t holds the t-th logit; 0 in the other lanes.
__device__ inline float window_softmax(float logit, int lane) {
  const float largest = item_max(lane < kWindow ? logit : -INFINITY);
  const float e = lane < kWindow ? expf(logit - largest) : 0.f;
  return e / item_sum(e);
}

struct Item {
  int row, column;
  bool live;      // else beyond the map, and to be computed for nothing
  int64_t index;  // among all items
  int64_t map;    // first element of the item's head in its image's k and v
};

// The item in a slot of the block's square.
__device__ inline Item item_of(const Geometry& g, int64_t image, int head, int slot) {
  const int squares = (g.width + kSquare - 1) / kSquare;
  const int row = (int)(blockIdx.x / squares) * kSquare + slot / kSquare;
  const int column = (int)(blockIdx.x % squares) * kSquare + slot % kSquare;
  const int64_t first = image * g.height * g.width * g.heads + head;
  Item item;
  item.live = row < g.height && column < g.width;
  item.row = min(row, g.height - 1);
  item.column = min(column, g.width - 1);
  item.index = first + ((int64_t)item.row * g.width + item.column) * g.heads;
  item.map = first * g.channels;
  return item;
}

// The item's sample number `lane`, in lanes 0 to 8.
template <typename T>
__device__ inline Sample locate_attention(const Geometry& g, const T* offset, const Item& item, int lane) {
  const int t = min(lane, kWindow - 1);
  const T* pair = offset + (item.index * kWindow + t) * 2;
  return locate(place(g, item.row, t / 3, to_float(pair[0])), place(g, item.column, t % 3, to_float(pair[1])),
                g.height, g.width);
}

template <typename T>
struct alignas(kEach * sizeof(T)) Four {
  T channel[kEach];
};

// A lane's share of the channels at `from`, 64 / count apart, of which `left` exist; 0 for those that don't.
template <typename T, int count>
__device__ inline void load(const T* from, int lane, int left, float (&to)[count]) {
#pragma unroll
  for (int i = 0; i < count; ++i) {
    const int channel = lane + i * (kSlice / count);
    to[i] = channel < left ? to_float(from[channel]) : 0.f;
  }
}

template <typename T, int count>
__device__ inline void store(T* to, int lane, int left, const float (&from)[count]) {
#pragma unroll
  for (int i = 0; i < count; ++i) {
    const int channel = lane + i * (kSlice / count);
    if (channel < left) assign(to + channel, from[i]);
  }
}

template <bool kWide, typename T>
__device__ inline void load_any(const T* from, int lane, int left, float (&to)[kEach]) {
  if (kWide) {
    const Four<T> four = *(const Four<T>*)(from + lane * kEach);
#pragma unroll
    for (int i = 0; i < kEach; ++i) to[i] = to_float(four.channel[i]);
  } else {
    load(from, lane, left, to);
  }
}

template <bool kWide, typename T>
__device__ inline void store_any(T* to, int lane, int left, const float (&from)[kEach]) {
  if (kWide) {
    Four<T> four;
#pragma unroll
    for (int i = 0; i < kEach; ++i) assign(four.channel + i, from[i]);
    *(Four<T>*)(to + lane * kEach) = four;
  } else {
    store(to, lane, left, from);
  }
}

template <typename T, bool kWide>
__global__ void __launch_bounds__(kAttentionThreads, 4)
attention_forward(Geometry g, const T* __restrict__ q, const T* __restrict__ k, const T* __restrict__ v,
                  const T* __restrict__ offset, const T* __restrict__ position, T* __restrict__ out) {
  __shared__ Corners located[kItems][kWindow];
  const int channels = kWide ? kSlice : g.channels, lane = threadIdx.x % kLanes;
  const int64_t step = (int64_t)g.heads * channels;
  const int slot = threadIdx.x / kLanes;  // in the square
  Corners* const corners = located[slot];
  for (int64_t image = blockIdx.z; image < g.batch; image += gridDim.z)
    for (int head = blockIdx.y; head < g.heads; head += gridDim.y) {
      const Item item = item_of(g, image, head, slot);
      const T *keys = k + item.map, *values = v + item.map;
      __syncwarp();  // until all have read the last item's corners
      if (lane < kWindow) corners[lane] = corners_of(locate_attention(g, offset, item, lane), step, true);
      __syncwarp();
      float logit = 0.f;  // of sample `lane`
#pragma unroll 3
      for (int t = 0; t < kWindow; ++t) {
        const Corners at = corners[t];
        float product = 0.f;
        for (int base = 0; base < channels; base += kSlice) {
          const int left = channels - base;
          float query[kEach];
          load_any<kWide>(q + item.index * channels + base, lane, left, query);
#pragma unroll
          for (int c = 0; c < 4; ++c) {
            float key[kEach], with_key = 0.f;
            load_any<kWide>(keys + at.element[c] + base, lane, left, key);
#pragma unroll
            for (int i = 0; i < kEach; ++i) with_key += query[i] * key[i];
            product += at.weight[c] * with_key;
          }
        }
        product = item_sum(product);
        if (lane == t) logit = product;
      }
      if (lane < kWindow) logit = (float)g.scale * logit + to_float(position[item.index * kWindow + lane]);
      const float p = window_softmax(logit, lane);
      for (int base = 0; base < channels; base += kSlice) {
        const int left = channels - base;
        float sum[kEach] = {};
#pragma unroll 3
        for (int t = 0; t < kWindow; ++t) {
          const Corners at = corners[t];
          const float share = __shfl_sync(kAll, p, t, kLanes);
#pragma unroll
          for (int c = 0; c < 4; ++c) {
            float value[kEach];
            load_any<kWide>(values + at.element[c] + base, lane, left, value);
#pragma unroll
            for (int i = 0; i < kEach; ++i) sum[i] += share * at.weight[c] * value[i];
          }
        }
        if (item.live) store_any<kWide>(out + item.index * channels + base, lane, left, sum);
      }
    }
}

// Gradients of an item's query and of the keys and values that it samples. Lane first + t holds, of sample t, the share
// `p` and the gradient `by_logit` of <q, k_t>.
template <typename T>
__device__ inline void scatter(const Geometry& g, const Item& item, const Corners* corners, int first, int channels,
                               float p, float by_logit, const T* grad, const T* q, const T* k, T* grad_q, float* grad_k,
                               float* grad_v) {
  constexpr int kShare = kSlice / kWarp;
  const int lane = threadIdx.x % kWarp;
  for (int base = 0; base < channels; base += kSlice) {
    const int64_t own = item.index * channels + base;
    const int left = channels - base;
    float query[kShare], above[kShare], to_q[kShare] = {};
    load(q + own, lane, left, query);
    load(grad + own, lane, left, above);
#pragma unroll 1
    for (int t = 0; t < kWindow; ++t) {
      const Corners at = corners[t];
      const float of_v = __shfl_sync(kAll, p, first + t), of_k = __shfl_sync(kAll, by_logit, first + t);
#pragma unroll
      for (int c = 0; c < 4; ++c) {
        if (at.weight[c] == 0.f) continue;
        const int64_t element = item.map + at.element[c] + base;
        float key[kShare];
        load(k + element, lane, left, key);
#pragma unroll
        for (int i = 0; i < kShare; ++i) {
          if (lane + i * kWarp >= left) continue;
          to_q[i] += of_k * at.weight[c] * key[i];
          atomicAdd(grad_k + element + lane + i * kWarp, of_k * at.weight[c] * query[i]);
          atomicAdd(grad_v + element + lane + i * kWarp, of_v * at.weight[c] * above[i]);
        }
      }
    }
    if (item.live) store(grad_q + own, lane, left, to_q);
  }
}

template <typename T, bool kWide>
__global__ void __launch_bounds__(kAttentionThreads, 4)
attention_backward(Geometry g, const T* __restrict__ grad, const T* __restrict__ q, const T* __restrict__ k,
                   const T* __restrict__ v, const T* __restrict__ offset, const T* __restrict__ position,
                   T* __restrict__ grad_q, float* __restrict__ grad_k, float* __restrict__ grad_v,
                   T* __restrict__ grad_offset, T* __restrict__ grad_position) {
  __shared__ Corners located[kItems][kWindow];
  __shared__ float products[kItems][kWindow][8];  // of every sample's corners: 4 of <q, k>, 4 of <grad, v>
  const int channels = kWide ? kSlice : g.channels, lane = threadIdx.x % kLanes;
  const int64_t step = (int64_t)g.heads * channels;
  const int slot = threadIdx.x / kLanes;                     // in the square
  const int first = threadIdx.x / kWarp * (kWarp / kLanes);  // of the warp's slots
  Corners* const corners = located[slot];
  float(*const dots)[8] = products[slot];
  const float scale = (float)g.scale;
  for (int64_t image = blockIdx.z; image < g.batch; image += gridDim.z)
    for (int head = blockIdx.y; head < g.heads; head += gridDim.y) {
      const Item item = item_of(g, image, head, slot);
      const int64_t own = item.index * channels;
      const Sample s = locate_attention(g, offset, item, lane);
      __syncwarp();  // until all have read the last item's corners
      if (lane < kWindow) corners[lane] = corners_of(s, step, item.live);
      __syncwarp();
#pragma unroll 1
      for (int t = 0; t < kWindow; ++t) {
        const Corners at = corners[t];
        float sums[8] = {};
        for (int base = 0; base < channels; base += kSlice) {
          const int left = channels - base;
          float query[kEach], above[kEach];
          load_any<kWide>(q + own + base, lane, left, query);
          load_any<kWide>(grad + own + base, lane, left, above);
#pragma unroll
          for (int c = 0; c < 4; ++c) {
            const int64_t element = item.map + at.element[c] + base;
            float key[kEach], value[kEach];
            load_any<kWide>(k + element, lane, left, key);
            load_any<kWide>(v + element, lane, left, value);
#pragma unroll
            for (int i = 0; i < kEach; ++i) {
              sums[c] += query[i] * key[i];
              sums[c + 4] += above[i] * value[i];
            }
          }
        }
        const float sum = eight_sums(sums, lane);
        if (lane < 8) dots[t][lane] = sum;
      }
      __syncwarp();
      // lane t: of sample t, <q, k_t>, <grad, v_t>, and their derivatives along y and x
      float qk = 0.f, gv = 0.f, qk_y = 0.f, qk_x = 0.f, gv_y = 0.f, gv_x = 0.f;
      if (lane < kWindow) {
#pragma unroll
        for (int c = 0; c < 4; ++c) {
          const float with_k = dots[lane][c], with_v = dots[lane][c + 4];
          qk += s.weight(c) * with_k;
          gv += s.weight(c) * with_v;
          qk_y += s.along_y(c) * with_k;
          qk_x += s.along_x(c) * with_k;
          gv_y += s.along_y(c) * with_v;
          gv_x += s.along_x(c) * with_v;
        }
      }
      const float logit = lane < kWindow ? scale * qk + to_float(position[item.index * kWindow + lane]) : 0.f;
      const float p = window_softmax(logit, lane);
      const float grad_logit = p * (gv - item_sum(p * gv));
      if (item.live && lane < kWindow) {
        assign(grad_position + item.index * kWindow + lane, grad_logit);
        T* const pair = grad_offset + (item.index * kWindow + lane) * 2;
        assign(pair, scale * grad_logit * qk_y + p * gv_y);
        assign(pair + 1, scale * grad_logit * qk_x + p * gv_x);
      }
      // The whole warp takes one of its items after the other, so that its atomics fill lines of 128 bytes.
#pragma unroll 1
      for (int n = 0; n < kWarp / kLanes; ++n)
        scatter(g, item_of(g, image, head, first + n), located[first + n], n * kLanes, channels, p, scale * grad_logit,
                grad, q, k, grad_q, grad_k, grad_v);
    }
}

// ---------------------------------------------------------------------------------------------------------------

constexpr int kThreads = 256;

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
  convert<<<blocks(count, kThreads), kThreads, 0, stream>>>(count, from, to);
}

// One warp for every 32 positions, `times` over; images; groups of channels.
dim3 unfold_grid(const Geometry& g, int64_t positions, int times, int threads, int group) {
  return dim3(blocks((positions + kWarp - 1) / kWarp * times, threads / kWarp, INT32_MAX), blocks(g.batch, 1),
              blocks(g.channels, group));
}

// Whether kernels with kWide serve; `arrays`: those that they read or write so.
template <typename T>
bool wide(const Geometry& g, std::initializer_list<const T*> arrays) {
  for (const T* array : arrays)
    if ((uintptr_t)array % alignof(Four<T>)) return false;
  return g.channels == kSlice;
}

dim3 attention_grid(const Geometry& g) {
  const int64_t squares = (int64_t)((g.height + kSquare - 1) / kSquare) * ((g.width + kSquare - 1) / kSquare);
  return dim3(blocks(squares, 1, INT32_MAX), blocks(g.heads, 1), blocks(g.batch, 1));
}

template <typename T>
int run_unfold_forward(const Geometry& g, const T* const* in, T* const* out, float*, cudaStream_t stream) {
  const dim3 grid = unfold_grid(g, (int64_t)g.out_height * g.out_width, kWindow, kForwardThreads, kGroup);
  unfold_forward<T><<<grid, kForwardThreads, 0, stream>>>(g, in[0], in[1], out[0]);
  return (int)cudaGetLastError();
}

template <typename T>
int run_unfold_backward(const Geometry& g, const T* const* in, T* const* out, float* workspace, cudaStream_t stream) {
  const cudaError_t cleared = cudaMemsetAsync(workspace, 0, map_size(g) * sizeof(float), stream);
  if (cleared != cudaSuccess) return (int)cleared;
  const dim3 grid = unfold_grid(g, (int64_t)g.out_height * g.out_width, kWindow, kBackwardThreads, g.channels);
  unfold_backward<T><<<grid, kBackwardThreads, 0, stream>>>(g, in[0], in[1], in[2], workspace, out[1]);
  const dim3 pixels = unfold_grid(g, (int64_t)g.height * g.width, 1, kTurnThreads, kWarp);
  channels_first<T><<<pixels, kTurnThreads, 0, stream>>>(g, workspace, out[0]);
  return (int)cudaGetLastError();
}

template <typename T>
int run_attention_forward(const Geometry& g, const T* const* in, T* const* out, float*, cudaStream_t stream) {
  const bool is_wide = wide<T>(g, {in[0], in[1], in[2], out[0]});
  const auto kernel = is_wide ? attention_forward<T, true> : attention_forward<T, false>;
  kernel<<<attention_grid(g), kAttentionThreads, 0, stream>>>(g, in[0], in[1], in[2], in[3], in[4], out[0]);
  return (int)cudaGetLastError();
}

template <typename T>
int run_attention_backward(const Geometry& g, const T* const* in, T* const* out, float* workspace,
                           cudaStream_t stream) {
  const int64_t size = map_size(g);
  float *sum_k = sums(out[1], workspace), *sum_v = sums(out[2], workspace + size);
  cudaError_t cleared = cudaMemsetAsync(sum_k, 0, size * sizeof(float), stream);
  if (cleared == cudaSuccess) cleared = cudaMemsetAsync(sum_v, 0, size * sizeof(float), stream);
  if (cleared != cudaSuccess) return (int)cleared;
  const bool is_wide = wide<T>(g, {in[0], in[1], in[2], in[3]});
  const auto kernel = is_wide ? attention_backward<T, true> : attention_backward<T, false>;
  kernel<<<attention_grid(g), kAttentionThreads, 0, stream>>>(g, in[0], in[1], in[2], in[3], in[4], in[5], out[0],
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

int64_t mxnetseg_gpu_unfold_workspace(int, const Geometry* geometry) {
  return map_size(*geometry) * (int64_t)sizeof(float);
}
int64_t mxnetseg_gpu_attention_workspace(int dtype, const Geometry* geometry) {
  return dtype == MXNETSEG_FLOAT16 ? 2 * map_size(*geometry) * (int64_t)sizeof(float) : 0;
}

const char* mxnetseg_gpu_error(int code) { return cudaGetErrorString((cudaError_t)code); }
