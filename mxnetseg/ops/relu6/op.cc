// mxnetseg_relu6: MXNet's clip is one number at a time, here it is a vector at a time.

#include "../common.h"

using namespace mxnetseg;  // NOLINT

namespace {

const std::string kRelu6 = "mxnetseg_relu6";

MXReturnValue attributes(const Attributes&, int* inputs, int* outputs) {
  *inputs = 1;
  *outputs = 1;
  return MX_SUCCESS;
}

MXReturnValue shapes(const Attributes&, Shapes* in, Shapes* out) {
  out->at(0) = in->at(0);
  return MX_SUCCESS;
}

// A NaN stays one.
MXReturnValue forward_cpu(const Attributes&, Tensors* in, Tensors* out, const OpResource&) {
  return with_type(kRelu6, in->at(0), [&](auto zero) {
    typedef decltype(zero) T;
    const T* const x = in->at(0).data<T>();
    T* const y = out->at(0).data<T>();
    const int64_t size = in->at(0).size();
#pragma omp parallel for simd schedule(static)
    for (int64_t i = 0; i < size; ++i) {
      const T positive = x[i] < 0 ? T(0) : x[i];
      y[i] = positive > 6 ? T(6) : positive;
    }
  });
}

// Gradient of the output, input, output -> gradient of the input. As clip's, it is passed on at 0 and at 6.
MXReturnValue backward_cpu(const Attributes&, Tensors* in, Tensors* out, const OpResource&) {
  return with_type(kRelu6, in->at(0), [&](auto zero) {
    typedef decltype(zero) T;
    const T *gradient = in->at(0).data<T>(), *x = in->at(1).data<T>();
    T* const to = out->at(0).data<T>();
    const int64_t size = in->at(0).size();
#pragma omp parallel for simd schedule(static)
    for (int64_t i = 0; i < size; ++i) to[i] = x[i] < 0 || x[i] > 6 ? T(0) : gradient[i];
  });
}

}  // namespace

REGISTER_OP(mxnetseg_relu6)
    .setParseAttrs(attributes)
    .setInferType(one_type<kRelu6>)
    .setInferShape(shapes)
    .setForward(forward_cpu, "cpu")
    .setBackward(backward_cpu, "cpu");
