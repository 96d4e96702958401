// MXNet's side of mxnetseg_depthwise. Inputs: x (N, C, H, W), weight (C, 1, kernel), and bias (C) unless no_bias is 1.

#include "../common.h"
#include "../memory.h"
#include "planes.h"

using namespace mxnetseg;  // NOLINT
using cpu::DepthwiseGeometry;
using cpu::DepthwiseSide;

namespace {

const std::string kDepthwise = "mxnetseg_depthwise";

DepthwiseSide side(const Attributes& attributes, const std::string& axis, int64_t size, int64_t kernel) {
  const auto of = [&](const std::string& name, int fallback) {
    return integer(attributes, kDepthwise, (name + axis).c_str(), fallback, fallback);
  };
  return {int(size), int(kernel), of("stride", 1), of("pad", 0), of("dilation", 1)};
}

template <typename Sizes>
DepthwiseGeometry geometry(const Attributes& attributes, const Sizes& x, const Sizes& weight) {
  return {int64_t(x[0]), int64_t(x[1]), side(attributes, "_h", x[2], weight[2]), side(attributes, "_w", x[3], weight[3])};
}

MXReturnValue attributes(const Attributes& given, int* inputs, int* outputs) {
  geometry(given, Shape{1, 1, 1, 1}, Shape{1, 1, 1, 1});
  *inputs = flag(given, kDepthwise, "no_bias") ? 2 : 3;
  *outputs = 1;
  return MX_SUCCESS;
}

MXReturnValue shapes(const Attributes& given, Shapes* in, Shapes* out) {
  const bool bias = in->size() > 2;
  std::vector<const char*> names{"x", "weight"};
  std::vector<size_t> axes{4, 4};
  if (bias) {
    names.push_back("bias");
    axes.push_back(1);
  }
  require_known(kDepthwise, names, *in, axes);
  const Shape &x = in->at(0), &weight = in->at(1);
  require(kDepthwise, "weight", weight, {x[1], 1, weight[2], weight[3]}, "(one kernel per channel of x)");
  if (bias) require(kDepthwise, "bias", in->at(2), {x[1]}, "(one per channel)");
  require_addressable(kDepthwise, x[2], x[3]);
  const DepthwiseGeometry g = geometry(given, x, weight);
  for (const DepthwiseSide& one : {g.down, g.across}) {
    if (one.size + 2 * one.pad <= one.reach()) fail(kDepthwise + ": x " + text(x) + " is smaller than the kernel");
    if (one.pad > one.reach()) fail(kDepthwise + ": padding wider than the kernel is not supported");
  }
  out->at(0) = {x[0], x[1], static_cast<unsigned>(g.down.out()), static_cast<unsigned>(g.across.out())};
  return MX_SUCCESS;
}

MXReturnValue forward_cpu(const Attributes& given, Tensors* in, Tensors* out, const OpResource& resource) {
  return with_type(kDepthwise, in->at(0), [&](auto zero) {
    typedef decltype(zero) T;
    const DepthwiseGeometry g = geometry(given, in->at(0).shape, in->at(1).shape);
    const Workspace<T> workspace(resource, cpu::depthwise_workspace<T>(g));
    cpu::depthwise(g, in->at(0).data<T>(), in->at(1).data<T>(), in->size() > 2 ? in->at(2).data<T>() : nullptr,
                   out->at(0).data<T>(), workspace.data());
  });
}

// Gradient of the output, inputs, output -> gradients of the inputs.
MXReturnValue backward_cpu(const Attributes& given, Tensors* in, Tensors* out, const OpResource& resource) {
  return with_type(kDepthwise, in->at(0), [&](auto zero) {
    typedef decltype(zero) T;
    const DepthwiseGeometry g = geometry(given, in->at(1).shape, in->at(2).shape);
    const Workspace<T> workspace(resource, cpu::depthwise_gradients_workspace<T>(g));
    cpu::depthwise_gradients(g, in->at(0).data<T>(), in->at(1).data<T>(), in->at(2).data<T>(), out->at(0).data<T>(),
                             out->at(1).data<T>(), out->size() > 2 ? out->at(2).data<T>() : nullptr, workspace.data());
  });
}

}  // namespace

REGISTER_OP(mxnetseg_depthwise)
    .setParseAttrs(attributes)
    .setInferType(one_type<kDepthwise>)
    .setInferShape(shapes)
    .setForward(forward_cpu, "cpu")
    .setBackward(backward_cpu, "cpu");
