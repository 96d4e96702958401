// MXNet's side of mxnetseg_deform_unfold and mxnetseg_deform_attention: attributes, types, shapes, memory.

#include "../common.h"
#include "cpu.h"
#ifdef MXNETSEG_CUDA
#include "gpu.h"
#endif

using namespace mxnetseg;  // NOLINT
using mxnetseg::cpu::Geometry;
using mxnetseg::cpu::kTaps;

namespace {

int heads_of(const Attributes& attributes, const std::string& op) {
  if (!attributes.count("heads")) fail(op + ": the attribute heads is missing");
  return integer(attributes, op, "heads", 1, 1);
}

// ---------------------------------------------------------------------------------------------------------------

const char kUnfold[] = "mxnetseg_deform_unfold";

MXReturnValue unfold_attributes(const Attributes& attributes, int* inputs, int* outputs) {
  integer(attributes, kUnfold, "padding", 1, 0);
  integer(attributes, kUnfold, "dilation", 1, 1);
  integer(attributes, kUnfold, "stride", 1, 1);
  *inputs = 2;
  *outputs = 1;
  return MX_SUCCESS;
}

MXReturnValue unfold_types(const Attributes&, std::vector<int>* in, std::vector<int>* out) {
  return same_type(kUnfold, in, out);
}

MXReturnValue unfold_shapes(const Attributes& attributes, Shapes* in, Shapes* out) {
  require_known(kUnfold, {"x", "offset"}, *in);
  const std::vector<unsigned int>&x = in->at(0), &offset = in->at(1);
  const int64_t padding = integer(attributes, kUnfold, "padding", 1, 0);
  const int64_t dilation = integer(attributes, kUnfold, "dilation", 1, 1);
  const int64_t stride = integer(attributes, kUnfold, "stride", 1, 1);
  const int64_t room_y = int64_t(x[2]) + 2 * padding - 2 * dilation - 1, room_x = int64_t(x[3]) + 2 * padding - 2 * dilation - 1;
  if (room_y < 0 || room_x < 0) fail(std::string(kUnfold) + ": x " + text(x) + " is smaller than the window");
  const unsigned height = static_cast<unsigned>(room_y / stride + 1), width = static_cast<unsigned>(room_x / stride + 1);
  require(kUnfold, "offset", offset, {x[0], 2 * kTaps, height, width},
          "for x " + text(x) + ", padding " + std::to_string(padding) + ", dilation " + std::to_string(dilation) +
              ", stride " + std::to_string(stride));
  require_addressable(kUnfold, x[2], x[3]);
  require_addressable(kUnfold, height, width);
  out->at(0) = {x[0], x[1] * kTaps, height * width};
  return MX_SUCCESS;
}

template <typename G>
G unfold_geometry(const Attributes& attributes, const MXTensor& x, const MXTensor& offset) {
  G g{};
  g.batch = x.shape[0];
  g.heads = 1;
  g.channels = static_cast<int>(x.shape[1]);
  g.height = static_cast<int>(x.shape[2]);
  g.width = static_cast<int>(x.shape[3]);
  g.out_height = static_cast<int>(offset.shape[2]);
  g.out_width = static_cast<int>(offset.shape[3]);
  g.padding = integer(attributes, kUnfold, "padding", 1, 0);
  g.dilation = integer(attributes, kUnfold, "dilation", 1, 1);
  g.stride = integer(attributes, kUnfold, "stride", 1, 1);
  return g;
}

template <typename T>
MXReturnValue unfold_forward(const Geometry& g, std::vector<MXTensor>* in, std::vector<MXTensor>* out) {
  mxnetseg::cpu::unfold_forward<T>(g, in->at(0).data<T>(), in->at(1).data<T>(), out->at(0).data<T>());
  return MX_SUCCESS;
}

MXReturnValue unfold_forward_cpu(const Attributes& attributes, std::vector<MXTensor>* in, std::vector<MXTensor>* out,
                                 const OpResource&) {
  const Geometry g = unfold_geometry<Geometry>(attributes, in->at(0), in->at(1));
  if (in->at(0).dtype == kFloat32) return unfold_forward<float>(g, in, out);
  if (in->at(0).dtype == kFloat64) return unfold_forward<double>(g, in, out);
  refuse_type(kUnfold);
}

// Inputs of a backward pass: the gradients of the outputs, the inputs, the outputs.
template <typename T>
MXReturnValue unfold_backward(const Geometry& g, std::vector<MXTensor>* in, std::vector<MXTensor>* out) {
  mxnetseg::cpu::unfold_backward<T>(g, in->at(0).data<T>(), in->at(1).data<T>(), in->at(2).data<T>(),
                                    out->at(0).data<T>(), out->at(1).data<T>());
  return MX_SUCCESS;
}

MXReturnValue unfold_backward_cpu(const Attributes& attributes, std::vector<MXTensor>* in, std::vector<MXTensor>* out,
                                  const OpResource&) {
  const Geometry g = unfold_geometry<Geometry>(attributes, in->at(1), in->at(2));
  if (in->at(0).dtype == kFloat32) return unfold_backward<float>(g, in, out);
  if (in->at(0).dtype == kFloat64) return unfold_backward<double>(g, in, out);
  refuse_type(kUnfold);
}

// ---------------------------------------------------------------------------------------------------------------

const char kAttention[] = "mxnetseg_deform_attention";

MXReturnValue attention_attributes(const Attributes& attributes, int* inputs, int* outputs) {
  heads_of(attributes, kAttention);
  number(attributes, kAttention, "scale");
  integer(attributes, kAttention, "padding", 1, 0);
  integer(attributes, kAttention, "dilation", 1, 1);
  *inputs = 5;
  *outputs = 1;
  return MX_SUCCESS;
}

MXReturnValue attention_types(const Attributes&, std::vector<int>* in, std::vector<int>* out) {
  return same_type(kAttention, in, out);
}

MXReturnValue attention_shapes(const Attributes& attributes, Shapes* in, Shapes* out) {
  require_known(kAttention, {"q", "k", "v", "offset", "position"}, *in);
  const std::vector<unsigned int> q = in->at(0);
  const unsigned heads = static_cast<unsigned>(heads_of(attributes, kAttention));
  if (q[3] % heads)
    fail(std::string(kAttention) + ": the " + std::to_string(q[3]) + " channels of q " + text(q) +
         " can't be divided among heads=" + std::to_string(heads));
  const std::string because = "for q " + text(q) + " and heads=" + std::to_string(heads);
  require(kAttention, "k", in->at(1), q, because);
  require(kAttention, "v", in->at(2), q, because);
  require(kAttention, "offset", in->at(3), {q[0], q[1], q[2], heads * 2 * kTaps}, because);
  require(kAttention, "position", in->at(4), {q[0], q[1], q[2], heads * kTaps}, because);
  require_addressable(kAttention, q[1], q[2]);
  out->at(0) = q;
  return MX_SUCCESS;
}

template <typename G>
G attention_geometry(const Attributes& attributes, const MXTensor& q) {
  G g{};
  g.batch = q.shape[0];
  g.height = g.out_height = static_cast<int>(q.shape[1]);
  g.width = g.out_width = static_cast<int>(q.shape[2]);
  g.heads = heads_of(attributes, kAttention);
  g.channels = static_cast<int>(q.shape[3]) / g.heads;
  g.padding = integer(attributes, kAttention, "padding", 1, 0);
  g.dilation = integer(attributes, kAttention, "dilation", 1, 1);
  g.stride = 1;
  return g;
}

template <typename T>
MXReturnValue attention_forward(const Geometry& g, T scale, std::vector<MXTensor>* in, std::vector<MXTensor>* out) {
  mxnetseg::cpu::attention_forward<T>(g, scale, in->at(0).data<T>(), in->at(1).data<T>(), in->at(2).data<T>(),
                                      in->at(3).data<T>(), in->at(4).data<T>(), out->at(0).data<T>());
  return MX_SUCCESS;
}

MXReturnValue attention_forward_cpu(const Attributes& attributes, std::vector<MXTensor>* in,
                                    std::vector<MXTensor>* out, const OpResource&) {
  const Geometry g = attention_geometry<Geometry>(attributes, in->at(0));
  const double scale = number(attributes, kAttention, "scale");
  if (in->at(0).dtype == kFloat32) return attention_forward<float>(g, static_cast<float>(scale), in, out);
  if (in->at(0).dtype == kFloat64) return attention_forward<double>(g, scale, in, out);
  refuse_type(kAttention);
}

template <typename T>
MXReturnValue attention_backward(const Geometry& g, T scale, std::vector<MXTensor>* in, std::vector<MXTensor>* out,
                                 const OpResource& resource) {
  Scratch scratch(resource, mxnetseg::cpu::attention_workspace(g) * static_cast<int64_t>(sizeof(T)));
  mxnetseg::cpu::attention_backward<T>(g, scale, in->at(0).data<T>(), in->at(1).data<T>(), in->at(2).data<T>(),
                                       in->at(3).data<T>(), in->at(4).data<T>(), in->at(5).data<T>(),
                                       out->at(0).data<T>(), out->at(1).data<T>(), out->at(2).data<T>(),
                                       out->at(3).data<T>(), out->at(4).data<T>(), scratch.as<T>());
  return MX_SUCCESS;
}

MXReturnValue attention_backward_cpu(const Attributes& attributes, std::vector<MXTensor>* in,
                                     std::vector<MXTensor>* out, const OpResource& resource) {
  const Geometry g = attention_geometry<Geometry>(attributes, in->at(1));
  const double scale = number(attributes, kAttention, "scale");
  if (in->at(0).dtype == kFloat32) return attention_backward<float>(g, static_cast<float>(scale), in, out, resource);
  if (in->at(0).dtype == kFloat64) return attention_backward<double>(g, scale, in, out, resource);
  refuse_type(kAttention);
}

// ---------------------------------------------------------------------------------------------------------------

#ifdef MXNETSEG_CUDA

void check(const std::string& op, int code) {
  if (code) fail(op + ": CUDA says " + mxnetseg_gpu_error(code));
}

int gpu_type(const std::string& op, const MXTensor& tensor) {
  if (tensor.dtype != kFloat32 && tensor.dtype != kFloat16)
    fail(op + ": on a GPU float32 and float16 only; cast the inputs first");
  return tensor.dtype;
}

void* gpu_workspace(const std::string& op, const OpResource& resource, int64_t bytes) {
  if (bytes > INT_MAX) fail(op + ": the gradients need more than 2 GiB of scratch memory; take fewer images at a time");
  return bytes ? resource.alloc_gpu(static_cast<int>(bytes)) : nullptr;
}

MXReturnValue unfold_forward_gpu(const Attributes& attributes, std::vector<MXTensor>* in, std::vector<MXTensor>* out,
                                 const OpResource& resource) {
  const auto g = unfold_geometry<mxnetseg_geometry>(attributes, in->at(0), in->at(1));
  check(kUnfold, mxnetseg_gpu_unfold_forward(gpu_type(kUnfold, in->at(0)), &g, in->at(0).data_ptr, in->at(1).data_ptr,
                                             out->at(0).data_ptr, resource.get_cuda_stream()));
  return MX_SUCCESS;
}

MXReturnValue unfold_backward_gpu(const Attributes& attributes, std::vector<MXTensor>* in, std::vector<MXTensor>* out,
                                  const OpResource& resource) {
  const auto g = unfold_geometry<mxnetseg_geometry>(attributes, in->at(1), in->at(2));
  const int type = gpu_type(kUnfold, in->at(0));
  void* workspace = gpu_workspace(kUnfold, resource, mxnetseg_gpu_unfold_workspace(type, &g));
  check(kUnfold, mxnetseg_gpu_unfold_backward(type, &g, in->at(0).data_ptr, in->at(1).data_ptr, in->at(2).data_ptr,
                                              out->at(0).data_ptr, out->at(1).data_ptr, workspace,
                                              resource.get_cuda_stream()));
  return MX_SUCCESS;
}

MXReturnValue attention_forward_gpu(const Attributes& attributes, std::vector<MXTensor>* in,
                                    std::vector<MXTensor>* out, const OpResource& resource) {
  const auto g = attention_geometry<mxnetseg_geometry>(attributes, in->at(0));
  const float scale = static_cast<float>(number(attributes, kAttention, "scale"));
  check(kAttention, mxnetseg_gpu_attention_forward(gpu_type(kAttention, in->at(0)), &g, scale, in->at(0).data_ptr,
                                                   in->at(1).data_ptr, in->at(2).data_ptr, in->at(3).data_ptr,
                                                   in->at(4).data_ptr, out->at(0).data_ptr,
                                                   resource.get_cuda_stream()));
  return MX_SUCCESS;
}

MXReturnValue attention_backward_gpu(const Attributes& attributes, std::vector<MXTensor>* in,
                                     std::vector<MXTensor>* out, const OpResource& resource) {
  const auto g = attention_geometry<mxnetseg_geometry>(attributes, in->at(1));
  const float scale = static_cast<float>(number(attributes, kAttention, "scale"));
  const int type = gpu_type(kAttention, in->at(0));
  void* workspace = gpu_workspace(kAttention, resource, mxnetseg_gpu_attention_workspace(type, &g));
  check(kAttention,
        mxnetseg_gpu_attention_backward(type, &g, scale, in->at(0).data_ptr, in->at(1).data_ptr, in->at(2).data_ptr,
                                        in->at(3).data_ptr, in->at(4).data_ptr, in->at(5).data_ptr,
                                        out->at(0).data_ptr, out->at(1).data_ptr, out->at(2).data_ptr,
                                        out->at(3).data_ptr, out->at(4).data_ptr, workspace,
                                        resource.get_cuda_stream()));
  return MX_SUCCESS;
}

#endif  // MXNETSEG_CUDA

}  // namespace

REGISTER_OP(mxnetseg_deform_unfold)
    .setParseAttrs(unfold_attributes)
    .setInferType(unfold_types)
    .setInferShape(unfold_shapes)
#ifdef MXNETSEG_CUDA
    .setForward(unfold_forward_gpu, "gpu")
    .setBackward(unfold_backward_gpu, "gpu")
#endif
    .setForward(unfold_forward_cpu, "cpu")
    .setBackward(unfold_backward_cpu, "cpu");

REGISTER_OP(mxnetseg_deform_attention)
    .setParseAttrs(attention_attributes)
    .setInferType(attention_types)
    .setInferShape(attention_shapes)
#ifdef MXNETSEG_CUDA
    .setForward(attention_forward_gpu, "gpu")
    .setBackward(attention_backward_gpu, "gpu")
#endif
    .setForward(attention_forward_cpu, "cpu")
    .setBackward(attention_backward_cpu, "cpu");
