// MXNet's side of mxnetseg_deform_unfold and mxnetseg_deform_attention: attributes, types, shapes, memory.

#include <type_traits>
#include <utility>

#include "../common.h"
#include "../memory.h"
#include "attention.h"
#include "unfold.h"
#ifdef MXNETSEG_CUDA
#include "gpu.h"
#endif

using namespace mxnetseg;  // NOLINT

namespace {

const std::string kUnfold = "mxnetseg_deform_unfold", kAttention = "mxnetseg_deform_attention";

Geometry read(const Attributes& attributes, const std::string& op) {
  Geometry g{};
  g.heads = 1;
  g.padding = integer(attributes, op, "padding", 1, 0);
  g.dilation = integer(attributes, op, "dilation", 1, 1);
  g.stride = 1;
  return g;
}

Geometry read_unfold(const Attributes& attributes) {
  Geometry g = read(attributes, kUnfold);
  g.stride = integer(attributes, kUnfold, "stride", 1, 1);
  return g;
}

MXReturnValue unfold_attributes(const Attributes& attributes, int* inputs, int* outputs) {
  read_unfold(attributes);
  *inputs = 2;
  *outputs = 1;
  return MX_SUCCESS;
}

MXReturnValue unfold_shapes(const Attributes& attributes, Shapes* in, Shapes* out) {
  require_known(kUnfold, {"x", "offset"}, *in);
  const Shape &x = in->at(0), &offset = in->at(1);
  const Geometry g = read_unfold(attributes);
  const int64_t more = 2 * int64_t(g.padding) - 2 * int64_t(g.dilation) - 1;
  if (x[2] + more < 0 || x[3] + more < 0) fail(kUnfold + ": x " + text(x) + " is smaller than the window");
  const auto windows = [&](unsigned size) { return static_cast<unsigned>((size + more) / g.stride + 1); };
  const unsigned height = windows(x[2]), width = windows(x[3]);
  require(kUnfold, "offset", offset, {x[0], 2 * kWindow, height, width},
          "for x " + text(x) + ", padding " + std::to_string(g.padding) + ", dilation " + std::to_string(g.dilation) +
              ", stride " + std::to_string(g.stride));
  require_addressable(kUnfold, x[2], x[3]);
  require_addressable(kUnfold, height, width);
  out->at(0) = {x[0], x[1] * kWindow, height * width};
  return MX_SUCCESS;
}

Geometry unfold_geometry(const Attributes& attributes, const MXTensor& x, const MXTensor& offset) {
  Geometry g = read_unfold(attributes);
  g.batch = x.shape[0];
  g.channels = static_cast<int>(x.shape[1]);
  g.height = static_cast<int>(x.shape[2]);
  g.width = static_cast<int>(x.shape[3]);
  g.out_height = static_cast<int>(offset.shape[2]);
  g.out_width = static_cast<int>(offset.shape[3]);
  return g;
}

// ---------------------------------------------------------------------------------------------------------------

Geometry read_attention(const Attributes& attributes) {
  require_attributes(attributes, kAttention, {"heads"});
  Geometry g = read(attributes, kAttention);
  g.heads = integer(attributes, kAttention, "heads", 1, 1);
  g.scale = number(attributes, kAttention, "scale");
  return g;
}

MXReturnValue attention_attributes(const Attributes& attributes, int* inputs, int* outputs) {
  read_attention(attributes);
  *inputs = 5;
  *outputs = 1;
  return MX_SUCCESS;
}

MXReturnValue attention_shapes(const Attributes& attributes, Shapes* in, Shapes* out) {
  require_known(kAttention, {"q", "k", "v", "offset", "position"}, *in);
  const Shape q = in->at(0);
  const unsigned heads = static_cast<unsigned>(read_attention(attributes).heads);
  if (q[3] % heads)
    fail(kAttention + ": the " + std::to_string(q[3]) + " channels of q " + text(q) +
         " can't be divided among heads=" + std::to_string(heads));
  const std::string because = "for q " + text(q) + " and heads=" + std::to_string(heads);
  require(kAttention, "k", in->at(1), q, because);
  require(kAttention, "v", in->at(2), q, because);
  require(kAttention, "offset", in->at(3), {q[0], q[1], q[2], heads * 2 * kWindow}, because);
  require(kAttention, "position", in->at(4), {q[0], q[1], q[2], heads * kWindow}, because);
  require_addressable(kAttention, q[1], q[2]);
  out->at(0) = q;
  return MX_SUCCESS;
}

Geometry attention_geometry(const Attributes& attributes, const MXTensor& q, const MXTensor&) {  // as unfold's
  Geometry g = read_attention(attributes);
  g.batch = q.shape[0];
  g.height = g.out_height = static_cast<int>(q.shape[1]);
  g.width = g.out_width = static_cast<int>(q.shape[2]);
  g.channels = static_cast<int>(q.shape[3]) / g.heads;
  return g;
}

// ---------------------------------------------------------------------------------------------------------------

// What calls the kernels on the CPU, with the tensors as numbers of their type.
constexpr auto unfold_forward = [](const OpResource&, const Geometry& g, auto... tensors) {
  cpu::unfold_forward(g, tensors...);
};
constexpr auto unfold_backward = [](const OpResource&, const Geometry& g, auto... tensors) {
  cpu::unfold_backward(g, tensors...);
};
constexpr auto attention_forward = [](const OpResource&, const Geometry& g, auto... tensors) {
  cpu::attention_forward(g, tensors...);
};
constexpr auto attention_backward = [](const OpResource& resource, const Geometry& g, auto* grad, auto... tensors) {
  const Workspace<std::remove_pointer_t<decltype(grad)>> workspace(resource, cpu::attention_workspace(g));
  cpu::attention_backward(g, grad, tensors..., workspace.data());
};

template <typename T, typename Kernel, size_t... from, size_t... to>
void call(Kernel kernel, const OpResource& resource, const Geometry& g, Tensors& in, Tensors& out,
          std::index_sequence<from...>, std::index_sequence<to...>) {
  kernel(resource, g, in[from].template data<T>()..., out[to].template data<T>()...);
}

// A pass takes `ins` tensors and gives `outs`: forward one. A backward pass takes the gradient of that first.
template <const std::string& op, const auto& kernel, decltype(&unfold_geometry) geometry, size_t ins, size_t outs>
MXReturnValue on_cpu(const Attributes& attributes, Tensors* in, Tensors* out, const OpResource& resource) {
  const size_t first = outs > 1 ? 1 : 0;
  const Geometry g = geometry(attributes, in->at(first), in->at(first + 1));
  return with_type(op, in->at(0), [&](auto zero) {
    call<decltype(zero)>(kernel, resource, g, *in, *out, std::make_index_sequence<ins>(),
                         std::make_index_sequence<outs>());
  });
}

#ifdef MXNETSEG_CUDA

// `workspace_of`: null for a forward pass.
template <const std::string& op, decltype(&mxnetseg_gpu_unfold_forward) launcher, decltype(&unfold_geometry) geometry,
          decltype(&mxnetseg_gpu_unfold_workspace) workspace_of>
MXReturnValue launch(const Attributes& attributes, Tensors* in, Tensors* out, const OpResource& resource) {
  const size_t first = workspace_of ? 1 : 0;
  const Geometry g = geometry(attributes, in->at(first), in->at(first + 1));
  const int type = in->at(0).dtype;
  if (type != kFloat32 && type != kFloat16) fail(op + ": on a GPU float32 and float16 only; cast the inputs first");
  const int64_t bytes = workspace_of ? workspace_of(type, &g) : 0;
  if (bytes > INT_MAX) fail(op + ": the gradients need more than 2 GiB of scratch memory; take fewer images at a time");
  std::vector<const void*> from;
  std::vector<void*> to;
  for (const MXTensor& tensor : *in) from.push_back(tensor.data_ptr);
  for (const MXTensor& tensor : *out) to.push_back(tensor.data_ptr);
  void* const workspace = bytes ? resource.alloc_gpu(static_cast<int>(bytes)) : nullptr;
  const int code = launcher(type, &g, from.data(), to.data(), workspace, resource.get_cuda_stream());
  if (code) fail(op + ": CUDA says " + mxnetseg_gpu_error(code));
  return MX_SUCCESS;
}

#endif  // MXNETSEG_CUDA

}  // namespace

