// What every operator of the library needs on MXNet's side: attributes, types, shapes.
#pragma once

#include <climits>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <unordered_map>
#include <vector>

#include "mxnet/lib_api.h"

namespace mxnetseg {

using namespace mxnet::ext;  // NOLINT: as MXNet's own examples do

typedef std::unordered_map<std::string, std::string> Attributes;
typedef std::vector<int> Types;
typedef std::vector<unsigned int> Shape;
typedef std::vector<Shape> Shapes;
typedef std::vector<MXTensor> Tensors;

// MXNet turns an exception into an MXNetError. (Messages left with MX_ERROR_MSG would pile up: each error
// would repeat those before it.)
[[noreturn]] inline void fail(const std::string& message) { throw std::runtime_error(message); }

// The value of an attribute by `parse`, which is as std::stoi; `what`: what it must be.
template <typename Parse>
auto attribute(const std::string& op, const char* name, const std::string& given, const std::string& what, Parse parse) {
  size_t used = 0;
  decltype(parse(given, &used)) value{};
  try {
    value = parse(given, &used);
  } catch (const std::exception&) {
    used = 0;
  }
  if (used == 0 || used != given.size()) fail(op + ": " + name + "=" + given + " must be " + what);
  return value;
}

inline void require_attributes(const Attributes& attributes, const std::string& op, const std::vector<const char*>& names) {
  for (const char* name : names)
    if (!attributes.count(name)) fail(op + ": the attribute " + name + " is missing");
}

inline int integer(const Attributes& attributes, const std::string& op, const char* name, int fallback, int least) {
  const auto found = attributes.find(name);
  if (found == attributes.end()) return fallback;
  return attribute(op, name, found->second, "a whole number, " + std::to_string(least) + " or more",
                   [least](const std::string& given, size_t* used) {
                     const long value = std::stol(given, used);
                     if (value < least || value > (1 << 20)) *used = 0;
                     return static_cast<int>(value);
                   });
}

inline bool flag(const Attributes& attributes, const std::string& op, const char* name) {
  return integer(attributes, op, name, 0, 0) != 0;
}

inline double number(const Attributes& attributes, const std::string& op, const char* name) {
  require_attributes(attributes, op, {name});
  return attribute(op, name, attributes.at(name), "a number",
                   [](const std::string& given, size_t* used) { return std::stod(given, used); });
}

inline std::string text(const Shape& shape) {
  std::string result = "(";
  for (size_t i = 0; i < shape.size(); ++i) result += (i ? ", " : "") + std::to_string(shape[i]);
  return result + ")";
}

// MXNet hands an unknown size over as -1 (here unsigned) or 0.
inline void require_known(const std::string& op, const std::vector<const char*>& names, const Shapes& shapes,
                          const std::vector<size_t>& axes = {}) {
  for (size_t i = 0; i < names.size(); ++i) {
    bool known = !shapes[i].empty();
    for (const unsigned size : shapes[i]) known = known && size != 0 && size != UINT_MAX;
    if (!known)
      fail(op + ": the shape of " + names[i] + " is " + (shapes[i].empty() ? "unknown" : text(shapes[i])) +
           "; the shapes of all inputs must be known, and hold no zero");
    const size_t wanted = axes.empty() ? 4 : axes[i];
    if (shapes[i].size() != wanted)
      fail(op + ": " + names[i] + " must have " + std::to_string(wanted) + " axes, not " + text(shapes[i]));
  }
}

inline void require(const std::string& op, const char* name, const Shape& shape, const Shape& wanted,
                    const std::string& because) {
  if (shape != wanted)
    fail(op + ": " + name + " is " + text(shape) + ", but must be " + text(wanted) + " " + because);
}

// Offsets into one image are 32 bits wide.
inline void require_addressable(const std::string& op, int64_t height, int64_t width) {
  if (height * width > INT_MAX) fail(op + ": maps of more than 2^31 pixels are not supported");
}

inline MXReturnValue same_type(const std::string& op, Types* in, Types* out) {
  int type = -1;
  for (const int one : *in)
    if (one >= 0 && one != kUNSET) {
      if (type >= 0 && one != type) fail(op + ": all inputs must have the same dtype; cast them first");
      type = one;
    }
  if (type > kFloat16) fail(op + ": float32, float64 or (on a GPU) float16 only; cast the inputs first");
  for (int& one : *in) one = type;
  for (int& one : *out) one = type;
  return MX_SUCCESS;
}

// Calls `run` with a number of the tensor's type, which on a CPU is float or double: decltype(number) says which.
template <typename Run>
MXReturnValue with_type(const std::string& op, const MXTensor& tensor, Run run) {
  if (tensor.dtype != kFloat32 && tensor.dtype != kFloat64)
    fail(op + ": on a CPU float32 and float64 only; cast the inputs first");
  tensor.dtype == kFloat32 ? run(float()) : run(double());
  return MX_SUCCESS;
}

// What many operators register: the type of the inputs is that of the outputs.
template <const std::string& op>
MXReturnValue one_type(const Attributes&, Types* in, Types* out) {
  return same_type(op, in, out);
}

// The backward pass of operators for inference alone: MXNet compiles no graph with an operator that has none.
template <const std::string& op>
MXReturnValue no_gradient(const Attributes&, Tensors*, Tensors*, const OpResource&) {
  fail(op + " is for inference alone and has no gradient");
}

}  // namespace mxnetseg
