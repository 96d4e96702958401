// Memory: scratch of MXNet's, and pages for results.
#pragma once

#include <climits>
#include <cstdint>
#include <memory>

#ifdef __linux__
#include <sys/mman.h>
#endif

#include "mxnet/lib_api.h"

namespace mxnetseg {

// Scratch memory for `elements` numbers: from MXNet's pool, which takes sizes below 2 GiB, else a one-off.
template <typename T>
class Workspace {
 public:
  Workspace(const mxnet::ext::OpResource& resource, int64_t elements) {
    const int64_t bytes = elements * static_cast<int64_t>(sizeof(T));
    if (bytes > INT_MAX) own_.reset(new char[bytes]);
    data_ = own_ ? own_.get() : resource.alloc_cpu(static_cast<int>(bytes));
  }
  T* data() const { return static_cast<T*>(data_); }

 private:
  std::unique_ptr<char[]> own_;
  void* data_;
};

// Memory that is written for the first time, as the result of a call is, comes from the kernel page by page; for a large
// array that takes longer than filling it. Pages of 2 MiB take next to nothing.
inline void use_huge_pages(void* data, int64_t bytes) {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
  constexpr uintptr_t page = 2 << 20;
  const uintptr_t first = (reinterpret_cast<uintptr_t>(data) + page - 1) / page * page;
  const uintptr_t end = (reinterpret_cast<uintptr_t>(data) + bytes) / page * page;
  if (end > first) madvise(reinterpret_cast<void*>(first), end - first, MADV_HUGEPAGE);  // no more than a wish
#endif
}

}  // namespace mxnetseg
