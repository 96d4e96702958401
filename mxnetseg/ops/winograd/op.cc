// MXNet's side of mxnetseg_winograd_input and mxnetseg_winograd_output.

#include <cstring>

#include "../common.h"
#include "transforms.h"

using namespace mxnetseg;  // NOLINT
using mxnetseg::cpu::WinogradGeometry;

namespace {

const std::string kInput = "mxnetseg_winograd_input", kOutput = "mxnetseg_winograd_output";

template <typename Sizes>
WinogradGeometry geometry(const Attributes& attributes, const std::string& op, const Sizes& shape) {
  return {int64_t(shape[0]), int(shape[1]), int(shape[2]), int(shape[3]), integer(attributes, op, "dilation", 1, 1)};
}

MXReturnValue types(const Attributes&, Types* in, Types* out) {
  same_type("mxnetseg_winograd", in, out);
  if (in->at(0) >= 0 && in->at(0) != kFloat32) fail("mxnetseg_winograd: float32 only; cast the inputs first");
  return MX_SUCCESS;
}

// The second output is empty: it tells the other operator how large the maps are.
MXReturnValue input_attributes(const Attributes& attributes, int* inputs, int* outputs) {
  integer(attributes, kInput, "dilation", 1, 1);
  *inputs = 1;
  *outputs = 2;
  return MX_SUCCESS;
}

MXReturnValue input_shapes(const Attributes& attributes, Shapes* in, Shapes* out) {
  require_known(kInput, {"x"}, *in);
  const Shape& x = in->at(0);
  require_addressable(kInput, x[2], x[3]);
  const int64_t tiles = geometry(attributes, kInput, x).tiles_in_all();
  if (tiles > INT_MAX) fail(kInput + ": maps of more than 2^31 tiles are not supported");
  out->at(0) = {cpu::kProducts, x[1], static_cast<unsigned>(tiles)};
  out->at(1) = {x[0], 1, x[2], x[3]};
  return MX_SUCCESS;
}

MXReturnValue input_cpu(const Attributes& attributes, Tensors* in, Tensors* out, const OpResource&) {
  cpu::winograd_input(geometry(attributes, kInput, in->at(0).shape), in->at(0).data<float>(), out->at(0).data<float>());
  std::memset(out->at(1).data_ptr, 0, out->at(1).size() * sizeof(float));
  return MX_SUCCESS;
}

// ---------------------------------------------------------------------------------------------------------------

MXReturnValue output_attributes(const Attributes& attributes, int* inputs, int* outputs) {
  integer(attributes, kOutput, "dilation", 1, 1);
  flag(attributes, kOutput, "relu");
  *inputs = flag(attributes, kOutput, "residual") ? 4 : 3;
  *outputs = 1;
  return MX_SUCCESS;
}

MXReturnValue output_shapes(const Attributes& attributes, Shapes* in, Shapes* out) {
  const bool residual = in->size() > 3;
  std::vector<const char*> names{"products", "size", "bias"};
  std::vector<size_t> axes{3, 4, 1};
  if (residual) {
    names.push_back("residual");
    axes.push_back(4);
  }
  require_known(kOutput, names, *in, axes);
  const Shape &products = in->at(0), &size = in->at(1);
  const unsigned tiles = static_cast<unsigned>(geometry(attributes, kOutput, size).tiles_in_all());
  require(kOutput, "products", products, {cpu::kProducts, products[1], tiles}, "for maps " + text(size));
  require(kOutput, "bias", in->at(2), {products[1]}, "(one per channel)");
  out->at(0) = {size[0], products[1], size[2], size[3]};
  if (residual) require(kOutput, "residual", in->at(3), out->at(0), "(the result's shape)");
  return MX_SUCCESS;
}

MXReturnValue output_cpu(const Attributes& attributes, Tensors* in, Tensors* out, const OpResource&) {
  cpu::winograd_output(geometry(attributes, kOutput, out->at(0).shape), in->at(0).data<float>(),
                       in->at(2).data<float>(), in->size() > 3 ? in->at(3).data<float>() : nullptr,
                       flag(attributes, kOutput, "relu"), out->at(0).data<float>());
  return MX_SUCCESS;
}

}  // namespace

REGISTER_OP(mxnetseg_winograd_input)
    .setParseAttrs(input_attributes)
    .setInferType(types)
    .setInferShape(input_shapes)
    .setForward(input_cpu, "cpu")
    .setBackward(no_gradient<kInput>, "cpu");

REGISTER_OP(mxnetseg_winograd_output)
    .setParseAttrs(output_attributes)
    .setInferType(types)
    .setInferShape(output_shapes)
    .setForward(output_cpu, "cpu")
    .setBackward(no_gradient<kOutput>, "cpu");
