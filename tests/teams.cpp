#include "tests/teams.h"

#if defined(_OPENMP) && defined(__GNUC__) && !defined(__clang__)
#include <dlfcn.h>

#include <atomic>

namespace {
std::atomic<std::int64_t> teams{0};
}

// libgomp's entry of a region of `threads` threads (0: as many as allowed).
extern "C" void GOMP_parallel(void (*body)(void*), void* data, unsigned threads, unsigned flags) {
  using Entry = void (*)(void (*)(void*), void*, unsigned, unsigned);
  static const auto next = reinterpret_cast<Entry>(dlsym(RTLD_NEXT, "GOMP_parallel"));
  if (threads != 1) teams++;
  next(body, data, threads, flags);
}

std::int64_t unroll::testing::teams_started() noexcept { return teams; }
#else
std::int64_t unroll::testing::teams_started() noexcept { return -1; }
#endif
