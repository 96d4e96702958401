// Deformable sampling on NVIDIA GPUs; gpu.h says what each launcher does. Storage is float or half, arithmetic is
// float. Scatters add with atomics into float memory, so gradients of x, k and v may differ in the last bits from run
// to run.
//
// What bounds these kernels is instructions and atomics, not bytes: a sample is located once, by one lane, which tells
// the others; atomics of a warp go to neighbouring addresses, where 8 floats cost the memory as much as one; indices
// come from the grid, since divisions of 64 bits take as long as ten loads. Warps don't wait for each other.

#include <initializer_list>

#include "attention_kernels.h"
#include "gpu.h"
#include "unfold_kernels.h"

namespace {

// Blocks along a dimension of the grid: one per piece, as many as CUDA allows; the kernels' loops take over beyond.
unsigned blocks(int64_t size, int64_t piece, int64_t most = 65535) {
  const int64_t needed = (size + piece - 1) / piece;
  return (unsigned)(needed < most ? needed : most);
}

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
