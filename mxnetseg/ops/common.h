// What every operator of the library needs on MXNet's side: attributes, types, shapes, scratch memory.
#pragma once

#include <climits>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <unordered_map>
#include <vector>

#include "mxnet/lib_api.h"

namespace mxnetseg {

using namespace mxnet::ext;  // NOLINT: as MXNet's own examples do

typedef std::unordered_map<std::string, std::string> Attributes;
typedef std::vector<std::vector<unsigned int>> Shapes;

// MXNet turns an exception into an MXNetError. (Messages left with MX_ERROR_MSG would pile up: each error
// would repeat those before it.)
[[noreturn]] inline void fail(const std::string& message) { throw std::runtime_error(message); }

inline int integer(const Attributes& attributes, const std::string& op, const char* name, int fallback, int least) {
  const auto found = attributes.find(name);
  if (found == attributes.end()) return fallback;
  size_t used = 0;
  long value = 0;
  try {
    value = std::stol(found->second, &used);
  } catch (const std::exception&) {
    used = 0;
  }
  if (used == 0 || used != found->second.size() || value < least || value > (1 << 20))
    fail(op + ": " + name + "=" + found->second + " must be a whole number, " + std::to_string(least) + " or more");
  return static_cast<int>(value);
}

inline double number(const Attributes& attributes, const std::string& op, const char* name) {
  const auto found = attributes.find(name);
  if (found == attributes.end()) fail(op + ": the attribute " + name + " is missing");
  size_t used = 0;
  double value = 0;
  try {
    value = std::stod(found->second, &used);
  } catch (const std::exception&) {
    used = 0;
  }
  if (used == 0 || used != found->second.size()) fail(op + ": " + name + "=" + found->second + " must be a number");
  return value;
}

template <typename Shape>
std::string text(const Shape& shape) {
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

inline void require(const std::string& op, const char* name, const std::vector<unsigned int>& shape,
                    const std::vector<unsigned int>& wanted, const std::string& because) {
  if (shape != wanted)
    fail(op + ": " + name + " is " + text(shape) + ", but must be " + text(wanted) + " " + because);
}

// Offsets into one image are 32 bits wide.
inline void require_addressable(const std::string& op, int64_t height, int64_t width) {
  if (height * width > INT_MAX) fail(op + ": maps of more than 2^31 pixels are not supported");
}

inline MXReturnValue same_type(const std::string& op, std::vector<int>* in, std::vector<int>* out) {
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

// Scratch memory: MXNet's pool, which takes sizes below 2 GiB, else a one-off.
class Scratch {
 public:
  Scratch(const OpResource& resource, int64_t bytes) {
    if (bytes <= INT_MAX) {
      data_ = resource.alloc_cpu(static_cast<int>(bytes));
    } else {
      own_.reset(new char[bytes]);
      data_ = own_.get();
    }
  }
  template <typename T>
  T* as() {
    return static_cast<T*>(data_);
  }

 private:
  std::unique_ptr<char[]> own_;
  void* data_;
};

[[noreturn]] inline void refuse_type(const std::string& op) {
  fail(op + ": on a CPU float32 and float64 only; cast the inputs first");
}

}  // namespace mxnetseg
