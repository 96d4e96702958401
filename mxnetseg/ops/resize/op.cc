// MXNet's side of mxnetseg_resize. Inputs: x (N, C, h, w), and two vectors of which only the lengths count, which are the
// result's height and width divided by `factor`.

#include <cstring>

#include "../common.h"
#include "../memory.h"
#include "planes.h"

using namespace mxnetseg;  // NOLINT

namespace {

const std::string kResize = "mxnetseg_resize";

MXReturnValue attributes(const Attributes& given, int* inputs, int* outputs) {
  flag(given, kResize, "align_corners");
  integer(given, kResize, "factor", 1, 1);
  *inputs = 3;
  *outputs = 1;
  return MX_SUCCESS;
}

MXReturnValue shapes(const Attributes& given, Shapes* in, Shapes* out) {
  require_known(kResize, {"x", "rows", "columns"}, *in, {4, 1, 1});
  const Shape& x = in->at(0);
  const int64_t factor = integer(given, kResize, "factor", 1, 1);
  const int64_t height = factor * in->at(1)[0], width = factor * in->at(2)[0];
  require_addressable(kResize, x[2], x[3]);
  require_addressable(kResize, height, width);
  out->at(0) = {x[0], x[1], static_cast<unsigned>(height), static_cast<unsigned>(width)};
  return MX_SUCCESS;
}

template <typename T, typename Sizes>
cpu::Resizing<T> resizing(const Attributes& given, const Sizes& x, const Sizes& y) {
  return {int(x[2]), int(x[3]), int(y[2]), int(y[3]), flag(given, kResize, "align_corners")};
}

MXReturnValue forward_cpu(const Attributes& given, Tensors* in, Tensors* out, const OpResource& resource) {
  return with_type(kResize, in->at(0), [&](auto zero) {
    typedef decltype(zero) T;
    const auto& shape = in->at(0).shape;
    const cpu::Resizing<T> r = resizing<T>(given, shape, out->at(0).shape);
    const Workspace<T> workspace(resource, cpu::resize_workspace(r));
    cpu::resize(r, shape[0] * shape[1], in->at(0).data<T>(), out->at(0).data<T>(), workspace.data());
  });
}

// Gradient of the output, inputs, output -> gradients of the inputs.
MXReturnValue backward_cpu(const Attributes& given, Tensors* in, Tensors* out, const OpResource& resource) {
  return with_type(kResize, in->at(0), [&](auto zero) {
    typedef decltype(zero) T;
    const auto& shape = in->at(1).shape;
    const cpu::Resizing<T> r = resizing<T>(given, shape, in->at(0).shape);
    const Workspace<T> workspace(resource, cpu::resize_gradient_workspace(r));
    cpu::resize_gradient(r, shape[0] * shape[1], in->at(0).data<T>(), out->at(0).data<T>(), workspace.data());
    for (const int input : {1, 2}) std::memset(out->at(input).data_ptr, 0, out->at(input).size() * sizeof(T));
  });
}

}  // namespace

REGISTER_OP(mxnetseg_resize)
    .setParseAttrs(attributes)
    .setInferType(one_type<kResize>)
    .setInferShape(shapes)
    .setForward(forward_cpu, "cpu")
    .setBackward(backward_cpu, "cpu");
