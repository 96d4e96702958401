// Pages of memory.
#pragma once

#include <cstdint>

#ifdef __linux__
#include <sys/mman.h>
#endif

namespace mxnetseg {
namespace cpu {

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

}  // namespace cpu
}  // namespace mxnetseg
