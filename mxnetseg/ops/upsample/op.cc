// MXNet's side of mxnetseg_upsample_argmax, mxnetseg_upsample_cross_entropy and mxnetseg_upsample_taps: attributes,
// types, shapes, memory.

#include <algorithm>
#include <cstring>

#include "../common.h"
#include "../memory.h"
#include "argmax.h"
#include "cross_entropy.h"
#include "taps.h"

using namespace mxnetseg;  // NOLINT
using mxnetseg::cpu::Enlarging;

namespace {

Enlarging enlarging(const MXTensor& source, int64_t out_height, int64_t out_width, bool align_corners) {
  const auto& shape = source.shape;
  return {shape[0],          int(shape[1]), int(shape[2]), int(shape[3]), int(out_height), int(out_width),
          align_corners};
}

const std::string kArgmax = "mxnetseg_upsample_argmax";
const unsigned kMostClasses = 256;  // the output is uint8

MXReturnValue argmax_attributes(const Attributes& attributes, int* inputs, int* outputs) {
  require_attributes(attributes, kArgmax, {"height", "width", "align_corners"});
  for (const char* name : {"height", "width"}) integer(attributes, kArgmax, name, 1, 1);
  flag(attributes, kArgmax, "align_corners");
  *inputs = 1;
  *outputs = 1;
  return MX_SUCCESS;
}

MXReturnValue argmax_types(const Attributes&, Types* in, Types* out) {
  Types none;
  same_type(kArgmax, in, &none);
  out->at(0) = kUint8;
  return MX_SUCCESS;
}

MXReturnValue argmax_shapes(const Attributes& attributes, Shapes* in, Shapes* out) {
  require_known(kArgmax, {"logits"}, *in);
  const Shape& logits = in->at(0);
  if (logits[1] > kMostClasses)
    fail(kArgmax + ": " + std::to_string(logits[1]) + " classes do not fit uint8; at most 256 do");
  out->at(0) = {logits[0], unsigned(integer(attributes, kArgmax, "height", 1, 1)),
                unsigned(integer(attributes, kArgmax, "width", 1, 1))};
  return MX_SUCCESS;
}

MXReturnValue argmax_cpu(const Attributes& attributes, Tensors* in, Tensors* out, const OpResource& resource) {
  const auto& size = out->at(0).shape;
  const Enlarging g = enlarging(in->at(0), size[1], size[2], flag(attributes, kArgmax, "align_corners"));
  return with_type(kArgmax, in->at(0), [&](auto number) {
    typedef decltype(number) T;
    const Workspace<T> workspace(resource, cpu::argmax_workspace<T>(g));
    cpu::upsample_argmax(g, in->at(0).data<T>(), out->at(0).data<uint8_t>(), workspace.data());
  });
}

// A step function has a gradient of 0. (MXNet compiles no graph with an operator that has no backward pass.)
MXReturnValue argmax_backward_cpu(const Attributes&, Tensors*, Tensors* out, const OpResource&) {
  MXTensor& gradient = out->at(0);
  std::memset(gradient.data_ptr, 0, gradient.size() * (gradient.dtype == kFloat64 ? 8 : 4));
  return MX_SUCCESS;
}

// ---------------------------------------------------------------------------------------------------------------

const std::string kCrossEntropy = "mxnetseg_upsample_cross_entropy";

// The outputs are the loss and its gradient, which costs little more while the forward pass has everything at hand.
MXReturnValue cross_entropy_attributes(const Attributes& attributes, int* inputs, int* outputs) {
  require_attributes(attributes, kCrossEntropy, {"align_corners"});
  flag(attributes, kCrossEntropy, "align_corners");
  number(attributes, kCrossEntropy, "smoothing");
  *inputs = 3;
  *outputs = 2;
  return MX_SUCCESS;
}

MXReturnValue cross_entropy_shapes(const Attributes&, Shapes* in, Shapes* out) {
  require_known(kCrossEntropy, {"logits", "labels", "class_weights"}, *in, {4, 3, 1});
  const Shape &logits = in->at(0), &labels = in->at(1);
  require(kCrossEntropy, "labels", labels, {logits[0], labels[1], labels[2]}, "for logits " + text(logits));
  require(kCrossEntropy, "class_weights", in->at(2), {cpu::kLabels}, "(one per label value)");
  out->at(0) = {logits[0]};
  out->at(1) = logits;
  return MX_SUCCESS;
}

MXReturnValue cross_entropy_cpu(const Attributes& attributes, Tensors* in, Tensors* out, const OpResource& resource) {
  const auto& size = in->at(1).shape;
  const Enlarging g = enlarging(in->at(0), size[1], size[2], flag(attributes, kCrossEntropy, "align_corners"));
  return with_type(kCrossEntropy, in->at(0), [&](auto zero) {
    typedef decltype(zero) T;
    const Workspace<T> workspace(resource, cpu::cross_entropy_workspace<T>(g));
    cpu::upsample_cross_entropy(g, static_cast<T>(number(attributes, kCrossEntropy, "smoothing")), in->at(0).data<T>(),
                                in->at(1).data<T>(), in->at(2).data<T>(), out->at(0).data<T>(), out->at(1).data<T>(),
                                workspace.data());
  });
}

// Gradients of both outputs, three inputs, both outputs -> gradients of the inputs.
MXReturnValue cross_entropy_backward_cpu(const Attributes&, Tensors* in, Tensors* out, const OpResource&) {
  return with_type(kCrossEntropy, in->at(0), [&](auto zero) {
    typedef decltype(zero) T;
    const T *grad = in->at(0).data<T>(), *gradient = in->at(6).data<T>();
    T* const to = out->at(0).data<T>();
    const int64_t batch = in->at(2).shape[0], size = in->at(2).size() / batch;
    for (int64_t n = 0; n < batch; ++n)
      for (int64_t i = 0; i < size; ++i) to[n * size + i] = grad[n] * gradient[n * size + i];
    for (int i : {1, 2})  // labels and weights are data
      std::memset(out->at(i).data_ptr, 0, out->at(i).size() * sizeof(T));
  });
}

// ---------------------------------------------------------------------------------------------------------------

const std::string kUpsampleTaps = "mxnetseg_upsample_taps";

// `factor`: how many times larger the output is; the second input is then a bias. 0: as large as the second input,
// which is added or, without `add`, tells the size alone.
MXReturnValue taps_attributes(const Attributes& attributes, int* inputs, int* outputs) {
  require_attributes(attributes, kUpsampleTaps, {"kernel", "factor", "align_corners", "add", "relu"});
  if (integer(attributes, kUpsampleTaps, "kernel", 1, 1) % 2 == 0) fail(kUpsampleTaps + ": kernel must be odd");
  for (const char* name : {"factor", "align_corners", "add", "relu"}) integer(attributes, kUpsampleTaps, name, 0, 0);
  *inputs = 2;
  *outputs = 1;
  return MX_SUCCESS;
}

MXReturnValue taps_shapes(const Attributes& attributes, Shapes* in, Shapes* out) {
  const unsigned factor = integer(attributes, kUpsampleTaps, "factor", 0, 0);
  const unsigned kernel = integer(attributes, kUpsampleTaps, "kernel", 1, 1);
  require_known(kUpsampleTaps, {"taps", "base"}, *in, {4, factor ? 1u : 4u});
  const Shape &taps = in->at(0), &base = in->at(1);
  const unsigned channels = factor                                      ? base[0]
                            : flag(attributes, kUpsampleTaps, "add") ? base[1]
                                                                        : std::max(1u, taps[1] / (kernel * kernel));
  require(kUpsampleTaps, "taps", taps, {factor ? taps[0] : base[0], kernel * kernel * channels, taps[2], taps[3]},
          "for a kernel of " + std::to_string(kernel) + " and base " + text(base));
  out->at(0) = {taps[0], channels, factor ? factor * taps[2] : base[2], factor ? factor * taps[3] : base[3]};
  return MX_SUCCESS;
}

MXReturnValue taps_cpu(const Attributes& attributes, Tensors* in, Tensors* out, const OpResource& resource) {
  MXTensor &taps = in->at(0), &base = in->at(1), &result = out->at(0);
  if (taps.dtype != kFloat32) fail(kUpsampleTaps + ": float32 only; cast the inputs first");
  const int kernel = integer(attributes, kUpsampleTaps, "kernel", 1, 1);
  Enlarging g = enlarging(taps, result.shape[2], result.shape[3], flag(attributes, kUpsampleTaps, "align_corners"));
  g.classes = static_cast<int>(result.shape[1]);
  const Workspace<float> workspace(resource, cpu::taps_workspace(g, kernel));
  use_huge_pages(result.data_ptr, result.size() * static_cast<int64_t>(sizeof(float)));
  const bool bias = base.shape.size() == 1, added = bias || flag(attributes, kUpsampleTaps, "add");
  cpu::upsample_taps(g, kernel, taps.data<float>(), added ? base.data<float>() : nullptr, bias,
                     flag(attributes, kUpsampleTaps, "relu"), result.data<float>(), workspace.data());
  return MX_SUCCESS;
}

}  // namespace

REGISTER_OP(mxnetseg_upsample_argmax)
    .setParseAttrs(argmax_attributes)
    .setInferType(argmax_types)
    .setInferShape(argmax_shapes)
    .setForward(argmax_cpu, "cpu")
    .setBackward(argmax_backward_cpu, "cpu");

REGISTER_OP(mxnetseg_upsample_cross_entropy)
    .setParseAttrs(cross_entropy_attributes)
    .setInferType(one_type<kCrossEntropy>)
    .setInferShape(cross_entropy_shapes)
    .setForward(cross_entropy_cpu, "cpu")
    .setBackward(cross_entropy_backward_cpu, "cpu");

REGISTER_OP(mxnetseg_upsample_taps)
    .setParseAttrs(taps_attributes)
    .setInferType(one_type<kUpsampleTaps>)
    .setInferShape(taps_shapes)
    .setForward(taps_cpu, "cpu")
    .setBackward(no_gradient<kUpsampleTaps>, "cpu");
