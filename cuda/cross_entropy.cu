// Cross-entropy by rows (cuda/rows.h): the logits of a row are read once and kept, up to 24576
// float32 or 12288 float64 numbers; beyond that they are read twice, or three times with smoothing.
// The linear maps need no pass before theirs and keep nothing.
#include "kernels/cross_entropy.h"

#include <cmath>

#include "cuda/backend.h"
#include "cuda/rows.h"
#include "cuda/softmax_row.h"

namespace unroll::UNROLL_GPU {
namespace {

// The sum of all classes' weights, by one block.
template <class T>
__global__ void __launch_bounds__(row_threads)
    weight_sum_kernel(const T* weight, std::int64_t n, T* total) {
  T sum = T(0);
  for (std::int64_t c = threadIdx.x; c < n; c += row_threads) sum += weight[c];
  sum = reduce_block(sum, Add{});
  if (threadIdx.x == 0) *total = sum;
}

// Where that sum will be; null: each weight is 1, or no row needs it.
template <class T>
const T* weight_sum(const CrossEntropyShape& s, const T* weight) {
  if (!weight || s.smoothing == 0) return nullptr;
  T* const total = static_cast<T*>(workspace());
  launch(weight_sum_kernel<T>,
         {.name = "cross_entropy_weights",
          .grid = 1,
          .block = row_threads,
          .stream = current_stream()},
         weight, s.n, total);
  return total;
}

template <bool whole_block, class T>
__global__ void __launch_bounds__(row_threads, row_blocks<T>)
    cross_entropy_kernel(CrossEntropyShape s, CrossEntropyArgs<T> args, bool keep) {
  SHARED_DYNAMIC(T, memory);
  const RowGroup<whole_block> group;
  T* kept = memory + group.slot() * s.n;
  for (std::int64_t row = group.first(); row < s.rows; row += group.step()) {
    const T* x = args.x + row * s.n;
    const std::int64_t target = args.target[row];
    const RowSum<T> r = keep ? sum_kept<true>(group, x, kept, s.n) : sum_online(group, x, s.n);
    const T log_sum = std::log(r.sum);
    const RowWeights<T> q = row_weights(s, args.weight, T(0), target);
    T sum = T(0);
    if (q.spread != T(0)) {
      group.each(s.n, [&](std::int64_t c) {
        const T w = args.weight ? args.weight[c] : T(1);
        if (w != T(0)) sum += w * (log_sum - (keep ? kept[c] : x[c] - r.largest));
      });
      sum = group.reduce(sum, Add{});
    }
    if (group.thread() == 0) {
      T loss = T(0);
      if (q.at_target != T(0)) loss = q.at_target * (log_sum - (x[target] - r.largest));
      if (q.spread != T(0)) loss += q.spread * sum;
      args.loss[row] = loss;
      args.shift[row] = r.largest;
      args.log_sum[row] = log_sum;
    }
  }
}

// How the loss of a row depends on its logits: p_c sum(q) - q_c.
template <class T>
struct Slope {
  const T *x, *weight;
  T shift, log_sum;
  std::int64_t target;
  RowWeights<T> q;

