// The kernels of a family on GPUs: kernels/X.h declares cpu::f with its contract, and with one of
// these lines the same function of namespaces cuda and sim.
//
//   namespace cpu {
//   template <class T>
//   void softmax(const SoftmaxShape&, const SoftmaxArgs<T>&) noexcept;
//   }
//   UNROLL_ON_GPU(softmax, void, SoftmaxShape, SoftmaxArgs)
//
// cuda/X.cu defines both: nvcc compiles it for cuda, the C++ compiler for the simulator. The
// pointers in Args are then memory of that device, numbers of the shapes stay on the host; a kernel
// is queued on the thread's current stream, and what goes wrong is told by the next wait.
#pragma once

#define UNROLL_ON_GPU(name, Result, Shape, Args)               \
  namespace cuda {                                             \
  template <class Real>                                        \
  Result name(const Shape& shape, const Args<Real>&) noexcept; \
  }                                                            \
  namespace sim {                                              \
  template <class Real>                                        \
  Result name(const Shape& shape, const Args<Real>&) noexcept; \
  }

// The same for functions of the shape alone, such as sizes.
#define UNROLL_ON_GPU_SHAPE(name, Result, Shape) \
  namespace cuda {                               \
  template <class Real>                          \
  Result name(const Shape& shape) noexcept;      \
  }                                              \
  namespace sim {                                \
  template <class Real>                          \
  Result name(const Shape& shape) noexcept;      \
  }
