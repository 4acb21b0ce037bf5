// Reductions along one axis. Threads of a warp lie along whichever of the axes has the smaller
// stride, so that what they read together is adjacent:
//
//   rows      lanes along the reduced axis: 1 to 32 of them, or a block, for one output
//   columns   lanes along the outputs, eight rows of them side by side down the reduced axis
//
// Where outputs are too few to fill a GPU, the reduced axis is cut into parts by their number and
// sizes alone, and a second kernel combines what the first one left in the stream's workspace.
//
// A thread adds up leaves of 16 numbers in T, and those in double; threads are combined in a tree.
// So float32 sums are as good as pairwise ones, and every sum is the same bits in every run. An
// extreme carries its index, which makes the order of comparisons irrelevant.
#include "kernels/reduction.h"

#include "cuda/backend.h"
#include "cuda/reduce.h"
#include "cuda/workspace.h"

namespace unroll::UNROLL_GPU {
namespace {

template <class T>
struct WideOf {
  using type = double;
};
template <>
struct WideOf<std::int64_t> {
  using type = std::int64_t;
};
template <class T>
using Wide = typename WideOf<T>::type;

// What one reduction is made of: a Leaf takes numbers, a Part (what threads and kernels hand on)
// takes leaves and parts, put() writes a result.

template <class T>
struct SumOp {
  using Leaf = T;
  using Part = Wide<T>;
  static __device__ Leaf no_leaf() { return T(0); }
  static __device__ Part none() { return Part(0); }
  static __device__ Leaf take(Leaf sum, T x, std::int64_t) { return sum + x; }
  __device__ Part operator()(Part a, Part b) const { return a + b; }
  static __device__ void put(const ReduceArgs<T>& args, std::int64_t i, Part p) {
    args.y[i] = T(p);
  }
};

template <class T>
struct ProductOp {
  using Leaf = Wide<T>;
  using Part = Wide<T>;
  static __device__ Leaf no_leaf() { return Leaf(1); }
  static __device__ Part none() { return Part(1); }
  static __device__ Leaf take(Leaf product, T x, std::int64_t) { return product * Leaf(x); }
  __device__ Part operator()(Part a, Part b) const { return a * b; }
  static __device__ void put(const ReduceArgs<T>& args, std::int64_t i, Part p) {
    args.y[i] = T(p);
  }
};

// A number and where it is; index -1: nothing yet.
template <class T>
struct Extreme {
  T value;
  std::int64_t index;
};

template <class T>
__device__ Extreme<T> across(const Extreme<T>& e, int bits) {
  return {__shfl_xor_sync(~0u, e.value, bits), __shfl_xor_sync(~0u, e.index, bits)};
}

template <class T>
struct Ends {
  static constexpr T highest = T(__builtin_inf()), lowest = -highest;
};
template <>
struct Ends<std::int64_t> {
  static constexpr std::int64_t highest = INT64_MAX, lowest = INT64_MIN;
};

template <class T, bool largest>
struct ExtremeOp {
  using Leaf = Extreme<T>;
  using Part = Extreme<T>;
  bool last;  // of equals

