// MXNet's side of mxnetseg_conv3x3, a 3x3 convolution with its gradients. Inputs: x (N, C, H, W), weight
// (num_filter, C, 3, 3), and bias (num_filter) unless no_bias is 1.

#include <limits>

#include "../common.h"
#include "../memory.h"
#include "convolution.h"

using namespace mxnetseg;  // NOLINT
using mxnetseg::cpu::WinogradGeometry;

namespace {

const std::string kConv = "mxnetseg_conv3x3";

WinogradGeometry geometry(const Attributes& given, const MXTensor& x) {
  return {x.shape[0], int(x.shape[1]), int(x.shape[2]), int(x.shape[3]), integer(given, kConv, "dilation", 1, 1)};
}

unsigned filters_of(const Attributes& given) {
  require_attributes(given, kConv, {"num_filter"});
  return integer(given, kConv, "num_filter", 1, 1);
}

MXReturnValue attributes(const Attributes& given, int* inputs, int* outputs) {
  integer(given, kConv, "dilation", 1, 1);
  filters_of(given);
  *inputs = flag(given, kConv, "no_bias") ? 2 : 3;
  *outputs = 1;
  return MX_SUCCESS;
}

MXReturnValue types(const Attributes&, Types* in, Types* out) {
  same_type(kConv, in, out);
  if (in->at(0) >= 0 && in->at(0) != kFloat32) fail(kConv + ": float32 only; cast the inputs first");
  return MX_SUCCESS;
}

// Those of weight and bias follow from x's: parameters may still be without one.
MXReturnValue shapes(const Attributes& given, Shapes* in, Shapes* out) {
  require_known(kConv, {"x"}, {in->at(0)});
  const Shape& x = in->at(0);
  const unsigned filters = filters_of(given);
  require_addressable(kConv, x[2], x[3]);
  const Shapes wanted{x, {filters, x[1], 3, 3}, {filters}};
  const char* const names[] = {"x", "weight", "bias"};
  for (size_t i = 1; i < in->size(); ++i) {
    const Shape& one = in->at(i);
    bool known = !one.empty();
    for (const unsigned size : one) known = known && size != 0 && size != UINT_MAX;
    if (known)
      require(kConv, names[i], one, wanted[i], "for x " + text(x) + " and num_filter=" + std::to_string(filters));
    in->at(i) = wanted[i];
  }
  out->at(0) = {x[0], filters, x[2], x[3]};
  return MX_SUCCESS;
}

// y = the convolution of x, in `scratch`.
void convolve(const WinogradGeometry& g, int filters, MXTensor& weight, bool back, const float* x, const float* bias,
              float* scratch, int threads, float* y) {
  float* const zeros = scratch + cpu::convolution_scratch(g, filters, threads);
  float* const packed = zeros + cpu::blocks_of(filters) * cpu::kLanes;
  if (!bias) std::fill_n(zeros, filters, 0.0f);
  const cpu::PlainFilters plain{weight.data<float>(), int(weight.shape[0]), int(weight.shape[1]), back, packed};
  constexpr float least = -std::numeric_limits<float>::infinity();
  const cpu::FloatLayer<cpu::PlainFilters> layer{filters, x, plain, bias ? bias : zeros, nullptr, least, y};
  cpu::convolution(g, layer, scratch, threads);
}

int64_t convolve_scratch(const WinogradGeometry& g, int filters, int threads) {
  return cpu::convolution_scratch(g, filters, threads) + cpu::blocks_of(filters) * cpu::kLanes +
         cpu::packed_filters(g, filters, threads);
}

MXReturnValue forward_cpu(const Attributes& given, Tensors* in, Tensors* out, const OpResource& resource) {
  const WinogradGeometry g = geometry(given, in->at(0));
  const int filters = int(in->at(1).shape[0]), threads = cpu::threads();
  const Workspace<float> scratch(resource, convolve_scratch(g, filters, threads));
  convolve(g, filters, in->at(1), false, in->at(0).data<float>(), in->size() > 2 ? in->at(2).data<float>() : nullptr,
           scratch.data(), threads, out->at(0).data<float>());
  return MX_SUCCESS;
}

// Gradient of the output, inputs, output -> gradients of the inputs.
MXReturnValue backward_cpu(const Attributes& given, Tensors* in, Tensors* out, const OpResource& resource) {
  const WinogradGeometry g = geometry(given, in->at(1));
  const int filters = int(in->at(2).shape[0]), threads = cpu::threads();
  WinogradGeometry back = g;
  back.channels = filters;
  const float* const dy = in->at(0).data<float>();
  const Workspace<float> scratch(resource, std::max(convolve_scratch(back, g.channels, threads),
                                                    cpu::weight_gradient_scratch(g, filters, threads)));
  convolve(back, g.channels, in->at(2), true, dy, nullptr, scratch.data(), threads, out->at(0).data<float>());
  cpu::weight_gradient(g, filters, in->at(1).data<float>(), dy, scratch.data(), threads, out->at(1).data<float>());
  if (out->size() > 2) cpu::bias_gradient(g, filters, dy, threads, out->at(2).data<float>());
  return MX_SUCCESS;
}

}  // namespace

REGISTER_OP(mxnetseg_conv3x3)
    .setParseAttrs(attributes)
    .setInferType(types)
    .setInferShape(shapes)
    .setForward(forward_cpu, "cpu")
    .setBackward(backward_cpu, "cpu");
