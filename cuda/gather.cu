// Reading through indices is one thread for each element of the result. Adding through them must
// give the same bits in every run, so there are no atomics: a warp owns a range of the places that
// are added to and walks all indices in order, 32 at a time, adding what falls into its range. An
// index is read by as many warps as there are ranges, 8192 at most, and from the second-level cache
// by all but the first; nothing is sorted.
#include "kernels/gather.h"

#include "cuda/backend.h"
#include "cuda/reduce.h"
#include "cuda/workspace.h"

namespace unroll::UNROLL_GPU {
namespace {

constexpr int threads = 256;

template <class T>
__global__ void __launch_bounds__(threads) index_select_kernel(GatherShape s, GatherArgs<T> args) {
  const std::int64_t i = std::int64_t(blockIdx.x) * threads + threadIdx.x;
  if (i >= s.outer * s.m * s.inner) return;
  const std::int64_t slice = quotient(i, s.inner), o = quotient(slice, s.m);
  const std::int64_t from = args.index[slice - o * s.m];
  args.y[i] = args.x[(o * s.n + from) * s.inner + (i - slice * s.inner)];
}

template <class T>
__global__ void __launch_bounds__(threads) take_along_kernel(GatherShape s, GatherArgs<T> args) {
  const std::int64_t i = std::int64_t(blockIdx.x) * threads + threadIdx.x;
  if (i >= s.outer * s.m * s.inner) return;
  const std::int64_t slice = quotient(i, s.inner), o = quotient(slice, s.m);
  args.y[i] = args.x[(o * s.n + args.index[i]) * s.inner + (i - slice * s.inner)];
}

// How the places of y are shared among warps: each has one of `ranges` ranges of 0 .. n-1 and one
// of `strips` strips of columns.
struct AddPlan {
  std::int64_t ranges, strips;
  std::int64_t index_stride;  // between the indices of two outer slices: 0, or m
};
constexpr std::int64_t strip = 128;  // columns

AddPlan plan_add(const GatherShape& s, std::int64_t index_stride) {
  constexpr std::int64_t wanted = 8192;  // warps that fill a GPU
  const std::int64_t strips = (s.inner + strip - 1) / strip;
  const std::int64_t ranges = wanted / (s.outer * strips);
  return {ranges < 1 ? 1 : ranges < s.n ? ranges : s.n, strips, index_stride};
}

template <class T>
__global__ void __launch_bounds__(threads)
    index_add_kernel(GatherShape s, GatherArgs<T> args, AddPlan plan) {
  const std::int64_t own = (std::int64_t(blockIdx.x) * threads + threadIdx.x) / warp;
  const std::int64_t above = quotient(own, plan.strips), o = quotient(above, plan.ranges);
  if (o >= s.outer) return;
  const int lane = int(threadIdx.x) % warp;
  const std::int64_t range = above - o * plan.ranges;
  const std::int64_t begin = s.n * range / plan.ranges, end = s.n * (range + 1) / plan.ranges;
  const std::int64_t first = (own - above * plan.strips) * strip;
  const std::int64_t last = first + strip < s.inner ? first + strip : s.inner;
  for (std::int64_t j = 0; j < s.m; j += warp) {
    const std::int64_t place =
        j + lane < s.m ? args.index[o * plan.index_stride + j + lane] : std::int64_t{-1};
    unsigned hits = __ballot_sync(~0u, place >= begin && place < end);
    for (; hits != 0; hits &= hits - 1) {
      const int hit = __ffs(int(hits)) - 1;
      const std::int64_t to = __shfl_sync(~0u, place, hit);
      const T* x = args.x + (o * s.m + j + hit) * s.inner;
      T* y = args.y + (o * s.n + to) * s.inner;
      for (std::int64_t i = first + lane; i < last; i += warp) y[i] += x[i];
    }
  }
}

// A thread for each column, which walks down all of its indices.
template <class T>
__global__ void __launch_bounds__(threads) put_along_add_kernel(GatherShape s, GatherArgs<T> args) {
  const std::int64_t column = std::int64_t(blockIdx.x) * threads + threadIdx.x;
  if (column >= s.outer * s.inner) return;
  const std::int64_t o = quotient(column, s.inner), i = column - o * s.inner;
  T* y = args.y + o * s.n * s.inner + i;
#pragma unroll 4
  for (std::int64_t j = 0; j < s.m; j++) {
    const std::int64_t at = (o * s.m + j) * s.inner + i;
    y[args.index[at] * s.inner] += args.x[at];
  }
}

// Grids are sized by the elements of the result.
template <class T>
void each_element(const char* name, void (*kernel)(GatherShape, GatherArgs<T>),
                  const GatherShape& s, const GatherArgs<T>& args, std::int64_t count) {
  if (count == 0) return;
  launch(kernel,
         {.name = name,
          .grid = blocks_of(count, threads),
          .block = threads,
          .stream = current_stream()},
         s, args);
}

template <class T>
void add(const char* name, const GatherShape& s, const GatherArgs<T>& args,
         std::int64_t index_stride) {
  const AddPlan plan = plan_add(s, index_stride);
  launch(index_add_kernel<T>,
         {.name = name,
          .grid = blocks_of(s.outer * plan.ranges * plan.strips * warp, threads),
          .block = threads,
          .stream = current_stream()},
         s, args, plan);
}

constexpr std::int64_t none = INT64_MAX;
constexpr int most_partials = 1024;

// The first bad index that each block meets.
__global__ void __launch_bounds__(threads)
    bad_index_kernel(IndexRange range, IndexArgs args, std::int64_t* partial) {
  std::int64_t first = none;
  const std::int64_t step = std::int64_t(gridDim.x) * threads;
  std::int64_t i = std::int64_t(blockIdx.x) * threads + threadIdx.x;
#pragma unroll 4
  for (; i < range.count; i += step) {
    const std::int64_t index = args.index[i];
    if (index < 0 || index >= range.n) first = Smaller{}(first, i);
  }
  first = reduce_block(first, Smaller{});
  if (threadIdx.x == 0) partial[blockIdx.x] = first;
}

// One block; the result takes the place of the first part.
__global__ void __launch_bounds__(threads) smallest_kernel(std::int64_t* partial, int count) {
  std::int64_t first = none;
  for (int i = int(threadIdx.x); i < count; i += threads) first = Smaller{}(first, partial[i]);
  first = reduce_block(first, Smaller{});
  if (threadIdx.x == 0) partial[0] = first;
}

}  // namespace

template <class T>
void index_select(const GatherShape& s, const GatherArgs<T>& args) noexcept {
  each_element("index_select", index_select_kernel<T>, s, args, s.outer * s.m * s.inner);
}

template <class T>
void take_along(const GatherShape& s, const GatherArgs<T>& args) noexcept {
  each_element("take_along", take_along_kernel<T>, s, args, s.outer * s.m * s.inner);
}

template <class T>
void index_add(const GatherShape& s, const GatherArgs<T>& args) noexcept {
  if (s.outer * s.m * s.inner == 0) return;
  add("index_add", s, args, 0);
}

template <class T>
void put_along_add(const GatherShape& s, const GatherArgs<T>& args) noexcept {
  if (s.outer * s.m * s.inner == 0) return;
  if (s.inner == 1) return add("put_along_add", s, args, s.m);  // lines of one column each
  each_element("put_along_add", put_along_add_kernel<T>, s, args, s.outer * s.inner);
}

std::int64_t first_bad_index(const IndexRange& range, const IndexArgs& args) noexcept {
  if (range.count == 0) return -1;
  auto* partial = static_cast<std::int64_t*>(workspace());
  const unsigned blocks = blocks_of(range.count, threads * 4, most_partials);
  const Stream stream = current_stream();
  launch(bad_index_kernel,
         {.name = "first_bad_index", .grid = blocks, .block = threads, .stream = stream}, range,
         args, partial);
  launch(smallest_kernel, {.name = "smallest", .grid = 1, .block = threads, .stream = stream},
         partial, int(blocks));
  std::int64_t first = none;
  return fetch(&first, partial, sizeof(first)) && first != none ? first : -1;
}

UNROLL_GPU_KERNEL(index_select, void, GatherShape, GatherArgs)
UNROLL_GPU_KERNEL_FOR(std::int64_t, index_select, void, GatherShape, GatherArgs)
UNROLL_GPU_KERNEL_FOR(bool, index_select, void, GatherShape, GatherArgs)
UNROLL_GPU_KERNEL(take_along, void, GatherShape, GatherArgs)
UNROLL_GPU_KERNEL_FOR(std::int64_t, take_along, void, GatherShape, GatherArgs)
UNROLL_GPU_KERNEL_FOR(bool, take_along, void, GatherShape, GatherArgs)
UNROLL_GPU_KERNEL(index_add, void, GatherShape, GatherArgs)
UNROLL_GPU_KERNEL(put_along_add, void, GatherShape, GatherArgs)

}  // namespace unroll::UNROLL_GPU
