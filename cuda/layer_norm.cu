// Layer normalisation by rows (cuda/rows.h): each row is read once and kept, up to 24576 float32
// numbers without weights (8192 with weight and bias), half of that for float64 and in the linear
// maps. The sums over rows go down columns, in parts of the rows where columns are few.
#include "kernels/layer_norm.h"

#include <cmath>

#include "cuda/backend.h"
#include "cuda/rows.h"

namespace unroll::UNROLL_GPU {
namespace {

// A row and what it is normalised by.
template <class T>
struct NormRow {
  const T* x;
  T high, low;  // the mean is their sum
  T inv_sd;

  __device__ T centred(T value) const { return (value - high) - low; }
};

template <bool whole_block, class T, class At>
__device__ NormRow<T> normaliser(const RowGroup<whole_block>& group, const T* x, std::int64_t n,
                                 T eps, At at) {
  T sum = T(0), rest = T(0), squares = T(0);
  group.each(n, [&](std::int64_t i) { sum += at(i); });
  const T first = group.reduce(sum, Add{}) / T(n);
  group.each(n, [&](std::int64_t i) { rest += at(i) - first; });
  rest = group.reduce(rest, Add{}) / T(n);
  NormRow<T> row{x, first + rest, T(0), T(0)};
  row.low = rest - (row.high - first);
  group.each(n, [&](std::int64_t i) {
    const T d = row.centred(at(i));
    squares += d * d;
  });
  row.inv_sd = T(1) / std::sqrt(group.reduce(squares, Add{}) / T(n) + eps);
  return row;
}

template <bool whole_block, class T>
__global__ void __launch_bounds__(row_threads, row_blocks<T>)
    layer_norm_kernel(LayerNormShape s, LayerNormArgs<T> args, bool keep) {
  SHARED_DYNAMIC(T, memory);
  const RowGroup<whole_block> group;
  T* next = memory;
  const T* weight = common_row(args.weight, next, s.n, keep);
  const T* bias = common_row(args.bias, next, s.n, keep);
  T* kept = next + group.slot() * s.n;
  __syncthreads();
  for (std::int64_t row = group.first(); row < s.rows; row += group.step()) {
    const T* x = args.x + row * s.n;
    T* y = args.y + row * s.n;
    if (keep) group.each(s.n, [&](std::int64_t i) { kept[i] = x[i]; });
    const auto at = [&](std::int64_t i) { return keep ? kept[i] : x[i]; };
    const NormRow<T> norm = normaliser(group, x, s.n, T(s.eps), at);
    group.each(s.n, [&](std::int64_t i) {
      T z = norm.centred(at(i)) * norm.inv_sd;
      if (weight) z = z * weight[i];
      if (bias) z = z + bias[i];
      y[i] = z;
    });
    if (group.thread() == 0) {
      args.mean[row] = norm.high;
      args.mean_low[row] = norm.low;
      args.inv_sd[row] = norm.inv_sd;
    }
  }
}

// v = inv_sd (g - mean(g) - z mean(g z)) for g(i); what is done with v is up to put(i, z, v). Keeps
// z and g.
template <bool whole_block, class T, class G, class Put>
__device__ void project_row(const RowGroup<whole_block>& group, const NormRow<T>& row,
                            std::int64_t n, T* kept, bool keep, G g, Put put) {
  T sum = T(0), with_z = T(0);
  group.each(n, [&](std::int64_t i) {
    const T z = row.centred(row.x[i]) * row.inv_sd, value = g(i);
    if (keep) kept[i] = z, kept[n + i] = value;
    sum += value;
    with_z = std::fma(value, z, with_z);
  });
  const T by_mean = group.reduce(sum, Add{}) / T(n);
  const T by_z = group.reduce(with_z, Add{}) / T(n);
  group.each(n, [&](std::int64_t i) {
    const T z = keep ? kept[i] : row.centred(row.x[i]) * row.inv_sd;
    const T value = keep ? kept[n + i] : g(i);
    put(i, z, std::fma(-z, by_z, value - by_mean) * row.inv_sd);
  });
}

// Row k % rows of x, as the forward pass found it.
template <class T, class Args>
__device__ NormRow<T> row_of(const LayerNormShape& s, const Args& args, std::int64_t k) {
  const std::int64_t row = k - quotient(k, s.rows) * s.rows;
  return {args.x + row * s.n, args.mean[row], args.mean_low[row], args.inv_sd[row]};
}

template <bool whole_block, class T>
__global__ void __launch_bounds__(row_threads, row_blocks<T>)
    layer_norm_pull_kernel(LayerNormShape s, LayerNormPull<T> args, bool keep) {
  SHARED_DYNAMIC(T, memory);
  const RowGroup<whole_block> group;
  T* next = memory;
  const T* weight = common_row(args.weight, next, s.n, keep);
  T* kept = next + group.slot() * 2 * s.n;
  __syncthreads();
  const T beta = T(args.beta_x);
  for (std::int64_t k = group.first(); k < s.directions * s.rows; k += group.step()) {
    const T* u = args.u + k * s.n;
    T* dx = args.dx + k * s.n;
    const auto g = [&](std::int64_t i) { return weight ? u[i] * weight[i] : u[i]; };
    project_row(group, row_of<T>(s, args, k), s.n, kept, keep, g, [&](std::int64_t i, T, T v) {
      dx[i] = beta == T(0) ? v : std::fma(beta, dx[i], v);
    });
  }
}

template <bool whole_block, class T>
__global__ void __launch_bounds__(row_threads, row_blocks<T>)
    layer_norm_push_kernel(LayerNormShape s, LayerNormPush<T> args, bool keep) {
  SHARED_DYNAMIC(T, memory);
  const RowGroup<whole_block> group;
  for (std::int64_t direction = blockIdx.y; direction < s.directions; direction += gridDim.y) {
    const std::int64_t ours = direction * s.n;
    T* next = memory;
    __syncthreads();  // the direction before has been read
    const T* weight = common_row(args.weight, next, s.n, keep);
    const T* tweight = common_row(args.tweight ? args.tweight + ours : nullptr, next, s.n, keep);
    const T* tbias = common_row(args.tbias ? args.tbias + ours : nullptr, next, s.n, keep);
    T* kept = next + group.slot() * 2 * s.n;
    __syncthreads();
    for (std::int64_t row = group.first(); row < s.rows; row += group.step()) {
      const std::int64_t k = direction * s.rows + row;
      const T* tx = args.tx ? args.tx + k * s.n : nullptr;
      T* ty = args.ty + k * s.n;
      const auto g = [&](std::int64_t i) { return tx ? tx[i] : T(0); };
      project_row(group, row_of<T>(s, args, row), s.n, kept, keep, g,
                  [&](std::int64_t i, T z, T v) {
                    if (weight) v = v * weight[i];
                    if (tweight) v = std::fma(z, tweight[i], v);
                    if (tbias) v = v + tbias[i];
                    ty[i] = v;
                  });
    }
  }
}

// ---- Sums over rows: a block takes 32 adjacent columns of one direction and one part of the rows.

constexpr int strip = 32, strip_rows = 8;  // threads of a block: columns, rows side by side
constexpr int leaf = 16;                   // rows that a thread sums in T before it adds to doubles
constexpr int chunk = strip_rows * leaf;   // rows whose means are fetched at a time

struct ColumnPlan {
  std::int64_t strips, parts;
  unsigned blocks;
};

ColumnPlan plan_columns(const LayerNormShape& s) {
  constexpr std::int64_t wanted = 1024, least_rows = 2 * chunk;
  const std::int64_t strips = (s.n + strip - 1) / strip, whole = strips * s.directions;
  std::int64_t parts = wanted / whole;
  if (parts > s.rows / least_rows) parts = s.rows / least_rows;
  if (parts < 1) parts = 1;
  return {strips, parts, unsigned(whole * parts)};
}

template <class T>
__device__ void put_sums(const LayerNormPull<T>& args, std::int64_t i, double2 sum) {
  const T beta_weight = T(args.beta_weight), beta_bias = T(args.beta_bias);
  const T with_z = T(sum.x), plain = T(sum.y);
  if (T* to = args.dweight) to[i] = beta_weight == T(0) ? with_z : beta_weight * to[i] + with_z;
  if (T* to = args.dbias) to[i] = beta_bias == T(0) ? plain : beta_bias * to[i] + plain;
}

// The sums of u z and u down column c, over every eighth row of begin .. end-1.
template <class T>
__device__ double2 sum_column(const LayerNormShape& s, const LayerNormPull<T>& args,
                              std::int64_t direction, std::int64_t c, std::int64_t begin,
                              std::int64_t end) {
  SHARED(T[3 * chunk], norm);
  const int thread = int(threadIdx.y) * strip + int(threadIdx.x);
  double2 total = make_double2(0, 0);
  for (std::int64_t first = begin; first < end; first += chunk) {
    __syncthreads();
    if (thread < chunk && first + thread < end) {
      norm[thread] = args.mean[first + thread];
      norm[chunk + thread] = args.mean_low[first + thread];
      norm[2 * chunk + thread] = args.inv_sd[first + thread];
    }
    __syncthreads();
    T with_z = T(0), plain = T(0);
#pragma unroll 8
    for (int j = 0; j < leaf; j++) {
      const int at = j * strip_rows + int(threadIdx.y);
      if (first + at >= end || c >= s.n) continue;
      const T x = args.x[(first + at) * s.n + c];
      const T u = args.u[(direction * s.rows + first + at) * s.n + c];
      with_z += u * (((x - norm[at]) - norm[chunk + at]) * norm[2 * chunk + at]);
      plain += u;
    }
    total.x += double(with_z), total.y += double(plain);
  }
  return total;
}

// Writes the results, or one part of them to partial[part, direction, column].
template <class T>
__global__ void __launch_bounds__(strip* strip_rows, 2)
    layer_norm_columns_kernel(LayerNormShape s, LayerNormPull<T> args, ColumnPlan plan,
                              double2* partial) {
  SHARED(double2[strip_rows][strip], sums);
  const std::int64_t above = blockIdx.x / plan.strips;
  const std::int64_t c = (blockIdx.x - above * plan.strips) * strip + threadIdx.x;
  const std::int64_t part = above / s.directions, direction = above - part * s.directions;
  sums[threadIdx.y][threadIdx.x] = sum_column(s, args, direction, c, s.rows * part / plan.parts,
                                              s.rows * (part + 1) / plan.parts);
  __syncthreads();
  if (threadIdx.y != 0 || c >= s.n) return;
  double2 total = sums[0][threadIdx.x];
  for (int y = 1; y < strip_rows; y++) {
    const double2 other = sums[y][threadIdx.x];
    total.x += other.x, total.y += other.y;
  }
  const std::int64_t i = direction * s.n + c;
  if (plan.parts == 1) {
    put_sums(args, i, total);
  } else {
    partial[part * s.directions * s.n + i] = total;
  }
}

template <class T>
__global__ void layer_norm_parts_kernel(LayerNormShape s, LayerNormPull<T> args, std::int64_t parts,
                                        const double2* partial) {
  const std::int64_t count = s.directions * s.n;
  const std::int64_t i = std::int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= count) return;
  double2 total = partial[i];
#pragma unroll 8
  for (std::int64_t p = 1; p < parts; p++) {
    const double2 part = partial[p * count + i];
    total.x += part.x, total.y += part.y;
  }
  put_sums(args, i, total);
}

template <class T>
void pull_columns(const LayerNormShape& s, const LayerNormPull<T>& args) {
  const ColumnPlan plan = plan_columns(s);
  const Stream stream = current_stream();
  double2* partial = plan.parts > 1 ? static_cast<double2*>(workspace()) : nullptr;
  launch(layer_norm_columns_kernel<T>,
         {.name = "layer_norm_columns",
          .grid = plan.blocks,
          .block = {strip, strip_rows},
          .stream = stream},
         s, args, plan, partial);
  if (plan.parts == 1) return;
  launch(layer_norm_parts_kernel<T>,
         {.name = "layer_norm_parts",
          .grid = blocks_of(s.directions * s.n, 128),
          .block = 128,
          .stream = stream},
         s, args, plan.parts, partial);
}

template <class T>
void pull_rows(const LayerNormShape& s, const LayerNormPull<T>& args) {
  const RowPlan plan = plan_rows(s.directions * s.rows, s.n, sizeof(T), 2, args.weight != nullptr);
  launch(plan.whole_block ? layer_norm_pull_kernel<true, T> : layer_norm_pull_kernel<false, T>,
         {.name = "layer_norm_pull",
          .grid = resident(plan),
          .block = row_threads,
          .shared = plan.shared,
          .stream = current_stream()},
         s, args, plan.kept);
}

}  // namespace