  // Without what stands at the target.
  __device__ T spread(std::int64_t c) const {
    const T p = std::exp((x[c] - shift) - log_sum);
    const T w = q.spread == T(0) ? T(0) : weight ? q.spread * weight[c] : q.spread;
    return std::fma(q.sum, p, -w);
  }
};

template <class T>
__device__ Slope<T> slope_of(const CrossEntropyShape& s, const CrossEntropyLinear<T>& args,
                             const T* total, std::int64_t row) {
  const std::int64_t target = args.target[row];
  return {args.x + row * s.n,
          args.weight,
          args.shift[row],
          args.log_sum[row],
          target,
          row_weights(s, args.weight, total ? *total : T(s.n), target)};
}

template <bool whole_block, class T>
__global__ void __launch_bounds__(row_threads, row_blocks<T>)
    cross_entropy_pull_kernel(CrossEntropyShape s, CrossEntropyLinear<T> args, const T* total) {
  const RowGroup<whole_block> group;
  const T beta = T(args.beta);
  for (std::int64_t k = group.first(); k < s.directions * s.rows; k += group.step()) {
    const Slope<T> slope = slope_of(s, args, total, k - quotient(k, s.rows) * s.rows);
    const bool ignored = slope.target == s.ignored;  // not even NaN logits reach the gradient
    const T u = args.u[k];
    T* v = args.v + k * s.n;
    group.each(s.n, [&](std::int64_t c) {
      T d = ignored ? T(0) : slope.spread(c) * u;
      if (beta != T(0)) d = std::fma(beta, v[c], d);
      v[c] = c == slope.target && !ignored ? d - slope.q.at_target * u : d;
    });
  }
}

template <bool whole_block, class T>
__global__ void __launch_bounds__(row_threads, row_blocks<T>)
    cross_entropy_push_kernel(CrossEntropyShape s, CrossEntropyLinear<T> args, const T* total) {
  const RowGroup<whole_block> group;
  for (std::int64_t k = group.first(); k < s.directions * s.rows; k += group.step()) {
    const Slope<T> slope = slope_of(s, args, total, k - quotient(k, s.rows) * s.rows);
    const bool ignored = slope.target == s.ignored;
    const T* u = args.u + k * s.n;
    T sum = T(0);
    if (!ignored) {
      group.each(s.n, [&](std::int64_t c) { sum = std::fma(slope.spread(c), u[c], sum); });
      sum = group.reduce(sum, Add{});
    }
    if (group.thread() == 0) args.v[k] = ignored ? T(0) : sum - slope.q.at_target * u[slope.target];
  }
}

// One of the two kernels of a linear map, by rows of which none is kept.
template <class T, class Kernel>
void linear(const char* name, Kernel by_block, Kernel by_warp, const CrossEntropyShape& s,
            const CrossEntropyLinear<T>& args) {
  const RowPlan plan = plan_rows(s.directions * s.rows, s.n, sizeof(T), 1);
  const T* total = weight_sum(s, args.weight);
  launch(plan.whole_block ? by_block : by_warp,
         {.name = name, .grid = plan.blocks, .block = row_threads, .stream = current_stream()}, s,
         args, total);
}

}  // namespace

template <class T>
void cross_entropy(const CrossEntropyShape& s, const CrossEntropyArgs<T>& args) noexcept {
  if (s.rows == 0) return;
  const RowPlan plan = plan_rows(s.rows, s.n, sizeof(T), 1);
  launch(plan.whole_block ? cross_entropy_kernel<true, T> : cross_entropy_kernel<false, T>,
         {.name = "cross_entropy",
          .grid = plan.blocks,
          .block = row_threads,
          .shared = plan.shared,
          .stream = current_stream()},
         s, args, plan.kept);
}

template <class T>
void cross_entropy_pull(const CrossEntropyShape& s, const CrossEntropyLinear<T>& args) noexcept {
  if (s.directions * s.rows * s.n == 0) return;
  linear("cross_entropy_pull", cross_entropy_pull_kernel<true, T>,
         cross_entropy_pull_kernel<false, T>, s, args);
}

template <class T>
void cross_entropy_push(const CrossEntropyShape& s, const CrossEntropyLinear<T>& args) noexcept {
  if (s.directions * s.rows == 0) return;
  linear("cross_entropy_push", cross_entropy_push_kernel<true, T>,
         cross_entropy_push_kernel<false, T>, s, args);
}

UNROLL_GPU_KERNEL(cross_entropy, void, CrossEntropyShape, CrossEntropyArgs)
UNROLL_GPU_KERNEL(cross_entropy_pull, void, CrossEntropyShape, CrossEntropyLinear)
UNROLL_GPU_KERNEL(cross_entropy_push, void, CrossEntropyShape, CrossEntropyLinear)

}  // namespace unroll::UNROLL_GPU
