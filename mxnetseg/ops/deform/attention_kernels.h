// Attention: q, k, v (batch, height, width, heads*channels). 16 lanes take an item (a pixel and head), 64 channels at
// a time. A block takes a square of pixels of one head: their samples lie close together, so that most are read from
// memory only once. All lanes of a warp come to every shuffle.
//
// Lane l has channels l, l + 16, l + 32 and l + 48, whatever their number. If kWide, heads have 64 channels, as DGMN2's
// do, and arrays are aligned; then the lane reads and writes channels 4l to 4l + 3 at once.
#pragma once

#include "warp.h"

namespace {

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

}  // namespace
