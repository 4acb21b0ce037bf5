// Optimiser steps: a thread takes 16 bytes of each array, so that all are read and written once by
// wide words. What becomes of an element stands in kernels/optimizer.h.
#include "kernels/optimizer.h"

#include "cuda/backend.h"
#include "cuda/pack.h"
#include "cuda/reduce.h"
#include "cuda/workspace.h"

namespace unroll::UNROLL_GPU {
namespace {

constexpr int threads = 256;

// The gradient and what a step changes, the parameter first. Null: not there. `unread`: the array
// that holds nothing yet.
template <class T, int arrays>
struct Buffers {
  const T* grad;
  T* at[arrays];
  int unread = -1;
};

// How a rule of the contract takes its values, in the order of Buffers.
template <class T>
__device__ void apply(const SgdStep<T>& rule, T g, T (&v)[2], const Buffers<T, 2>&) {
  rule.template apply<ScalarStep<T>>(g, v[0], v[1]);
}
template <class T>
__device__ void apply(const AdamStep<T>& rule, T g, T (&v)[4], const Buffers<T, 4>& b) {
  rule.template apply<ScalarStep<T>>(g, v[0], v[1], v[2], v[3], b.at[3] != nullptr);
}
template <class T>
__device__ void apply(const RmspropStep<T>& rule, T g, T (&v)[4], const Buffers<T, 4>& b) {
  rule.template apply<ScalarStep<T>>(g, v[0], v[1], v[2], v[3], b.at[2] != nullptr);
}
template <class T>
__device__ void apply(const AdagradStep<T>& rule, T g, T (&v)[2], const Buffers<T, 2>&) {
  rule.template apply<ScalarStep<T>>(g, v[0], v[1]);
}
template <class T>
__device__ void apply(const AdadeltaStep<T>& rule, T g, T (&v)[3], const Buffers<T, 3>&) {
  rule.template apply<ScalarStep<T>>(g, v[0], v[1], v[2]);
}

template <class T, int arrays, class Rule>
__global__ void __launch_bounds__(threads)
    step_kernel(Rule rule, Buffers<T, arrays> buffers, std::int64_t count, Alignment how) {
  constexpr int size = WideWord<T>::count;
  const std::int64_t i = (std::int64_t(blockIdx.x) * threads + threadIdx.x) * size - how.lead;
  const Pack<T> grad = load_pack(buffers.grad, i, count, how.whole);
  Pack<T> state[arrays];
#pragma unroll
  for (int a = 0; a < arrays; a++) {
    const bool reads = buffers.at[a] && a != buffers.unread;
    state[a] = reads ? load_pack(buffers.at[a], i, count, how.whole) : Pack<T>{};
  }
#pragma unroll
  for (int j = 0; j < size; j++) {
    T value[arrays];
    for (int a = 0; a < arrays; a++) value[a] = state[a].at[j];
    apply(rule, grad.at[j], value, buffers);
    for (int a = 0; a < arrays; a++) state[a].at[j] = value[a];
  }
#pragma unroll
  for (int a = 0; a < arrays; a++) {
    if (buffers.at[a]) store_pack(buffers.at[a], i, count, state[a], how.whole);
  }
}

template <class T, int arrays, class Rule>
void step(const char* name, const Rule& rule, std::int64_t count, const Buffers<T, arrays>& b) {
  if (count == 0) return;
  const auto there = [&](int a) { return a < arrays ? b.at[a] : nullptr; };
  const Alignment how = alignment_of<T>({b.grad, there(0), there(1), there(2), there(3)});
  launch(step_kernel<T, arrays, Rule>,
         {.name = name,
          .grid = blocks_of(count + how.lead, threads * WideWord<T>::count),
          .block = threads,
          .stream = current_stream()},
         rule, b, count, how);
}

// Blocks of the first kernel, and so what the second adds up: a function of the count alone.
constexpr int most_partials = 1024;
constexpr int squares_packs = 8;  // of a thread, until there are that many blocks

template <class T>
__global__ void __launch_bounds__(threads)
    squares_kernel(FlatShape s, FlatArgs<T> args, double* partial, Alignment how) {
  constexpr int size = WideWord<T>::count;
  double sum = 0;
  const std::int64_t step = std::int64_t(gridDim.x) * threads * size;
  std::int64_t i = (std::int64_t(blockIdx.x) * threads + threadIdx.x) * size - how.lead;
#pragma unroll 4
  for (; i < s.count; i += step) {
    const Pack<T> x = load_pack(args.x, i, s.count, how.whole);
    for (int j = 0; j < size; j++) sum += double(x.at[j]) * double(x.at[j]);
  }
  sum = reduce_block(sum, Add{});
  if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

// One block; the result takes the place of the first part.
__global__ void __launch_bounds__(threads) sum_parts_kernel(double* partial, int count) {
  double sum = 0;
  for (int i = int(threadIdx.x); i < count; i += threads) sum += partial[i];
  sum = reduce_block(sum, Add{});
  if (threadIdx.x == 0) partial[0] = sum;
}

template <class T>
__global__ void __launch_bounds__(threads)
    scale_kernel(std::int64_t count, T factor, ScaleArgs<T> args, Alignment how) {
  constexpr int size = WideWord<T>::count;
  const std::int64_t i = (std::int64_t(blockIdx.x) * threads + threadIdx.x) * size - how.lead;
  Pack<T> x = load_pack(args.x, i, count, how.whole);
  for (int j = 0; j < size; j++) x.at[j] *= factor;
  store_pack(args.x, i, count, x, how.whole);
}

}  // namespace

template <class T>
void sgd(const SgdShape& s, const SgdArgs<T>& args) noexcept {
  const SgdStep<T> rule(s);
  T* const velocity = rule.moving ? args.velocity : nullptr;
  step<T, 2>("sgd", rule, s.count, {args.grad, {args.param, velocity}, rule.first ? 1 : -1});
}

template <class T>
void adam(const AdamShape& s, const AdamArgs<T>& args) noexcept {
  step<T, 4>("adam", AdamStep<T>(s), s.count,
             {args.grad, {args.param, args.m, args.v, args.v_max}});
}

template <class T>
void rmsprop(const RmspropShape& s, const RmspropArgs<T>& args) noexcept {
  const RmspropStep<T> rule(s);
  T* const velocity = rule.moving ? args.velocity : nullptr;
  step<T, 4>("rmsprop", rule, s.count,
             {args.grad, {args.param, args.square, args.average, velocity}});
}

template <class T>
void adagrad(const AdagradShape& s, const AdagradArgs<T>& args) noexcept {
  step<T, 2>("adagrad", AdagradStep<T>(s), s.count, {args.grad, {args.param, args.sum}});
}

template <class T>
void adadelta(const AdadeltaShape& s, const AdadeltaArgs<T>& args) noexcept {
  step<T, 3>("adadelta", AdadeltaStep<T>(s), s.count,
             {args.grad, {args.param, args.square, args.delta}});
}

template <class T>
double sum_of_squares(const FlatShape& s, const FlatArgs<T>& args) noexcept {
  if (s.count == 0) return 0;
  const Alignment how = alignment_of<T>({args.x});
  auto* partial = static_cast<double*>(workspace());
  const unsigned blocks =
      blocks_of(s.count, threads * WideWord<T>::count * squares_packs, most_partials);
  const Stream stream = current_stream();
  launch(squares_kernel<T>,
         {.name = "sum_of_squares", .grid = blocks, .block = threads, .stream = stream}, s, args,
         partial, how);
  launch(sum_parts_kernel, {.name = "sum_parts", .grid = 1, .block = threads, .stream = stream},
         partial, int(blocks));
  return fetched(partial);
}

template <class T>
void scale(const FlatShape& s, const ScaleArgs<T>& args) noexcept {
  if (s.count == 0) return;
  const Alignment how = alignment_of<T>({args.x});
  launch(scale_kernel<T>,
         {.name = "scale",
          .grid = blocks_of(s.count + how.lead, threads * WideWord<T>::count),
          .block = threads,
          .stream = current_stream()},
         s.count, T(s.factor), args, how);
}

UNROLL_GPU_KERNEL(sgd, void, SgdShape, SgdArgs)
UNROLL_GPU_KERNEL(adam, void, AdamShape, AdamArgs)
UNROLL_GPU_KERNEL(rmsprop, void, RmspropShape, RmspropArgs)
UNROLL_GPU_KERNEL(adagrad, void, AdagradShape, AdagradArgs)
UNROLL_GPU_KERNEL(adadelta, void, AdadeltaShape, AdadeltaArgs)
UNROLL_GPU_KERNEL(sum_of_squares, double, FlatShape, FlatArgs)
UNROLL_GPU_KERNEL(scale, void, FlatShape, ScaleArgs)

}  // namespace unroll::UNROLL_GPU
