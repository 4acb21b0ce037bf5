#include "cuda/recurrent_plan.h"

namespace unroll::UNROLL_GPU {
namespace {

constexpr int list_threads = 128;

// Rows of the steps before t.
__device__ std::int64_t rows_before(const DeviceSequences& s, std::int64_t t) {
  using Parts = std::int64_t[list_threads];
  SHARED(Parts, part);
  if (!s.active) return t * s.N;
  std::int64_t sum = 0;
  for (std::int64_t i = threadIdx.x; i < t; i += list_threads) sum += s.active[s.first + i];
  part[threadIdx.x] = sum;
  __syncthreads();
  sum = 0;
  for (int i = 0; i < list_threads; i++) sum += part[i];
  return sum;
}

// A block for each step.
__global__ void __launch_bounds__(list_threads) list_rows_kernel(DeviceSequences s, RowLists to) {
  const std::int64_t t = blockIdx.x, begin = rows_before(s, t);
  const std::int64_t active = s.active_at(t);
  for (std::int64_t j = threadIdx.x; j < active; j += list_threads) {
    const std::int64_t n = s.index(j);
    to.time[begin + j] = s.row(t, n);
    to.state[begin + j] = t * s.N + n;
  }
}

}  // namespace

void list_rows(const Steps& steps, const RowLists& lists) noexcept {
  if (steps.total() == 0) return;
  launch(list_rows_kernel,
         {.name = "list_rows",
          .grid = unsigned(steps.count()),
          .block = list_threads,
          .stream = current_stream()},
         steps.device(), lists);
}

std::int64_t& chunk_numbers() noexcept {
  static std::int64_t numbers = std::int64_t{1} << 26;
  return numbers;
}

std::int64_t& wanted_blocks() noexcept {
  static std::int64_t blocks = 256;
  return blocks;
}

}  // namespace unroll::UNROLL_GPU
