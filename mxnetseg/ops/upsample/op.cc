// MXNet's side of mxnetseg_upsample_argmax: attributes, types, shapes, memory.

#include <cstring>

#include "../common.h"
#include "argmax.h"

using namespace mxnetseg;  // NOLINT
using mxnetseg::cpu::UpsampleGeometry;

namespace {

const char kArgmax[] = "mxnetseg_upsample_argmax";
const unsigned kMostClasses = 256;  // the output is uint8

UpsampleGeometry geometry(const Attributes& attributes, const std::string& op) {
  UpsampleGeometry g{};
  for (const char* name : {"height", "width", "align_corners"})
    if (!attributes.count(name)) fail(op + ": the attribute " + name + " is missing");
  g.out_height = integer(attributes, op, "height", 1, 1);
  g.out_width = integer(attributes, op, "width", 1, 1);
  g.align_corners = integer(attributes, op, "align_corners", 0, 0) != 0;
  return g;
}

UpsampleGeometry geometry(const Attributes& attributes, const std::string& op, const MXTensor& logits) {
  UpsampleGeometry g = geometry(attributes, op);
  g.batch = logits.shape[0];
  g.classes = static_cast<int>(logits.shape[1]);
  g.height = static_cast<int>(logits.shape[2]);
  g.width = static_cast<int>(logits.shape[3]);
  return g;
}

MXReturnValue argmax_attributes(const Attributes& attributes, int* inputs, int* outputs) {
  geometry(attributes, kArgmax);
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
  const UpsampleGeometry g = geometry(attributes, kArgmax);
  out->at(0) = {logits[0], static_cast<unsigned>(g.out_height), static_cast<unsigned>(g.out_width)};
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
  const UpsampleGeometry g = geometry(attributes, kArgmax, in->at(0));
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

}  // namespace

REGISTER_OP(mxnetseg_upsample_argmax)
    .setParseAttrs(argmax_attributes)
    .setInferType(argmax_types)
    .setInferShape(argmax_shapes)
    .setForward(argmax_cpu, "cpu")
    .setBackward(argmax_backward_cpu, "cpu");
