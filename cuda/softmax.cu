// Softmax by rows (cuda/rows.h). Rows that fit are read once, kept as exponentials and written
// once; longer ones take an online pass, which follows the maximum as it grows (Milakov,
// Gimelshein, "Online normalizer calculation for softmax", 2018), and are read twice. The limit is
// 24576 float32 numbers, 12288 for float64 and for the linear map of softmax, which keeps two
// numbers.
#include "kernels/softmax.h"

#include <cmath>

#include "cuda/backend.h"
#include "cuda/rows.h"
#include "cuda/softmax_row.h"

namespace unroll::UNROLL_GPU {
namespace {

template <bool whole_block, bool log, class T>
__global__ void __launch_bounds__(row_threads, row_blocks<T>)
    softmax_kernel(SoftmaxShape s, SoftmaxArgs<T> args, bool keep) {
  SHARED_DYNAMIC(T, memory);
  const RowGroup<whole_block> group;
  T* kept = memory + group.slot() * s.n;
  for (std::int64_t row = group.first(); row < s.rows; row += group.step()) {
    const T* x = args.x + row * s.n;
    T* y = args.y + row * s.n;
    const RowSum<T> r = keep ? sum_kept<log>(group, x, kept, s.n) : sum_online(group, x, s.n);
    const T log_sum = log ? std::log(r.sum) : T(0);
    group.each(s.n, [&](std::int64_t i) {
      if (log) {
        y[i] = (keep ? kept[i] : x[i] - r.largest) - log_sum;
      } else {
        y[i] = (keep ? kept[i] : std::exp(x[i] - r.largest)) / r.sum;
      }
    });
  }
}

// Which product is summed up, and what becomes of the sum.
enum class Map {
  both,      // softmax:             v = y (u - sum(u y))
  log_pull,  // log-softmax, back:   v = u - exp(y) sum(u)
  log_push,  // log-softmax, onward: v = u - sum(exp(y) u)
};

// Numbers that the second pass needs again.
template <Map map>
constexpr int kept_by = map == Map::both ? 2 : 1;

template <bool whole_block, Map map, class T>
__global__ void __launch_bounds__(row_threads, row_blocks<T>)
    softmax_linear_kernel(SoftmaxShape s, SoftmaxLinear<T> args, bool keep) {
  SHARED_DYNAMIC(T, memory);
  const RowGroup<whole_block> group;
  T* kept_u = memory + group.slot() * s.n * kept_by<map>;
  T* kept_y = kept_u + s.n;
  const T beta = T(args.beta);
  for (std::int64_t k = group.first(); k < s.directions * s.rows; k += group.step()) {
    const T *y = args.y + k % s.rows * s.n, *u = args.u + k * s.n;
    T* v = args.v + k * s.n;
    T sum = T(0);
    group.each(s.n, [&](std::int64_t i) {
      const T given = u[i];
      if (keep) kept_u[i] = given;
      if (map == Map::log_pull) {
        sum += given;
      } else {
        const T weight = map == Map::both ? y[i] : std::exp(y[i]);
        if (map == Map::both && keep) kept_y[i] = weight;
        sum = std::fma(weight, given, sum);
      }
    });
    sum = group.reduce(sum, Add{});
    group.each(s.n, [&](std::int64_t i) {
      const T given = keep ? kept_u[i] : u[i];
      T result = given - sum;
      if (map == Map::both) result *= keep ? kept_y[i] : y[i];
      if (map == Map::log_pull) result = std::fma(-std::exp(y[i]), sum, given);
      v[i] = beta == T(0) ? result : std::fma(beta, v[i], result);
    });
  }
}

template <bool log, class T>
void forward(const SoftmaxShape& s, const SoftmaxArgs<T>& args) {
  const RowPlan plan = plan_rows(s.rows, s.n, sizeof(T), 1);
  launch(plan.whole_block ? softmax_kernel<true, log, T> : softmax_kernel<false, log, T>,
         {.name = "softmax",
          .grid = plan.blocks,
          .block = row_threads,
          .shared = plan.shared,
          .stream = current_stream()},
         s, args, plan.kept);
}

template <Map map, class T>
void linear(const SoftmaxShape& s, const SoftmaxLinear<T>& args) {
  const std::int64_t rows = s.directions * s.rows;
  if (rows * s.n == 0) return;
  const RowPlan plan = plan_rows(rows, s.n, sizeof(T), kept_by<map>);
  launch(
      plan.whole_block ? softmax_linear_kernel<true, map, T> : softmax_linear_kernel<false, map, T>,
      {.name = "softmax_linear",
       .grid = plan.blocks,
       .block = row_threads,
       .shared = plan.shared,
       .stream = current_stream()},
      s, args, plan.kept);
}

}  // namespace

template <class T>
void softmax(const SoftmaxShape& s, const SoftmaxArgs<T>& args) noexcept {
  if (s.rows * s.n == 0) return;
  s.log ? forward<true>(s, args) : forward<false>(s, args);
}

template <class T>
void softmax_pull(const SoftmaxShape& s, const SoftmaxLinear<T>& args) noexcept {
  s.log ? linear<Map::log_pull>(s, args) : linear<Map::both>(s, args);
}

template <class T>
void softmax_push(const SoftmaxShape& s, const SoftmaxLinear<T>& args) noexcept {
  s.log ? linear<Map::log_push>(s, args) : linear<Map::both>(s, args);
}

UNROLL_GPU_KERNEL(softmax, void, SoftmaxShape, SoftmaxArgs)
UNROLL_GPU_KERNEL(softmax_pull, void, SoftmaxShape, SoftmaxLinear)
UNROLL_GPU_KERNEL(softmax_push, void, SoftmaxShape, SoftmaxLinear)

}  // namespace unroll::UNROLL_GPU
