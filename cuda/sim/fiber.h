// A stack that can be left in the middle and entered again: each CUDA thread that waits has one.
//
//   Fiber host;                        // the calling thread, wherever it is
//   Fiber fiber(entry);                // its own stack of Fiber::stack_bytes, a guard page below
//   switch_fiber(host, fiber);         // runs entry() until it switches back to host
//
// A switch saves what the calling convention says a callee must save, and the stack pointer: 10
// lines of assembly on x86-64 and on aarch64, <ucontext.h> elsewhere and with UNROLL_SIM_UCONTEXT.
// AddressSanitizer is told of every switch. Not thread-safe; entry() must not return or throw.
#pragma once

#include <cstddef>
#include <cstdint>

#if !defined(__x86_64__) && !defined(__aarch64__) && !defined(UNROLL_SIM_UCONTEXT)
#define UNROLL_SIM_UCONTEXT 1
#endif
#ifdef UNROLL_SIM_UCONTEXT
#include <ucontext.h>
#endif

namespace unroll::sim {

class Fiber {
 public:
  static constexpr std::size_t stack_bytes = 256 << 10, guard_bytes = 64 << 10;

  Fiber() = default;
  /// Throws Error when the system has no memory for the stack.
  explicit Fiber(void (*entry)());
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  /// Forgets what the fiber was doing: the next switch enters entry() anew. Nothing on its stack
  /// is destroyed.
  void restart();

  bool owns(std::uintptr_t address) const noexcept {
    return address - reinterpret_cast<std::uintptr_t>(stack_) < stack_bytes;
  }
  bool guards(std::uintptr_t address) const noexcept {
    return stack_ != nullptr &&
           reinterpret_cast<std::uintptr_t>(stack_) - address - 1 < guard_bytes;
  }

  friend void switch_fiber(Fiber& from, Fiber& to);

 private:
  static void start();  // what a new stack runs first

  void (*entry_)() = nullptr;
  char* stack_ = nullptr;  // lowest byte that may be used
#ifdef UNROLL_SIM_UCONTEXT
  ucontext_t context_;
#else
  void* stack_pointer_ = nullptr;
#endif
  // For AddressSanitizer: its own stack of frames, and the bounds of this fiber's.
  void* fake_stack_ = nullptr;
  const void* bottom_ = nullptr;
  std::size_t size_ = 0;
};

/// Leaves `from`, the running fiber, for `to`; returns when something switches back to `from`.
void switch_fiber(Fiber& from, Fiber& to);

}  // namespace unroll::sim
