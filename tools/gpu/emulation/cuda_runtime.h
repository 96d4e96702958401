// Enough of CUDA to run the kernels' C++ on a CPU, one warp at a time: it checks their arithmetic, indexing and
// shuffles, not what only a GPU shows (races, alignment, speed). The 32 lanes of a warp are coroutines that meet at
// every shuffle. check_kernels.py rewrites kernel<<<...>>>(...) into emulation::launch.
#pragma once

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <functional>
#include <vector>

#define __global__
#define __device__
#define __launch_bounds__(...)
#define __shared__ static  // one warp runs at a time
using std::max;
using std::min;

typedef int cudaError_t;
typedef void* cudaStream_t;
enum { cudaSuccess = 0, cudaErrorMemoryAllocation = 2 };

struct dim3 {
  unsigned x, y, z;
  dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};

namespace emulation {

constexpr int kLanes = 32;
constexpr size_t kStack = 64 << 10;

inline dim3 block, thread, blocks, threads;

struct Warp {
  ucontext_t scheduler, lanes[kLanes];
  std::vector<char> stacks = std::vector<char>(kLanes * kStack);
  bool done[kLanes];
  int64_t shuffles[kLanes];  // and __syncwarp() that the lane has come to
  float slots[2][kLanes];    // two, so that nobody overwrites what another has yet to read
  int lane;
  unsigned first;            // the thread that lane 0 is
  const std::function<void()>* body;
};
inline Warp warp;

inline void run_lane() {
  (*warp.body)();
  warp.done[warp.lane] = true;
}

inline float exchange(float value, int from) {
  const int lane = warp.lane;
  float* slots = warp.slots[warp.shuffles[lane]++ % 2];
  slots[lane] = value;
  swapcontext(&warp.lanes[lane], &warp.scheduler);
  return slots[from];
}

inline void run_warp(unsigned first, const std::function<void()>& body) {
  warp.first = first;
  warp.body = &body;
  for (int lane = 0; lane < kLanes; ++lane) {
    warp.done[lane] = false;
    warp.shuffles[lane] = 0;
    getcontext(&warp.lanes[lane]);
    warp.lanes[lane].uc_stack.ss_sp = &warp.stacks[lane * kStack];
    warp.lanes[lane].uc_stack.ss_size = kStack;
    warp.lanes[lane].uc_link = &warp.scheduler;
    makecontext(&warp.lanes[lane], run_lane, 0);
  }
  for (bool running = true; running;) {
    for (int lane = 0; lane < kLanes; ++lane) {
      if (warp.done[lane]) continue;
      warp.lane = lane;
      thread.x = first + lane;
      swapcontext(&warp.scheduler, &warp.lanes[lane]);
    }
    running = false;
    for (int lane = 0; lane < kLanes; ++lane) {
      running = running || !warp.done[lane];
      if (warp.done[lane] != warp.done[0] || warp.shuffles[lane] != warp.shuffles[0]) {
        fprintf(stderr, "lanes of one warp part at a shuffle: on a GPU this hangs or is undefined\n");
        abort();
      }
    }
  }
}

inline void launch(dim3 grid, int size, const std::function<void()>& body) {
  blocks = grid;
  threads.x = size;
  for (block.z = 0; block.z < blocks.z; ++block.z)
    for (block.y = 0; block.y < blocks.y; ++block.y)
      for (block.x = 0; block.x < blocks.x; ++block.x)
        for (unsigned first = 0; first < threads.x; first += kLanes) run_warp(first, body);
}

}  // namespace emulation

#define blockIdx emulation::block
#define threadIdx emulation::thread
#define gridDim emulation::blocks
#define blockDim emulation::threads

inline float __shfl_xor_sync(unsigned, float value, int mask) {
  return emulation::exchange(value, emulation::warp.lane ^ mask);
}
inline float __shfl_sync(unsigned, float value, int lane, int width = emulation::kLanes) {
  return emulation::exchange(value, emulation::warp.lane / width * width + lane);
}
inline void __syncwarp() { emulation::exchange(0, 0); }
inline float atomicAdd(float* to, float value) {
  const float before = *to;
  *to += value;
  return before;
}

// ---- the runtime

typedef std::chrono::steady_clock::time_point* cudaEvent_t;
enum { cudaMemcpyHostToDevice, cudaMemcpyDeviceToHost, cudaMemcpyDeviceToDevice };
struct cudaDeviceProp {
  char name[256];
  int major, minor;
  size_t totalGlobalMem;
};

inline cudaError_t cudaGetLastError() { return cudaSuccess; }
inline const char* cudaGetErrorString(cudaError_t) { return "out of memory"; }
inline cudaError_t cudaGetDeviceCount(int* count) { return *count = 1, cudaSuccess; }
inline cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int) {
  return *properties = {"emulation on a CPU", 0, 0, 0}, cudaSuccess;
}
inline cudaError_t cudaSetDevice(int) { return cudaSuccess; }
inline cudaError_t cudaMalloc(void** pointer, size_t bytes) {
  return (*pointer = malloc(bytes)) ? cudaSuccess : cudaErrorMemoryAllocation;
}
inline cudaError_t cudaFree(void* pointer) { return free(pointer), cudaSuccess; }
inline cudaError_t cudaMemset(void* to, int byte, size_t bytes) { return memset(to, byte, bytes), cudaSuccess; }
inline cudaError_t cudaMemsetAsync(void* to, int byte, size_t bytes, cudaStream_t) { return cudaMemset(to, byte, bytes); }
inline cudaError_t cudaMemcpy(void* to, const void* from, size_t bytes, int) {
  return memcpy(to, from, bytes), cudaSuccess;
}
inline cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, int kind, cudaStream_t) {
  return cudaMemcpy(to, from, bytes, kind);
}
inline cudaError_t cudaDeviceSynchronize() { return cudaSuccess; }
inline cudaError_t cudaEventCreate(cudaEvent_t* event) {
  return *event = new std::chrono::steady_clock::time_point, cudaSuccess;
}
inline cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t) {
  return *event = std::chrono::steady_clock::now(), cudaSuccess;
}
inline cudaError_t cudaEventSynchronize(cudaEvent_t) { return cudaSuccess; }
inline cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t start, cudaEvent_t end) {
  return *milliseconds = std::chrono::duration<float, std::milli>(*end - *start).count(), cudaSuccess;
}
inline cudaError_t cudaEventDestroy(cudaEvent_t event) { return delete event, cudaSuccess; }