template <class T>
void layer_norm(const LayerNormShape& s, const LayerNormArgs<T>& args) noexcept {
  if (s.rows == 0) return;
  const int common = (args.weight != nullptr) + (args.bias != nullptr);
  const RowPlan plan = plan_rows(s.rows, s.n, sizeof(T), 1, common);
  launch(plan.whole_block ? layer_norm_kernel<true, T> : layer_norm_kernel<false, T>,
         {.name = "layer_norm",
          .grid = resident(plan),
          .block = row_threads,
          .shared = plan.shared,
          .stream = current_stream()},
         s, args, plan.kept);
}

template <class T>
void layer_norm_pull(const LayerNormShape& s, const LayerNormPull<T>& args) noexcept {
  if (s.directions == 0) return;
  if (args.dx && s.rows > 0) pull_rows(s, args);
  if (args.dweight || args.dbias) pull_columns(s, args);
}

template <class T>
void layer_norm_push(const LayerNormShape& s, const LayerNormPush<T>& args) noexcept {
  if (s.directions * s.rows == 0) return;
  const int common = (args.weight != nullptr) + (args.tweight != nullptr) + (args.tbias != nullptr);
  const RowPlan plan = plan_rows(s.rows, s.n, sizeof(T), 2, common);
  constexpr std::int64_t most = 65535;  // of a grid, along y
  const auto along_y = unsigned(s.directions < most ? s.directions : most);
  const unsigned each = resident(plan) / along_y;  // as many blocks as are resident, in all
  launch(plan.whole_block ? layer_norm_push_kernel<true, T> : layer_norm_push_kernel<false, T>,
         {.name = "layer_norm_push",
          .grid = {each > 0 ? each : 1, along_y},
          .block = row_threads,
          .shared = plan.shared,
          .stream = current_stream()},
         s, args, plan.kept);
}

UNROLL_GPU_KERNEL(layer_norm, void, LayerNormShape, LayerNormArgs)
UNROLL_GPU_KERNEL(layer_norm_pull, void, LayerNormShape, LayerNormPull)
UNROLL_GPU_KERNEL(layer_norm_push, void, LayerNormShape, LayerNormPush)

}  // namespace unroll::UNROLL_GPU
