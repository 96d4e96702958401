// 8-bit integers as MXNet's quantized operators have them.
#pragma once

#include <cmath>

#include "common.h"

namespace mxnetseg {

// What such integers are: `step` times as much. The greatest amount of a range is 127 or 255 steps, and zero is 0.
struct Quantized {
  bool is_signed;
  float step;

  Quantized(bool is_signed, float step) : is_signed(is_signed), step(step) {}
  Quantized(bool is_signed, float least, float greatest)
      : Quantized(is_signed, std::max(std::abs(least), std::abs(greatest)) / (is_signed ? 127 : 255)) {}
  float least() const { return is_signed ? -128.0f : 0.0f; }
  float most() const { return is_signed ? 127.0f : 255.0f; }
};

// An output of `out_type` uint8 or int8 whose values are between min_calib_range and max_calib_range; these are two
// further outputs.
struct QuantizedOutput {
  float range[2];
  Quantized type;

  QuantizedOutput(const std::string& op, const Attributes& given)
      : range{end(op, given, "min_calib_range"), end(op, given, "max_calib_range")},
        type(given.at("out_type") == "int8", range[0], range[1]) {
    if (!type.is_signed && given.at("out_type") != "uint8")
      fail(op + ": out_type=" + given.at("out_type") + " must be uint8 or int8");
    if (!(range[0] <= range[1] && type.step > 0 && type.step < INFINITY))
      fail(op + ": min_calib_range and max_calib_range must be the ends of a range that is not nothing");
  }
  int dtype() const { return type.is_signed ? kInt8 : kUint8; }
  void write_range(Tensors* out) const {
    for (int i = 0; i < 2; ++i) *out->at(1 + i).data<float>() = range[i];
  }

 private:
  static float end(const std::string& op, const Attributes& given, const char* name) {
    require_attributes(given, op, {"out_type"});
    return static_cast<float>(number(given, op, name));
  }
};

}  // namespace mxnetseg
