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
using mxnetseg::cpu::UpsampleGeometry;

namespace {

const char kArgmax[] = "mxnetseg_upsample_argmax";
const unsigned kMostClasses = 256;  // the output is uint8

void require_attributes(const Attributes& attributes, const char* op, const std::vector<const char*>& names) {
  for (const char* name : names)
    if (!attributes.count(name)) fail(std::string(op) + ": the attribute " + name + " is missing");
}

UpsampleGeometry geometry(const Attributes& attributes, const char* op, const MXTensor& logits) {
  UpsampleGeometry g{};
  g.align_corners = integer(attributes, op, "align_corners", 0, 0) != 0;
  g.batch = logits.shape[0];
  g.classes = static_cast<int>(logits.shape[1]);
  g.height = static_cast<int>(logits.shape[2]);
  g.width = static_cast<int>(logits.shape[3]);
  return g;
}

UpsampleGeometry argmax_geometry(const Attributes& attributes, const MXTensor& logits) {
  UpsampleGeometry g = geometry(attributes, kArgmax, logits);
  g.out_height = integer(attributes, kArgmax, "height", 1, 1);
  g.out_width = integer(attributes, kArgmax, "width", 1, 1);
  return g;
}

MXReturnValue argmax_attributes(const Attributes& attributes, int* inputs, int* outputs) {
  require_attributes(attributes, kArgmax, {"height", "width", "align_corners"});
  for (const char* name : {"height", "width"}) integer(attributes, kArgmax, name, 1, 1);
  integer(attributes, kArgmax, "align_corners", 0, 0);
  *inputs = 1;
  *outputs = 1;
  return MX_SUCCESS;
}

MXReturnValue argmax_types(const Attributes&, std::vector<int>* in, std::vector<int>* out) {
  std::vector<int> none;
  same_type(kArgmax, in, &none);
  out->at(0) = kUint8;
  return MX_SUCCESS;
}

MXReturnValue argmax_shapes(const Attributes& attributes, Shapes* in, Shapes* out) {
  require_known(kArgmax, {"logits"}, *in);
  const std::vector<unsigned int>& logits = in->at(0);
  if (logits[1] > kMostClasses)
    fail(std::string(kArgmax) + ": " + std::to_string(logits[1]) + " classes do not fit uint8; at most 256 do");
  const int height = integer(attributes, kArgmax, "height", 1, 1), width = integer(attributes, kArgmax, "width", 1, 1);
  out->at(0) = {logits[0], static_cast<unsigned>(height), static_cast<unsigned>(width)};
  return MX_SUCCESS;
}

template <typename T>
MXReturnValue argmax(const UpsampleGeometry& g, std::vector<MXTensor>* in, std::vector<MXTensor>* out,
                     const OpResource& resource) {
  Scratch scratch(resource, mxnetseg::cpu::argmax_workspace<T>(g));
  mxnetseg::cpu::upsample_argmax<T>(g, in->at(0).data<T>(), out->at(0).data<uint8_t>(), scratch.as<T>());
  return MX_SUCCESS;
}

MXReturnValue argmax_cpu(const Attributes& attributes, std::vector<MXTensor>* in, std::vector<MXTensor>* out,
                         const OpResource& resource) {
  const UpsampleGeometry g = argmax_geometry(attributes, in->at(0));
  if (in->at(0).dtype == kFloat32) return argmax<float>(g, in, out, resource);
  if (in->at(0).dtype == kFloat64) return argmax<double>(g, in, out, resource);
  refuse_type(kArgmax);
}

// A step function has a gradient of 0. (MXNet compiles no graph with an operator that has no backward pass.)
MXReturnValue argmax_backward_cpu(const Attributes&, std::vector<MXTensor>*, std::vector<MXTensor>* out,
                                  const OpResource&) {
  MXTensor& gradient = out->at(0);
  std::memset(gradient.data_ptr, 0, gradient.size() * (gradient.dtype == kFloat64 ? 8 : 4));
  return MX_SUCCESS;
}

// ---------------------------------------------------------------------------------------------------------------

const char kCrossEntropy[] = "mxnetseg_upsample_cross_entropy";

// The outputs are the loss and its gradient, which costs little more while the forward pass has everything at hand.
MXReturnValue cross_entropy_attributes(const Attributes& attributes, int* inputs, int* outputs) {
  require_attributes(attributes, kCrossEntropy, {"align_corners", "smoothing"});
  integer(attributes, kCrossEntropy, "align_corners", 0, 0);
  number(attributes, kCrossEntropy, "smoothing");
  *inputs = 3;
  *outputs = 2;
  return MX_SUCCESS;
}

MXReturnValue cross_entropy_types(const Attributes&, std::vector<int>* in, std::vector<int>* out) {
  return same_type(kCrossEntropy, in, out);
}

MXReturnValue cross_entropy_shapes(const Attributes&, Shapes* in, Shapes* out) {
  require_known(kCrossEntropy, {"logits", "labels", "class_weights"}, *in, {4, 3, 1});
  const std::vector<unsigned int>&logits = in->at(0), &labels = in->at(1);
  require(kCrossEntropy, "labels", labels, {logits[0], labels[1], labels[2]}, "for logits " + text(logits));
  require(kCrossEntropy, "class_weights", in->at(2), {cpu::kLabels}, "(one per label value)");
  out->at(0) = {logits[0]};
  out->at(1) = logits;
  return MX_SUCCESS;
}

template <typename T>
MXReturnValue cross_entropy(const Attributes& attributes, std::vector<MXTensor>* in, std::vector<MXTensor>* out,
                            const OpResource& resource) {
  UpsampleGeometry g = geometry(attributes, kCrossEntropy, in->at(0));
  g.out_height = static_cast<int>(in->at(1).shape[1]);
  g.out_width = static_cast<int>(in->at(1).shape[2]);
  Scratch scratch(resource, cpu::cross_entropy_workspace<T>(g) * static_cast<int64_t>(sizeof(T)));
  cpu::upsample_cross_entropy<T>(g, static_cast<T>(number(attributes, kCrossEntropy, "smoothing")),
                                 in->at(0).data<T>(), in->at(1).data<T>(), in->at(2).data<T>(), out->at(0).data<T>(),
                                 out->at(1).data<T>(), scratch.as<T>());
  return MX_SUCCESS;
}

MXReturnValue cross_entropy_cpu(const Attributes& attributes, std::vector<MXTensor>* in, std::vector<MXTensor>* out,
                                const OpResource& resource) {
  if (in->at(0).dtype == kFloat32) return cross_entropy<float>(attributes, in, out, resource);
  if (in->at(0).dtype == kFloat64) return cross_entropy<double>(attributes, in, out, resource);
  refuse_type(kCrossEntropy);
}

template <typename T>
MXReturnValue cross_entropy_backward(std::vector<MXTensor>* in, std::vector<MXTensor>* out) {
  // gradients of both outputs, three inputs, both outputs -> gradients of the inputs
  const T *grad = in->at(0).data<T>(), *gradient = in->at(6).data<T>();
  T* const to = out->at(0).data<T>();
  const int64_t batch = in->at(2).shape[0], size = in->at(2).size() / batch;
  for (int64_t n = 0; n < batch; ++n)
    for (int64_t i = 0; i < size; ++i) to[n * size + i] = grad[n] * gradient[n * size + i];
  // labels and weights are data
  std::memset(out->at(1).data_ptr, 0, out->at(1).size() * sizeof(T));
  std::memset(out->at(2).data_ptr, 0, out->at(2).size() * sizeof(T));
  return MX_SUCCESS;
}

MXReturnValue cross_entropy_backward_cpu(const Attributes&, std::vector<MXTensor>* in, std::vector<MXTensor>* out,
                                         const OpResource&) {
  if (in->at(0).dtype == kFloat32) return cross_entropy_backward<float>(in, out);
  if (in->at(0).dtype == kFloat64) return cross_entropy_backward<double>(in, out);
  refuse_type(kCrossEntropy);
}

// ---------------------------------------------------------------------------------------------------------------

const char kTaps[] = "mxnetseg_upsample_taps";
const std::vector<const char*> kTapsNames{"kernel", "factor", "align_corners", "add", "relu"};

// `factor`: how many times larger the output is; the second input is then a bias. 0: as large as the second input,
// which is added or, without `add`, tells the size alone.
MXReturnValue taps_attributes(const Attributes& attributes, int* inputs, int* outputs) {
  require_attributes(attributes, kTaps, kTapsNames);
  if (integer(attributes, kTaps, "kernel", 1, 1) % 2 == 0) fail(std::string(kTaps) + ": kernel must be odd");
  for (const char* name : {"factor", "align_corners", "add", "relu"}) integer(attributes, kTaps, name, 0, 0);
  *inputs = 2;
  *outputs = 1;
  return MX_SUCCESS;
}

MXReturnValue taps_types(const Attributes&, std::vector<int>* in, std::vector<int>* out) {
  return same_type(kTaps, in, out);
}

MXReturnValue taps_shapes(const Attributes& attributes, Shapes* in, Shapes* out) {
  const unsigned factor = integer(attributes, kTaps, "factor", 0, 0), kernel = integer(attributes, kTaps, "kernel", 1, 1);
  require_known(kTaps, {"taps", "base"}, *in, {4, factor ? 1u : 4u});
  const std::vector<unsigned int>&taps = in->at(0), &base = in->at(1);
  const bool add = integer(attributes, kTaps, "add", 0, 0) != 0;
  const unsigned channels = factor ? base[0] : add ? base[1] : std::max(1u, taps[1] / (kernel * kernel));
  const std::string because = "for a kernel of " + std::to_string(kernel) + " and base " + text(base);
  require(kTaps, "taps", taps, {factor ? taps[0] : base[0], kernel * kernel * channels, taps[2], taps[3]}, because);
  const unsigned height = factor ? factor * taps[2] : base[2], width = factor ? factor * taps[3] : base[3];
  out->at(0) = {taps[0], channels, height, width};
  return MX_SUCCESS;
}

MXReturnValue taps_cpu(const Attributes& attributes, std::vector<MXTensor>* in, std::vector<MXTensor>* out,
                       const OpResource& resource) {
  if (in->at(0).dtype != kFloat32) fail(std::string(kTaps) + ": float32 only; cast the inputs first");
  MXTensor &taps = in->at(0), &result = out->at(0);
  cpu::TapsGeometry g{};
  g.kernel = integer(attributes, kTaps, "kernel", 1, 1);
  g.align_corners = integer(attributes, kTaps, "align_corners", 0, 0) != 0;
  g.relu = integer(attributes, kTaps, "relu", 0, 0) != 0;
  g.batch = result.shape[0];
  g.channels = static_cast<int>(result.shape[1]);
  g.height = static_cast<int>(taps.shape[2]);
  g.width = static_cast<int>(taps.shape[3]);
  g.out_height = static_cast<int>(result.shape[2]);
  g.out_width = static_cast<int>(result.shape[3]);
  Scratch scratch(resource, cpu::taps_workspace(g) * static_cast<int64_t>(sizeof(float)));
  cpu::use_huge_pages(result.data_ptr, result.size() * static_cast<int64_t>(sizeof(float)));
  const bool bias = in->at(1).shape.size() == 1, add = integer(attributes, kTaps, "add", 0, 0) != 0;
  cpu::upsample_taps(g, taps.data<float>(), bias || add ? in->at(1).data<float>() : nullptr, bias, result.data<float>(),
                     scratch.as<float>());
  return MX_SUCCESS;
}

// MXNet compiles no graph with an operator that has no backward pass.
MXReturnValue taps_backward_cpu(const Attributes&, std::vector<MXTensor>*, std::vector<MXTensor>*, const OpResource&) {
  fail(std::string(kTaps) + " is for inference alone and has no gradient");
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
    .setInferType(cross_entropy_types)
    .setInferShape(cross_entropy_shapes)
    .setForward(cross_entropy_cpu, "cpu")
    .setBackward(cross_entropy_backward_cpu, "cpu");

REGISTER_OP(mxnetseg_upsample_taps)
    .setParseAttrs(taps_attributes)
    .setInferType(taps_types)
    .setInferShape(taps_shapes)
    .setForward(taps_cpu, "cpu")
    .setBackward(taps_backward_cpu, "cpu");
