// Device memory, copies and clocks for check_kernels.py, which has no other access to the CUDA runtime.

#include <cuda_runtime.h>
#include <stdint.h>

extern "C" {

int device_count() {
  int count = 0;
  return cudaGetDeviceCount(&count) == cudaSuccess ? count : 0;
}

int device_describe(int device, char* name, int length, int* capability, int64_t* memory) {
  cudaDeviceProp properties;
  const cudaError_t code = cudaGetDeviceProperties(&properties, device);
  if (code != cudaSuccess) return (int)code;
  int i = 0;
  for (; i + 1 < length && properties.name[i]; ++i) name[i] = properties.name[i];
  name[i] = 0;
  *capability = properties.major * 10 + properties.minor;
  *memory = (int64_t)properties.totalGlobalMem;
  return (int)cudaSetDevice(device);
}

int device_allocate(void** pointer, int64_t bytes) { return (int)cudaMalloc(pointer, (size_t)bytes); }
int device_free(void* pointer) { return (int)cudaFree(pointer); }
int device_fill(void* to, int byte, int64_t bytes) { return (int)cudaMemset(to, byte, (size_t)bytes); }
int device_upload(void* to, const void* from, int64_t bytes) {
  return (int)cudaMemcpy(to, from, (size_t)bytes, cudaMemcpyHostToDevice);
}
int device_download(void* to, const void* from, int64_t bytes) {
  return (int)cudaMemcpy(to, from, (size_t)bytes, cudaMemcpyDeviceToHost);
}
int device_copy(void* to, const void* from, int64_t bytes) {
  return (int)cudaMemcpyAsync(to, from, (size_t)bytes, cudaMemcpyDeviceToDevice, 0);
}
int device_wait() { return (int)cudaDeviceSynchronize(); }

// A clock of the device: events, 0.5 us fine.
int clock_mark(void** mark) {
  cudaEvent_t event;
  cudaError_t code = cudaEventCreate(&event);
  if (code == cudaSuccess) code = cudaEventRecord(event, 0);
  *mark = (void*)event;
  return (int)code;
}
int clock_between(void* start, void* end, float* milliseconds) {
  cudaError_t code = cudaEventSynchronize((cudaEvent_t)end);
  if (code == cudaSuccess) code = cudaEventElapsedTime(milliseconds, (cudaEvent_t)start, (cudaEvent_t)end);
  cudaEventDestroy((cudaEvent_t)start);
  cudaEventDestroy((cudaEvent_t)end);
  return (int)code;
}

}  // extern "C"
