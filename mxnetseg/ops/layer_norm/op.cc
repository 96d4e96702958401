// MXNet's side of mxnetseg_layer_norm. Inputs: x (..., C), gamma (C), beta (C); attribute: epsilon.

#include "../common.h"
#include "../memory.h"
#include "rows.h"

using namespace mxnetseg;  // NOLINT

namespace {

const std::string kLayerNorm = "mxnetseg_layer_norm";

MXReturnValue attributes(const Attributes& given, int* inputs, int* outputs) {
  if (!(number(given, kLayerNorm, "epsilon") > 0)) fail(kLayerNorm + ": epsilon must be above 0");
  *inputs = 3;
  *outputs = 1;
  return MX_SUCCESS;
}

MXReturnValue shapes(const Attributes&, Shapes* in, Shapes* out) {
  require_known(kLayerNorm, {"x", "gamma", "beta"}, *in, {in->at(0).size(), 1, 1});
  const Shape& x = in->at(0);
  for (const int input : {1, 2})
    require(kLayerNorm, input == 1 ? "gamma" : "beta", in->at(input), {x.back()}, "(x's last axis)");
  out->at(0) = x;
  return MX_SUCCESS;
}

MXReturnValue forward_cpu(const Attributes& given, Tensors* in, Tensors* out, const OpResource&) {
  return with_type(kLayerNorm, in->at(0), [&](auto zero) {
    typedef decltype(zero) T;
    const int64_t size = in->at(1).size();
    cpu::layer_norm(in->at(0).data<T>(), in->at(1).data<T>(), in->at(2).data<T>(), in->at(0).size() / size, size,
                    T(number(given, kLayerNorm, "epsilon")), out->at(0).data<T>());
  });
}

// Gradient of the output, inputs, output -> gradients of the inputs.
MXReturnValue backward_cpu(const Attributes& given, Tensors* in, Tensors* out, const OpResource& resource) {
  return with_type(kLayerNorm, in->at(0), [&](auto zero) {
    typedef decltype(zero) T;
    const int64_t size = in->at(2).size();
    const Workspace<T> workspace(resource, cpu::layer_norm_workspace<T>(size));
    cpu::layer_norm_gradients(in->at(0).data<T>(), in->at(1).data<T>(), in->at(2).data<T>(), in->at(1).size() / size,
                              size, T(number(given, kLayerNorm, "epsilon")), out->at(0).data<T>(),
                              out->at(1).data<T>(), out->at(2).data<T>(), workspace.data());
  });
}

}  // namespace

REGISTER_OP(mxnetseg_layer_norm)
    .setParseAttrs(attributes)
    .setInferType(one_type<kLayerNorm>)
    .setInferShape(shapes)
    .setForward(forward_cpu, "cpu")
    .setBackward(backward_cpu, "cpu");
