// The functions that -fsanitize=thread makes kernels call, which libtsan would otherwise define: a
// program has either. Only programs whose kernels have checks link this file.
#include <cstring>

#include "cuda/sim/check.h"

namespace {

using unroll::sim::detail::check_access;
using unroll::sim::detail::Touch;

void touch(const volatile void* p, std::size_t bytes, Touch kind, void* return_address) {
  // The call itself, not what comes after it, is what has the access's line.
  check_access(reinterpret_cast<std::uintptr_t>(p), bytes, kind,
               reinterpret_cast<std::uintptr_t>(return_address) - 1);
}

}  // namespace

#define UNROLL_CALLER __builtin_return_address(0)
#define UNROLL_ACCESS(bytes)                                                                    \
  void __tsan_read##bytes(void* p) { touch(p, bytes, Touch::read, UNROLL_CALLER); }             \
  void __tsan_write##bytes(void* p) { touch(p, bytes, Touch::write, UNROLL_CALLER); }           \
  void __tsan_unaligned_read##bytes(void* p) { touch(p, bytes, Touch::read, UNROLL_CALLER); }   \
  void __tsan_unaligned_write##bytes(void* p) { touch(p, bytes, Touch::write, UNROLL_CALLER); } \
  void __tsan_volatile_read##bytes(void* p) { touch(p, bytes, Touch::read, UNROLL_CALLER); }    \
  void __tsan_volatile_write##bytes(void* p) { touch(p, bytes, Touch::write, UNROLL_CALLER); }

// What std::atomic, std::shared_ptr and static variables are made of: host code beside the kernels
// uses them, from any thread.
#define UNROLL_ATOMICS(bits, T)                                                                \
  T __tsan_atomic##bits##_load(const volatile T* p, int) {                                     \
    return __atomic_load_n(p, __ATOMIC_SEQ_CST);                                               \
  }                                                                                            \
  void __tsan_atomic##bits##_store(volatile T* p, T value, int) {                              \
    __atomic_store_n(p, value, __ATOMIC_SEQ_CST);                                              \
  }                                                                                            \
  T __tsan_atomic##bits##_exchange(volatile T* p, T value, int) {                              \
    return __atomic_exchange_n(p, value, __ATOMIC_SEQ_CST);                                    \
  }                                                                                            \
  T __tsan_atomic##bits##_fetch_add(volatile T* p, T value, int) {                             \
    return __atomic_fetch_add(p, value, __ATOMIC_SEQ_CST);                                     \
  }                                                                                            \
  T __tsan_atomic##bits##_fetch_sub(volatile T* p, T value, int) {                             \
    return __atomic_fetch_sub(p, value, __ATOMIC_SEQ_CST);                                     \
  }                                                                                            \
  bool __tsan_atomic##bits##_compare_exchange_strong(volatile T* p, T* expected, T value, int, \
                                                     int) {                                    \
    return __atomic_compare_exchange_n(p, expected, value, false, __ATOMIC_SEQ_CST,            \
                                       __ATOMIC_SEQ_CST);                                      \
  }                                                                                            \
  bool __tsan_atomic##bits##_compare_exchange_weak(volatile T* p, T* expected, T value, int,   \
                                                   int) {                                      \
    return __atomic_compare_exchange_n(p, expected, value, true, __ATOMIC_SEQ_CST,             \
                                       __ATOMIC_SEQ_CST);                                      \
  }

// NOLINTBEGIN: the names are the compiler's.
extern "C" {
void __tsan_init() { unroll::sim::detail::announce_checks(); }
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_vptr_update(void**, void*) {}
void __tsan_vptr_read(void**) {}
UNROLL_ACCESS(1)
UNROLL_ACCESS(2)
UNROLL_ACCESS(4)
UNROLL_ACCESS(8)
UNROLL_ACCESS(16)
UNROLL_ATOMICS(8, std::uint8_t)
UNROLL_ATOMICS(16, std::uint16_t)
UNROLL_ATOMICS(32, std::uint32_t)
UNROLL_ATOMICS(64, std::uint64_t)
void __tsan_read_range(void* p, unsigned long bytes) {
  touch(p, bytes, Touch::read, UNROLL_CALLER);
}
void __tsan_write_range(void* p, unsigned long bytes) {
  touch(p, bytes, Touch::write, UNROLL_CALLER);
}
void* __tsan_memcpy(void* to, const void* from, unsigned long bytes) {
  touch(from, bytes, Touch::read, UNROLL_CALLER);
  touch(to, bytes, Touch::write, UNROLL_CALLER);
  return std::memcpy(to, from, bytes);
}
void* __tsan_memmove(void* to, const void* from, unsigned long bytes) {
  touch(from, bytes, Touch::read, UNROLL_CALLER);
  touch(to, bytes, Touch::write, UNROLL_CALLER);
  return std::memmove(to, from, bytes);
}
void* __tsan_memset(void* to, int byte, unsigned long bytes) {
  touch(to, bytes, Touch::write, UNROLL_CALLER);
  return std::memset(to, byte, bytes);
}
}
// NOLINTEND
