// mxnetseg_channel_scale: x (N, C, H, W) times scale (1, C, 1, 1).

#include "../common.h"

using namespace mxnetseg;  // NOLINT

namespace {

const std::string kChannelScale = "mxnetseg_channel_scale";

MXReturnValue attributes(const Attributes&, int* inputs, int* outputs) {
  *inputs = 2;
  *outputs = 1;
  return MX_SUCCESS;
}

MXReturnValue shapes(const Attributes&, Shapes* in, Shapes* out) {
  require_known(kChannelScale, {"x", "scale"}, *in);
  require(kChannelScale, "scale", in->at(1), {1, in->at(0)[1], 1, 1}, "(a factor for each channel of x)");
  out->at(0) = in->at(0);
  return MX_SUCCESS;
}

MXReturnValue forward_cpu(const Attributes&, Tensors* in, Tensors* out, const OpResource&) {
  return with_type(kChannelScale, in->at(0), [&](auto zero) {
    typedef decltype(zero) T;
    const T *const x = in->at(0).data<T>(), *const scale = in->at(1).data<T>();
    T* const y = out->at(0).data<T>();
    const int64_t channels = in->at(0).shape[1], planes = in->at(0).shape[0] * channels;
    const int64_t pixels = in->at(0).size() / planes;
#pragma omp parallel for schedule(static)
    for (int64_t plane = 0; plane < planes; ++plane) {
      const T factor = scale[plane % channels];
#pragma omp simd
      for (int64_t i = plane * pixels; i < (plane + 1) * pixels; ++i) y[i] = factor * x[i];
    }
  });
}

// Gradient of the output, inputs, output -> gradients of the inputs. Each channel is one thread's, so sums don't depend
// on their number.
MXReturnValue backward_cpu(const Attributes&, Tensors* in, Tensors* out, const OpResource&) {
  return with_type(kChannelScale, in->at(0), [&](auto zero) {
    typedef decltype(zero) T;
    const T *const given = in->at(0).data<T>(), *const x = in->at(1).data<T>(), *const scale = in->at(2).data<T>();
    T *const of_x = out->at(0).data<T>(), *const of_scale = out->at(1).data<T>();
    const int64_t images = in->at(1).shape[0], channels = in->at(1).shape[1];
    const int64_t pixels = in->at(1).size() / (images * channels);
#pragma omp parallel for schedule(dynamic)
    for (int64_t channel = 0; channel < channels; ++channel) {
      T total = 0;
      for (int64_t image = 0; image < images; ++image) {
        const int64_t first = (image * channels + channel) * pixels;
        T sum = 0;
#pragma omp simd reduction(+ : sum)
        for (int64_t i = first; i < first + pixels; ++i) {
          of_x[i] = scale[channel] * given[i];
          sum += given[i] * x[i];
        }
        total += sum;
      }
      of_scale[channel] = total;
    }
  });
}

}  // namespace

REGISTER_OP(mxnetseg_channel_scale)
    .setParseAttrs(attributes)
    .setInferType(one_type<kChannelScale>)
    .setInferShape(shapes)
    .setForward(forward_cpu, "cpu")
    .setBackward(backward_cpu, "cpu");
