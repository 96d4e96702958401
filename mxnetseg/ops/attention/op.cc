// MXNet's side of mxnetseg_self_attention. Input: qkv (N, L, 3 C); attribute: heads, which divides C.

#include "../common.h"
#include "../memory.h"
#include "heads.h"

using namespace mxnetseg;  // NOLINT

namespace {

const std::string kSelfAttention = "mxnetseg_self_attention";

int64_t heads_of(const Attributes& given) { return integer(given, kSelfAttention, "heads", 1, 1); }

MXReturnValue attributes(const Attributes& given, int* inputs, int* outputs) {
  require_attributes(given, kSelfAttention, {"heads"});
  heads_of(given);
  *inputs = 1;
  *outputs = 1;
  return MX_SUCCESS;
}

MXReturnValue shapes(const Attributes& given, Shapes* in, Shapes* out) {
  require_known(kSelfAttention, {"qkv"}, *in, {3});
  const Shape& qkv = in->at(0);
  if (qkv[2] % (3 * heads_of(given)))
    fail(kSelfAttention + ": the last axis of qkv " + text(qkv) + " must be a multiple of 3 x " +
         std::to_string(heads_of(given)) + " heads");
  require_addressable(kSelfAttention, qkv[1], 1);
  out->at(0) = {qkv[0], qkv[1], qkv[2] / 3};
  return MX_SUCCESS;
}

cpu::AttentionSizes sizes_of(const Attributes& given, MXTensor* qkv) {
  const std::vector<int64_t>& shape = qkv->shape;
  return {shape[0], shape[1], heads_of(given), shape[2] / (3 * heads_of(given))};
}

MXReturnValue forward_cpu(const Attributes& given, Tensors* in, Tensors* out, const OpResource& resource) {
  return with_type(kSelfAttention, in->at(0), [&](auto zero) {
    typedef decltype(zero) T;
    const cpu::AttentionSizes sizes = sizes_of(given, &in->at(0));
    const Workspace<T> workspace(resource, cpu::threads() * cpu::attention_workspace<T>(sizes, false));
    cpu::attend(in->at(0).data<T>(), sizes, out->at(0).data<T>(), workspace.data());
  });
}

// Gradient of the output, input, output -> gradient of the input.
MXReturnValue backward_cpu(const Attributes& given, Tensors* in, Tensors* out, const OpResource& resource) {
  return with_type(kSelfAttention, in->at(0), [&](auto zero) {
    typedef decltype(zero) T;
    const cpu::AttentionSizes sizes = sizes_of(given, &in->at(1));
    const Workspace<T> workspace(resource, cpu::threads() * cpu::attention_workspace<T>(sizes, true));
    cpu::attend_gradient(in->at(0).data<T>(), in->at(1).data<T>(), in->at(2).data<T>(), sizes, out->at(0).data<T>(),
                         workspace.data());
  });
}

}  // namespace

REGISTER_OP(mxnetseg_self_attention)
    .setParseAttrs(attributes)
    .setInferType(one_type<kSelfAttention>)
    .setInferShape(shapes)
    .setForward(forward_cpu, "cpu")
    .setBackward(backward_cpu, "cpu");
