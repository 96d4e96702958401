// Many samples at once on a CPU.
#pragma once

#include "../simd.h"
#include "sampling.h"

namespace mxnetseg {
namespace cpu {

// The fields of N samples, each as an array.
template <typename T, int N>
struct Samples {
  alignas(64) T top[N], bottom[N], left[N], right[N];
  alignas(64) T has_top[N], has_bottom[N], has_left[N], has_right[N];
  alignas(64) int32_t pixel[4][N];

  void locate_all(const T* y, const T* x, int height, int width) {
#pragma omp simd
    for (int i = 0; i < N; ++i) {
      const Sample<T> s = locate(y[i], x[i], height, width);
      top[i] = s.top;
      bottom[i] = s.bottom;
      left[i] = s.left;
      right[i] = s.right;
      has_top[i] = s.has_top;
      has_bottom[i] = s.has_bottom;
      has_left[i] = s.has_left;
      has_right[i] = s.has_right;
      for (int c = 0; c < 4; ++c) pixel[c][i] = s.pixel[c];
    }
  }
};

}  // namespace cpu
}  // namespace mxnetseg
