// MXNet's side of mxnetseg_quantized_conv3x3. Inputs: x (N, C, H, W) uint8 or int8, weight (O / 16 rounded up, C / 2
// rounded up, 9, 16, 2) int8, steps (O,), bias (O,), the least and greatest value that x stands for, and with residual=1
// a residual (N, O, H, W) uint8 or int8 and its two. Outputs: (N, O, H, W) of `out_type`, and its two.

#include "../common.h"
#include "../memory.h"
#include "../quantized.h"
#include "bytes.h"
#include "narrow.h"
#include "wide.h"

using namespace mxnetseg;  // NOLINT
using mxnetseg::cpu::WinogradGeometry;

namespace {

const std::string kQuantized = "mxnetseg_quantized_conv3x3";
enum Input { kX, kWeight, kSteps, kBias, kLeast, kGreatest, kResidual, kResidualLeast, kResidualGreatest };

MXReturnValue attributes(const Attributes& given, int* inputs, int* outputs) {
  integer(given, kQuantized, "dilation", 1, 1);
  QuantizedOutput(kQuantized, given);
  *inputs = flag(given, kQuantized, "residual") ? kResidualGreatest + 1 : kGreatest + 1;
  *outputs = 3;
  return MX_SUCCESS;
}

MXReturnValue types(const Attributes& given, Types* in, Types* out) {
  const auto is = [&](size_t input, std::initializer_list<int> wanted, const char* name, const char* said) {
    int& type = in->at(input);
    if (type < 0 && wanted.size() == 1) type = *wanted.begin();
    if (type >= 0 && std::find(wanted.begin(), wanted.end(), type) == wanted.end())
      fail(kQuantized + ": " + name + " must be " + said);
  };
  is(kX, {kUint8, kInt8}, "x", "uint8 or int8");
  is(kWeight, {kInt8}, "weight", "int8");
  for (const Input input : {kSteps, kBias, kLeast, kGreatest}) is(input, {kFloat32}, "what is not x or weight", "float32");
  if (in->size() > kResidual) {
    is(kResidual, {kUint8, kInt8}, "residual", "uint8 or int8");
    for (const Input input : {kResidualLeast, kResidualGreatest}) is(input, {kFloat32}, "the residual's range", "float32");
  }
  *out = {QuantizedOutput(kQuantized, given).dtype(), kFloat32, kFloat32};
  return MX_SUCCESS;
}

MXReturnValue shapes(const Attributes&, Shapes* in, Shapes* out) {
  const bool residual = in->size() > kResidual;
  std::vector<const char*> names{"x", "weight", "steps", "bias", "least", "greatest"};
  std::vector<size_t> axes{4, 5, 1, 1, 1, 1};
  if (residual) {
    names.insert(names.end(), {"residual", "residual_least", "residual_greatest"});
    axes.insert(axes.end(), {4, 1, 1});
  }
  require_known(kQuantized, names, *in, axes);
  const Shape &x = in->at(kX), &bias = in->at(kBias);
  require_addressable(kQuantized, x[2], x[3]);
  const unsigned groups = (bias[0] + cpu::kLanes - 1) / cpu::kLanes;
  require(kQuantized, "weight", in->at(kWeight), {groups, (x[1] + 1) / 2, 9, cpu::kLanes, 2},
          "for " + text(bias) + " filters on maps " + text(x));
  require(kQuantized, "steps", in->at(kSteps), bias, "(one a filter)");
  for (size_t i = kLeast; i < in->size(); ++i)
    if (i != kResidual) require(kQuantized, names[i], in->at(i), {1}, "(one number)");
  const Shape result{x[0], bias[0], x[2], x[3]};
  if (residual) require(kQuantized, "residual", in->at(kResidual), result, "(the result's shape)");
  *out = {result, {1}, {1}};
  return MX_SUCCESS;
}

MXReturnValue forward(const Attributes& given, Tensors* in, Tensors* out, const OpResource& resource) {
  const MXTensor& x = in->at(kX);
  const int channels = int(x.shape[1]), filters = int(in->at(kBias).shape[0]), threads = cpu::threads();
  const WinogradGeometry pairs{x.shape[0], (channels + 1) / 2, int(x.shape[2]), int(x.shape[3]),
                               integer(given, kQuantized, "dilation", 1, 1)};
  const int64_t padded = cpu::blocks_of(filters) * cpu::kLanes;
  const bool narrow = cpu::NarrowPlan::serves(pairs, filters, threads);
  const int64_t needed = narrow ? cpu::NarrowPlan(pairs, filters, threads).scratch(pairs, threads)
                                : cpu::WidePlan(pairs, filters, threads).scratch(threads);
  const Workspace<float> memory(resource, 2 * padded + needed);
  float *const scale = memory.data(), *const bias = scale + padded, *const scratch = bias + padded;

  const auto type_of = [&](Input data, Input least, Input greatest) {
    return Quantized(in->at(data).dtype == kInt8, *in->at(least).data<float>(), *in->at(greatest).data<float>());
  };
  const QuantizedOutput result(kQuantized, given);
  const float of_out = result.type.step, of_x = type_of(kX, kLeast, kGreatest).step;
  const float *const steps = in->at(kSteps).data<float>(), *const biases = in->at(kBias).data<float>();
  for (int64_t f = 0; f < padded; ++f) {
    scale[f] = f < filters ? steps[f] * of_x / (cpu::kTooMuch * of_out) : 0;
    bias[f] = f < filters ? biases[f] / of_out : 0;
  }
  cpu::Rounding rounding{scale, bias, {nullptr, false}, 0, result.type.least(), result.type.most()};
  const auto bytes = [&](Input input) { return cpu::Bytes{in->at(input).data<uint8_t>(), in->at(input).dtype == kInt8}; };
  if (in->size() > kResidual) {
    rounding.residual = bytes(kResidual);
    rounding.residual_scale = type_of(kResidual, kResidualLeast, kResidualGreatest).step / of_out;
  }
  const cpu::ByteLayer layer{channels, filters, bytes(kX), in->at(kWeight).data<int8_t>(), rounding,
                             out->at(0).data<uint8_t>()};
  (narrow ? cpu::winograd_narrow<cpu::ByteLayer> : cpu::winograd_wide<cpu::ByteLayer>)(pairs, layer, scratch, threads);
  result.write_range(out);
  return MX_SUCCESS;
}

}  // namespace

REGISTER_OP(mxnetseg_quantized_conv3x3)
    .setParseAttrs(attributes)
    .setInferType(types)
    .setInferShape(shapes)
    .setForward(forward, "cpu")
    .setBackward(no_gradient<kQuantized>, "cpu");
