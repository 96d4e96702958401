// Launchers of the CUDA half, declared without CUDA's headers, so that the operator's .cc and other programs can call
// them. `in` and `out`: device memory, in the order of the operator's inputs and outputs in MXNet; for a backward pass
// the outputs' gradient comes before the inputs. `workspace`: as many bytes as the operator's _workspace says, may be
// null where that is 0 and for forward passes; `stream`: a cudaStream_t. The result is a cudaError_t (0: launched).
#pragma once

#include "sampling.h"

enum { MXNETSEG_FLOAT32 = 0, MXNETSEG_FLOAT16 = 2 };  // MXNet's numbers

extern "C" {

#define MXNETSEG_LAUNCHER(name)                                                                      \
  int mxnetseg_gpu_##name(int dtype, const mxnetseg::Geometry* geometry, const void* const* in,      \
                          void* const* out, void* workspace, void* stream)
MXNETSEG_LAUNCHER(unfold_forward);
MXNETSEG_LAUNCHER(unfold_backward);
MXNETSEG_LAUNCHER(attention_forward);
MXNETSEG_LAUNCHER(attention_backward);

// Of a backward pass.
int64_t mxnetseg_gpu_unfold_workspace(int dtype, const mxnetseg::Geometry* geometry);
int64_t mxnetseg_gpu_attention_workspace(int dtype, const mxnetseg::Geometry* geometry);

const char* mxnetseg_gpu_error(int code);

}  // extern "C"
