// Launchers of the CUDA half. Plain C, so that the operator's .cc needs no CUDA headers and another program can call
// them. All pointers are device memory; `stream` is a cudaStream_t; the result is a cudaError_t (0: launched).
#pragma once

#include <cstdint>

#ifdef __cplusplus
extern "C" {
#endif

enum { MXNETSEG_FLOAT32 = 0, MXNETSEG_FLOAT16 = 2 };  // MXNet's numbers

typedef struct {
  int64_t batch;
  int32_t heads, channels;  // channels of one head (attention); of x, with heads 1 (unfold)
  int32_t height, width, out_height, out_width, padding, dilation, stride;
} mxnetseg_geometry;

int mxnetseg_gpu_unfold_forward(int dtype, const mxnetseg_geometry* geometry, const void* x, const void* offset,
                                void* out, void* stream);

// `workspace`: bytes as mxnetseg_gpu_unfold_workspace says, may be null where that is 0.
int64_t mxnetseg_gpu_unfold_workspace(int dtype, const mxnetseg_geometry* geometry);
int mxnetseg_gpu_unfold_backward(int dtype, const mxnetseg_geometry* geometry, const void* grad, const void* x,
                                 const void* offset, void* grad_x, void* grad_offset, void* workspace, void* stream);

int mxnetseg_gpu_attention_forward(int dtype, const mxnetseg_geometry* geometry, float scale, const void* q,
                                   const void* k, const void* v, const void* offset, const void* position, void* out,
                                   void* stream);

int64_t mxnetseg_gpu_attention_workspace(int dtype, const mxnetseg_geometry* geometry);
int mxnetseg_gpu_attention_backward(int dtype, const mxnetseg_geometry* geometry, float scale, const void* grad,
                                    const void* q, const void* k, const void* v, const void* offset,
                                    const void* position, void* grad_q, void* grad_k, void* grad_v, void* grad_offset,
                                    void* grad_position, void* workspace, void* stream);

const char* mxnetseg_gpu_error(int code);

#ifdef __cplusplus
}
#endif
