// Programs on 8-bit integers: what these stand for, and back.
#pragma once

#include "../quantized.h"
#include "program.h"

namespace mxnetseg {
namespace cpu {

inline void read(const uint8_t* from, const Quantized& type, int count, float* to) {
  const float step = type.step;
  if (type.is_signed) {
#pragma omp simd
    for (int i = 0; i < count; ++i) to[i] = step * static_cast<int8_t>(from[i]);
  } else {
#pragma omp simd
    for (int i = 0; i < count; ++i) to[i] = step * from[i];
  }
}

inline void write(const float* from, const Quantized& type, int count, uint8_t* to) {
  const float steps = 1 / type.step, least = type.least(), most = type.most();
#pragma omp simd
  for (int i = 0; i < count; ++i) to[i] = low_bits(nearest(from[i] * steps, least, most));
}

// What a program of one input makes of every 8-bit integer, by its bits.
struct Table {
  uint8_t of[256];

  Table(const Program& program, const Quantized& in, const Quantized& out) {
    std::vector<float> scratch(kRun * program.size());
    float numbers[256], results[256];
    for (int i = 0; i < 256; ++i) of[i] = static_cast<uint8_t>(i);
    read(of, in, 256, numbers);
    run(program, {{numbers, false}}, 256, scratch.data(), results);
    write(results, out, 256, of);
  }

  void map(const uint8_t* from, int64_t count, int threads, uint8_t* to) const {
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int64_t i = 0; i < count; ++i) to[i] = of[from[i]];
  }
};

}  // namespace cpu
}  // namespace mxnetseg
