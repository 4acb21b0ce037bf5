#include "cuda/sim/fiber.h"

#include <sys/mman.h>

#include "core/error.h"

#if defined(__SANITIZE_ADDRESS__)
#define UNROLL_SIM_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define UNROLL_SIM_ASAN 1
#endif
#endif
#ifdef UNROLL_SIM_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

#ifndef UNROLL_SIM_UCONTEXT
// void unroll_sim_switch(void** save, void* load): stores the registers that a callee must keep on
// the stack and the stack pointer in *save, then loads both as an earlier call left them.
extern "C" void unroll_sim_switch(void** save, void* load);
#if defined(__x86_64__)
asm(R"(
.text
.globl unroll_sim_switch
.hidden unroll_sim_switch
.type unroll_sim_switch, @function
unroll_sim_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size unroll_sim_switch, .-unroll_sim_switch
)");
#else
asm(R"(
.text
.globl unroll_sim_switch
.hidden unroll_sim_switch
.type unroll_sim_switch, %function
unroll_sim_switch:
  sub sp, sp, #160
  stp x19, x20, [sp, #0]
  stp x21, x22, [sp, #16]
  stp x23, x24, [sp, #32]
  stp x25, x26, [sp, #48]
  stp x27, x28, [sp, #64]
  stp x29, x30, [sp, #80]
  stp d8, d9, [sp, #96]
  stp d10, d11, [sp, #112]
  stp d12, d13, [sp, #128]
  stp d14, d15, [sp, #144]
  mov x9, sp
  str x9, [x0]
  mov sp, x1
  ldp x19, x20, [sp, #0]
  ldp x21, x22, [sp, #16]
  ldp x23, x24, [sp, #32]
  ldp x25, x26, [sp, #48]
  ldp x27, x28, [sp, #64]
  ldp x29, x30, [sp, #80]
  ldp d8, d9, [sp, #96]
  ldp d10, d11, [sp, #112]
  ldp d12, d13, [sp, #128]
  ldp d14, d15, [sp, #144]
  add sp, sp, #160
  ret
.size unroll_sim_switch, .-unroll_sim_switch
)");
#endif
#endif

namespace unroll::sim {
namespace {

Fiber* left = nullptr;     // the fiber that the last switch came from
Fiber* entered = nullptr;  // and the one that it went to

}  // namespace

Fiber::Fiber(void (*entry)()) : entry_(entry) {
  void* block = mmap(nullptr, guard_bytes + stack_bytes, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (block == MAP_FAILED) fail("sim", "no memory for the stack of one more CUDA thread");
  mprotect(block, guard_bytes, PROT_NONE);
  stack_ = static_cast<char*>(block) + guard_bytes;
  bottom_ = stack_, size_ = stack_bytes;
  restart();
}

Fiber::~Fiber() {
  if (stack_ == nullptr) return;
#ifdef UNROLL_SIM_ASAN
  __asan_unpoison_memory_region(stack_, stack_bytes);
#endif
  munmap(stack_ - guard_bytes, guard_bytes + stack_bytes);
}

void Fiber::restart() {
#ifdef UNROLL_SIM_ASAN
  __asan_unpoison_memory_region(stack_, stack_bytes);
  fake_stack_ = nullptr;
#endif
#ifdef UNROLL_SIM_UCONTEXT
  getcontext(&context_);
  context_.uc_stack.ss_sp = stack_;
  context_.uc_stack.ss_size = stack_bytes;
  context_.uc_link = nullptr;
  makecontext(&context_, start, 0);
#else
  // The registers that the switch loads: all zero but the address that it returns to.
  void** top = reinterpret_cast<void**>(stack_ + stack_bytes);
#if defined(__x86_64__)
  top -= 2;  // at start() the stack pointer is 8 below a multiple of 16, as after a call
  *top = reinterpret_cast<void*>(&Fiber::start);
  top -= 6;
  for (int i = 0; i < 6; i++) top[i] = nullptr;
#else
  top -= 20;
  for (int i = 0; i < 20; i++) top[i] = nullptr;
  top[11] = reinterpret_cast<void*>(&Fiber::start);  // x30
#endif
  stack_pointer_ = top;
#endif
}

void Fiber::start() {
#ifdef UNROLL_SIM_ASAN
  __sanitizer_finish_switch_fiber(nullptr, &left->bottom_, &left->size_);
#endif
  entered->entry_();
  __builtin_unreachable();
}

void switch_fiber(Fiber& from, Fiber& to) {
  left = &from, entered = &to;
#ifdef UNROLL_SIM_ASAN
  __sanitizer_start_switch_fiber(&from.fake_stack_, to.bottom_, to.size_);
#endif
#ifdef UNROLL_SIM_UCONTEXT
  swapcontext(&from.context_, &to.context_);
#else
  unroll_sim_switch(&from.stack_pointer_, to.stack_pointer_);
#endif
#ifdef UNROLL_SIM_ASAN
  __sanitizer_finish_switch_fiber(from.fake_stack_, &left->bottom_, &left->size_);
#endif
}

}  // namespace unroll::sim