REGISTER_OP(mxnetseg_deform_unfold)
    .setParseAttrs(unfold_attributes)
    .setInferType(one_type<kUnfold>)
    .setInferShape(unfold_shapes)
#ifdef MXNETSEG_CUDA
    .setForward(launch<kUnfold, mxnetseg_gpu_unfold_forward, unfold_geometry, nullptr>, "gpu")
    .setBackward(launch<kUnfold, mxnetseg_gpu_unfold_backward, unfold_geometry, mxnetseg_gpu_unfold_workspace>,
                 "gpu")
#endif
    .setForward(on_cpu<kUnfold, unfold_forward, unfold_geometry, 2, 1>, "cpu")
    .setBackward(on_cpu<kUnfold, unfold_backward, unfold_geometry, 3, 2>, "cpu");

REGISTER_OP(mxnetseg_deform_attention)
    .setParseAttrs(attention_attributes)
    .setInferType(one_type<kAttention>)
    .setInferShape(attention_shapes)
#ifdef MXNETSEG_CUDA
    .setForward(launch<kAttention, mxnetseg_gpu_attention_forward, attention_geometry, nullptr>, "gpu")
    .setBackward(launch<kAttention, mxnetseg_gpu_attention_backward, attention_geometry, mxnetseg_gpu_attention_workspace>,
                 "gpu")
#endif
    .setForward(on_cpu<kAttention, attention_forward, attention_geometry, 5, 1>, "cpu")
    .setBackward(on_cpu<kAttention, attention_backward, attention_geometry, 6, 5>, "cpu");
