// MXNet's side of mxnetseg_winograd.

#include <limits>

#include "../common.h"
#include "../memory.h"
#include "direct.h"

using namespace mxnetseg;  // NOLINT
using mxnetseg::cpu::WinogradGeometry;

namespace {

const std::string kOp = "mxnetseg_winograd";

WinogradGeometry geometry(const Attributes& attributes, const MXTensor& x) {
  return {x.shape[0], int(x.shape[1]), int(x.shape[2]), int(x.shape[3]), integer(attributes, kOp, "dilation", 1, 1)};
}

MXReturnValue parse(const Attributes& attributes, int* inputs, int* outputs) {
  integer(attributes, kOp, "dilation", 1, 1);
  flag(attributes, kOp, "relu");
  *inputs = flag(attributes, kOp, "residual") ? 4 : 3;
  *outputs = 1;
  return MX_SUCCESS;
}

MXReturnValue types(const Attributes&, Types* in, Types* out) {
  same_type(kOp, in, out);
  if (in->at(0) >= 0 && in->at(0) != kFloat32) fail(kOp + ": float32 only; cast the inputs first");
  return MX_SUCCESS;
}

MXReturnValue shapes(const Attributes&, Shapes* in, Shapes* out) {
  const bool residual = in->size() > 3;
  std::vector<const char*> names{"x", "weight", "bias"};
  std::vector<size_t> axes{4, 4, 1};
  if (residual) {
    names.push_back("residual");
    axes.push_back(4);
  }
  require_known(kOp, names, *in, axes);
  const Shape &x = in->at(0), &bias = in->at(2);
  require_addressable(kOp, x[2], x[3]);
  const unsigned groups = (bias[0] + cpu::kLanes - 1) / cpu::kLanes;
  require(kOp, "weight", in->at(1), {groups, x[1], 9, cpu::kLanes}, "for " + text(bias) + " filters on maps " + text(x));
  out->at(0) = {x[0], bias[0], x[2], x[3]};
  if (residual) require(kOp, "residual", in->at(3), out->at(0), "(the result's shape)");
  return MX_SUCCESS;
}

MXReturnValue forward(const Attributes& attributes, Tensors* in, Tensors* out, const OpResource& resource) {
  const WinogradGeometry g = geometry(attributes, in->at(0));
  const int filters = int(in->at(2).shape[0]), threads = cpu::threads();
  const bool directly = cpu::direct_is_faster(g);
  const Workspace<float> scratch(resource, directly ? cpu::direct_scratch(g)
                                                    : cpu::convolution_scratch(g, filters, threads));
  const cpu::FloatLayer<cpu::PackedFilters> layer{
      filters,
      in->at(0).data<float>(),
      {in->at(1).data<float>(), g.channels},
      in->at(2).data<float>(),
      in->size() > 3 ? in->at(3).data<float>() : nullptr,
      flag(attributes, kOp, "relu") ? 0 : -std::numeric_limits<float>::infinity(),
      out->at(0).data<float>()};
  (directly ? cpu::direct : cpu::convolution<cpu::PackedFilters>)(g, layer, scratch.data(), threads);
  return MX_SUCCESS;
}

}  // namespace

REGISTER_OP(mxnetseg_winograd)
    .setParseAttrs(parse)
    .setInferType(types)
    .setInferShape(shapes)
    .setForward(forward, "cpu")
    .setBackward(no_gradient<kOp>, "cpu");