  static __device__ Part none() { return {largest ? Ends<T>::lowest : Ends<T>::highest, -1}; }
  static __device__ Leaf no_leaf() { return none(); }
  __device__ Leaf take(Leaf best, T x, std::int64_t index) const {
    return (*this)(best, Extreme<T>{x, index});
  }
  // The first NaN is before everything else.
  __device__ Part operator()(const Part& a, const Part& b) const {
    if (a.index < 0 || b.index < 0) return a.index < 0 ? b : a;
    const bool first = a.index < b.index, a_nan = a.value != a.value, b_nan = b.value != b.value;
    if (a_nan || b_nan) return a_nan && (first || !b_nan) ? a : b;
    if (a.value == b.value) return first != last ? a : b;
    return (largest ? a.value > b.value : a.value < b.value) ? a : b;
  }
  static __device__ void put(const ReduceArgs<T>& args, std::int64_t i, const Part& p) {
    if (args.y) args.y[i] = p.value;
    if (args.index) args.index[i] = p.index;
  }
};

constexpr int leaf = 16;                   // numbers
constexpr int row_threads = 256;           // of a block in rows
constexpr int strip = 32, strip_rows = 8;  // threads of a block in columns
constexpr int wanted_blocks = 1024;        // that fill a GPU

// The numbers first, first + step, ... below last of output i.
template <class T, class Op>
__device__ typename Op::Part fold(const ReduceShape& s, const T* x, std::int64_t i,
                                  std::int64_t first, std::int64_t last, int step, Op op) {
  const std::int64_t o = quotient(i, s.inner);
  const T* from = x + o * s.stride_outer + (i - o * s.inner) * s.stride_inner;
  typename Op::Part total = Op::none();
  for (std::int64_t k = first; k < last; k += leaf * step) {
    typename Op::Leaf sum = Op::no_leaf();
#pragma unroll 8
    for (int j = 0; j < leaf; j++) {
      const std::int64_t at = k + std::int64_t(j) * step;
      if (at < last) sum = op.take(sum, from[at * s.stride_count], at);
    }
    total = op(total, typename Op::Part(sum));
  }
  return total;
}

// Where the parts of outputs go: to[i, part]; with one part a result is written at once.
template <class Part>
struct Parts {
  std::int64_t count;
  Part* to;
};

template <class T, class Op>
__device__ void put(const ReduceArgs<T>& args, const Parts<typename Op::Part>& parts,
                    std::int64_t i, std::int64_t part, const typename Op::Part& value) {
  if (parts.count == 1) {
    Op::put(args, i, value);
  } else {
    parts.to[i * parts.count + part] = value;
  }
}

// `width` lanes for an output.
template <class T, class Op>
__global__ void __launch_bounds__(row_threads, 4)
    reduce_rows_kernel(ReduceShape s, ReduceArgs<T> args, int width, Op op) {
  const int lane = int(threadIdx.x) % width;
  const std::int64_t i = (std::int64_t(blockIdx.x) * row_threads + threadIdx.x) / width;
  const bool active = i < s.outer * s.inner;
  const auto mine = fold(s, args.x, active ? i : 0, lane, active ? s.count : 0, width, op);
  const auto total = reduce_warp(mine, op, width);
  if (active && lane == 0) Op::put(args, i, total);
}

// A block for each part of an output.
template <class T, class Op>
__global__ void __launch_bounds__(row_threads, 4)
    reduce_long_rows_kernel(ReduceShape s, ReduceArgs<T> args, Parts<typename Op::Part> parts,
                            Op op) {
  const std::int64_t i = blockIdx.x / parts.count, part = blockIdx.x - i * parts.count;
  const std::int64_t first = s.count * part / parts.count,
                     last = s.count * (part + 1) / parts.count;
  const auto mine = fold(s, args.x, i, first + threadIdx.x, last, row_threads, op);
  const auto total = reduce_block(mine, op);
  if (threadIdx.x == 0) put<T, Op>(args, parts, i, part, total);
}

// 32 outputs side by side; grid (strips, parts).
template <class T, class Op>
__global__ void __launch_bounds__(strip* strip_rows, 4)
    reduce_columns_kernel(ReduceShape s, ReduceArgs<T> args, Parts<typename Op::Part> parts,
                          Op op) {
  using Part = typename Op::Part;
  SHARED(Part[strip_rows][strip], sums);
  const std::int64_t i = std::int64_t(blockIdx.x) * strip + threadIdx.x, part = blockIdx.y;
  const std::int64_t first = s.count * part / parts.count,
                     last = s.count * (part + 1) / parts.count;
  const bool active = i < s.outer * s.inner;
  Part total =
      fold(s, args.x, active ? i : 0, first + threadIdx.y, active ? last : 0, strip_rows, op);
  sums[threadIdx.y][threadIdx.x] = total;
  __syncthreads();
  if (threadIdx.y != 0 || !active) return;
  for (int y = 1; y < strip_rows; y++) {
    const Part other = sums[y][threadIdx.x];
    total = op(total, other);
  }
  put<T, Op>(args, parts, i, part, total);
}

// A warp for each output, over its parts.
template <class T, class Op>
__global__ void __launch_bounds__(row_threads, 4)
    reduce_parts_kernel(std::int64_t outputs, ReduceArgs<T> args, Parts<typename Op::Part> parts,
                        Op op) {
  const std::int64_t i = (std::int64_t(blockIdx.x) * row_threads + threadIdx.x) / warp;
  if (i >= outputs) return;
  const int lane = int(threadIdx.x) % warp;
  typename Op::Part total = Op::none();
  for (std::int64_t p = lane; p < parts.count; p += warp) {
    total = op(total, parts.to[i * parts.count + p]);
  }
  total = reduce_warp(total, op);
  if (lane == 0) Op::put(args, i, total);
}

// How many parts fill a GPU when there are `blocks` blocks for each part, each of which is to have
// at least `least` numbers of the reduced axis. A function of the shape alone. So 32768 parts are
// the most: what columns have in 1024 blocks.
std::int64_t parts_for(std::int64_t blocks, std::int64_t count, std::int64_t least) {
  const std::int64_t most = wanted_blocks / blocks,
                     parts = most < count / least ? most : count / least;
  return parts > 1 ? parts : 1;
}

template <class T, class Op>
Parts<typename Op::Part> parts_of(std::int64_t count) {
  using Part = typename Op::Part;
  static_assert(strip * wanted_blocks * sizeof(Part) <= workspace_bytes);
  return {count, count > 1 ? static_cast<Part*>(workspace()) : nullptr};
}

template <class T, class Op>
void combine(const ReduceShape& s, const ReduceArgs<T>& args, const Parts<typename Op::Part>& parts,
             Op op) {
  if (parts.count == 1) return;
  const std::int64_t outputs = s.outer * s.inner;
  launch(reduce_parts_kernel<T, Op>,
         {.name = "reduce_parts",
          .grid = blocks_of(outputs * warp, row_threads),
          .block = row_threads,
          .stream = current_stream()},
         outputs, args, parts, op);
}

template <class T, class Op>
void reduce_rows(const ReduceShape& s, const ReduceArgs<T>& args, Op op) {
  constexpr std::int64_t long_row = 1024;
  const std::int64_t outputs = s.outer * s.inner;
  if (s.count < long_row) {
    int width = 1;
    while (width < warp && width < s.count) width *= 2;
    return launch(reduce_rows_kernel<T, Op>,
                  {.name = "reduce_rows",
                   .grid = blocks_of(outputs * width, row_threads),
                   .block = row_threads,
                   .stream = current_stream()},
                  s, args, width, op);
  }
  const auto parts = parts_of<T, Op>(parts_for(outputs, s.count, leaf * row_threads));
  launch(reduce_long_rows_kernel<T, Op>,
         {.name = "reduce_long_rows",
          .grid = unsigned(outputs * parts.count),
          .block = row_threads,
          .stream = current_stream()},
         s, args, parts, op);
  combine(s, args, parts, op);
}

template <class T, class Op>
void reduce_columns(const ReduceShape& s, const ReduceArgs<T>& args, Op op) {
  const unsigned strips = blocks_of(s.outer * s.inner, strip);
  const auto parts = parts_of<T, Op>(parts_for(strips, s.count, 4 * leaf * strip_rows));
  launch(reduce_columns_kernel<T, Op>,
         {.name = "reduce_columns",
          .grid = {strips, unsigned(parts.count)},
          .block = {strip, strip_rows},
          .stream = current_stream()},
         s, args, parts, op);
  combine(s, args, parts, op);
}

constexpr std::int64_t magnitude(std::int64_t x) { return x < 0 ? -x : x; }

template <class T, class Op>
void run(const ReduceShape& s, const ReduceArgs<T>& args, Op op) {
  const std::int64_t beside = s.inner > 1 ? s.stride_inner : s.stride_outer;
  const bool columns = s.outer * s.inner > 1 && magnitude(beside) < magnitude(s.stride_count);
  columns ? reduce_columns(s, args, op) : reduce_rows(s, args, op);
}

}  // namespace

template <class T>
void reduce(const ReduceShape& s, const ReduceArgs<T>& args) noexcept {
  if (s.outer * s.inner == 0) return;
  switch (s.op) {
    case Reduce::sum: return run(s, args, SumOp<T>{});
    case Reduce::prod: return run(s, args, ProductOp<T>{});
    case Reduce::max: return run(s, args, ExtremeOp<T, true>{s.last});
    case Reduce::min: return run(s, args, ExtremeOp<T, false>{s.last});
  }
}

UNROLL_GPU_KERNEL(reduce, void, ReduceShape, ReduceArgs)
UNROLL_GPU_KERNEL_FOR(std::int64_t, reduce, void, ReduceShape, ReduceArgs)

}  // namespace unroll::UNROLL_GPU
