#include "cuda/sim/guard.h"

#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <cstdio>
#include <cstdlib>

#include "cuda/sim/machine.h"

namespace unroll::sim::detail {
namespace {

struct sigaction before;

std::uintptr_t program_counter(const void* context) {
  const auto* c = static_cast<const ucontext_t*>(context);
#if defined(__x86_64__)
  return std::uintptr_t(c->uc_mcontext.gregs[REG_RIP]);
#elif defined(__aarch64__)
  return std::uintptr_t(c->uc_mcontext.pc);
#else
  static_cast<void>(c);
  return 0;
#endif
}

void note_kernel_fault(std::uintptr_t address, const Region* r, std::uintptr_t pc) {
  const Unchecked own;
  const std::string who = text(*running);
  if (running->fiber->guards(address))
    return note(Fault::stack_overflow,
                who + " uses more than " + std::to_string(Fiber::stack_bytes) + " bytes of stack",
                pc);
  if (r == nullptr)
    return note(Fault::host_pointer, who + " touches memory that is not the device's", pc);
  if (r->freed)
    return note(Fault::use_after_free, who + " touches " + text(*r) + ", which was freed", pc);
  note(Fault::out_of_bounds,
       who + " touches byte " + std::to_string(std::ptrdiff_t(r->offset(address))) + " of " +
           text(*r),
       pc);
}

[[noreturn]] void end_host(const Region& r, std::uintptr_t pc) {
  std::fprintf(stderr, "sim: device memory touched by the host: %s, at %s\n", text(r).c_str(),
               text_of_code(pc).c_str());
  std::abort();
}

void on_signal(int signal, siginfo_t* info, void* context) {
  const auto address = reinterpret_cast<std::uintptr_t>(info->si_addr);
  Region* r = region_at(address);
  if (running != nullptr) {
    const bool inside =
        r != nullptr && address - reinterpret_cast<std::uintptr_t>(r->pages) < r->page_bytes;
    if (inside && !r->open && !r->freed) return open(*r);
    note_kernel_fault(address, r, program_counter(context));
    leave();  // the handler's frame is left behind with the thread's
  }
  if (r != nullptr && r->kind == Region::Kind::device) end_host(*r, program_counter(context));
  sigaction(signal, &before, nullptr);  // the access is made again and meets the handler before us
}

// A thread that has used up its stack has none left for the handler.
void give_signal_stack() {
  constexpr std::size_t bytes = 256 << 10;
  stack_t stack;
  if (sigaltstack(nullptr, &stack) != 0 || (stack.ss_flags & SS_DISABLE) == 0) return;
  void* block = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (block == MAP_FAILED) return;
  stack = {};
  stack.ss_sp = block;
  stack.ss_size = bytes;
  sigaltstack(&stack, nullptr);
}

}  // namespace

void install_guard() {
  static thread_local const bool with_stack = (give_signal_stack(), true);
  static const bool installed = [] {
    struct sigaction action {};
    action.sa_sigaction = on_signal;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
    return sigaction(SIGSEGV, &action, &before) == 0;
  }();
  static_cast<void>(with_stack);
  static_cast<void>(installed);
}

}  // namespace unroll::sim::detail
