// The simulator's half of cuda/launch.h: what a launch is, and shared memory.
#pragma once

#include <cstddef>
#include <memory>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "cuda/sim/device.h"
#include "cuda/sim/sim.h"

namespace unroll {

inline namespace by_simulator {  // a program may hold nvcc's too: cuda/launch.h

using Stream = sim::Stream;

/// How a kernel is started. The name is for messages and the meter; it lives as long as the
/// program.
struct Launch {
  const char* name;
  dim3 grid = {}, block = {};
  std::size_t shared = 0;    // bytes of dynamic shared memory
  bool cooperative = false;  // all blocks are resident at once and may use grid.sync()
  Stream stream = {};
};

}  // namespace by_simulator

namespace sim::detail {

/// Queues a launch. run(arguments) calls the kernel for the running thread; the memory at
/// `arguments` is what a kernel may read as its parameters; pointers are the arguments that must be
/// device memory.
struct Work {
  Launch launch;
  std::unique_ptr<void, void (*)(void*)> arguments;
  std::size_t argument_bytes;
  void (*run)(void*);
  std::vector<const void*> pointers;
};
void enqueue(Work work) noexcept;

template <class T>
void note_pointer(std::vector<const void*>& pointers, const T& argument) {
  if constexpr (std::is_pointer_v<T> && !std::is_function_v<std::remove_pointer_t<T>>)
    pointers.push_back(argument);
}

template <class T>
using type = T;

}  // namespace sim::detail

inline namespace by_simulator {

/// Queues kernel(arguments...) on the launch's stream; the arguments are converted and copied now.
/// A launch that the architecture cannot do is noted like what kernels do wrong: the next wait, or
/// sim::check(), throws it.
template <class... P, class... A>
void launch(void (*kernel)(P...), const Launch& how, A&&... arguments) noexcept {
  struct Call {
    void (*kernel)(P...);
    std::tuple<P...> arguments;
  };
  std::unique_ptr<void, void (*)(void*)> held(new Call{kernel, {std::forward<A>(arguments)...}},
                                              [](void* p) { delete static_cast<Call*>(p); });
  std::vector<const void*> pointers;
  std::apply([&](const P&... each) { (sim::detail::note_pointer(pointers, each), ...); },
             static_cast<Call*>(held.get())->arguments);
  sim::detail::enqueue({how, std::move(held), sizeof(Call),
                        [](void* p) {
                          auto* c = static_cast<Call*>(p);
                          std::apply(c->kernel, c->arguments);
                        },
                        std::move(pointers)});
}

}  // namespace by_simulator
}  // namespace unroll

#define SHARED(T, name)                                                                           \
  auto& name = *static_cast<::unroll::sim::detail::type<T>*>(::unroll::sim::device::shared_array( \
      [] {                                                                                        \
        static char tag;                                                                          \
        return &tag;                                                                              \
      }(),                                                                                        \
      sizeof(::unroll::sim::detail::type<T>), alignof(::unroll::sim::detail::type<T>),            \
      ::unroll::sim::Site::here()))

#define SHARED_DYNAMIC(T, name) \
  T* name = static_cast<T*>(::unroll::sim::device::shared_dynamic(::unroll::sim::Site::here()))
