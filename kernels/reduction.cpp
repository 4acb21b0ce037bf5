#include "kernels/reduction.h"

#include "kernels/parallel_loop.h"
#include "kernels/simd.h"

namespace unroll::UNROLL_ISA_NS {

// Columns summed side by side, rows summed in plain order at the leaves of the tree, and the most
// parts that one output is split into for threads. All of them enter the order of a sum: they must
// not depend on the number of threads.
inline constexpr int sum_columns = 64;
inline constexpr int sum_leaf = 16;
inline constexpr int sum_parts = 16;
inline constexpr std::int64_t sum_part_rows = 1024;

// x as the reductions see it: `count` rows of `width` columns.
template <class T>
struct Rows {
  const T* x;
  std::int64_t stride;  // between rows
  std::int64_t column;  // between columns
  int width;            // <= sum_columns
};

template <class T>
static void sum_leaf_rows(const Rows<T>& r, std::int64_t begin, std::int64_t end, T* sum) {
  for (int j = 0; j < r.width; j++) sum[j] = T(0);
  for (std::int64_t i = begin; i < end; i++) {
    const T* row = r.x + i * r.stride;
    if (r.column == 1) {
      for (int j = 0; j < r.width; j++) sum[j] += row[j];
    } else {
      for (int j = 0; j < r.width; j++) sum[j] += row[j * r.column];
    }
  }
}

// The pairwise tree: halves are summed apart and added, down to leaves of sum_leaf rows.
template <class T>
static void sum_rows(const Rows<T>& r, std::int64_t begin, std::int64_t end, T* sum) {
  if (end - begin <= sum_leaf) return sum_leaf_rows(r, begin, end, sum);
  const std::int64_t half = (end - begin) / 2 / sum_leaf * sum_leaf;
  const std::int64_t middle = begin + (half > 0 ? half : sum_leaf);
  T right[sum_columns];
  sum_rows(r, begin, middle, sum);
  sum_rows(r, middle, end, right);
  for (int j = 0; j < r.width; j++) sum[j] += right[j];
}

// The same over `parts` fixed parts of the rows, which may run side by side.
template <class T>
static void sum_all_rows(const Rows<T>& r, std::int64_t count, T* sum) {
  std::int64_t parts = count / sum_part_rows;
  if (parts > sum_parts) parts = sum_parts;
  if (parts < 2) return sum_rows(r, 0, count, sum);
  T partial[sum_parts][sum_columns];
  for_each_index(parts, count * r.width, [&](std::int64_t p) {
    sum_rows(r, count * p / parts, count * (p + 1) / parts, partial[p]);
  });
  for (int j = 0; j < r.width; j++) sum[j] = partial[0][j];
  for (std::int64_t p = 1; p < parts; p++) {
    for (int j = 0; j < r.width; j++) sum[j] += partial[p][j];
  }
}

// One row of adjacent numbers, seen as rows of sum_columns: the columns' sums, then the sum of
// those, then the rest.
template <class T>
static T sum_line(const T* x, std::int64_t count, std::int64_t stride) {
  const std::int64_t rows = count / sum_columns;
  const int rest = int(count - rows * sum_columns);
  T total = T(0);
  if (rows > 0) {
    T sum[sum_columns];
    sum_all_rows(Rows<T>{x, sum_columns * stride, stride, sum_columns}, rows, sum);
    for (int width = sum_columns / 2; width > 0; width /= 2) {
      for (int j = 0; j < width; j++) sum[j] += sum[j + width];
    }
    total = sum[0];
  }
  if (rest > 0) {
    const T* tail = x + rows * sum_columns * stride;
    T sum = T(0);
    for (int i = 0; i < rest; i++) sum += tail[i * stride];
    total += sum;
  }
  return total;
}

template <class T>
static void sum(const ReduceShape& s, const ReduceArgs<T>& args) {
  const std::int64_t work = s.outer * s.count * s.inner;
  if (s.inner == 1) {
    for_each_index(s.outer, work, [&](std::int64_t o) {
      args.y[o] = sum_line(args.x + o * s.stride_outer, s.count, s.stride_count);
    });
    return;
  }
  const std::int64_t strips = (s.inner + sum_columns - 1) / sum_columns;
  for_each_index(s.outer * strips, work, [&](std::int64_t i) {
    const std::int64_t o = i / strips, first = i % strips * sum_columns;
    const int width = s.inner - first < sum_columns ? int(s.inner - first) : sum_columns;
    const T* x = args.x + o * s.stride_outer + first * s.stride_inner;
    T total[sum_columns];
    sum_all_rows(Rows<T>{x, s.stride_count, s.stride_inner, width}, s.count, total);
    for (int j = 0; j < width; j++) args.y[o * s.inner + first + j] = total[j];
  });
}

template <class T>
static void product(const ReduceShape& s, const ReduceArgs<T>& args) {
  for_each_index(s.outer * s.inner, s.outer * s.count * s.inner, [&](std::int64_t i) {
    const T* x = args.x + i / s.inner * s.stride_outer + i % s.inner * s.stride_inner;
    T result = T(1);
    for (std::int64_t k = 0; k < s.count; k++) result *= x[k * s.stride_count];
    args.y[i] = result;
  });
}

template <class T>
struct Limits {
  static constexpr T highest = T(__builtin_inf());
  static constexpr T lowest = -highest;
};
template <>
struct Limits<std::int64_t> {
  static constexpr std::int64_t highest = INT64_MAX, lowest = INT64_MIN;
};

template <class T>
static void extreme(const ReduceShape& s, const ReduceArgs<T>& args) {
  const bool largest = s.op == Reduce::max;
  for_each_index(s.outer * s.inner, s.outer * s.count * s.inner, [&](std::int64_t i) {
    const T* x = args.x + i / s.inner * s.stride_outer + i % s.inner * s.stride_inner;
    T best = largest ? Limits<T>::lowest : Limits<T>::highest;
    std::int64_t at = s.count > 0 ? 0 : -1;
    for (std::int64_t k = 0; k < s.count; k++) {
      const T value = x[k * s.stride_count];
      const bool better = (largest ? value > best : value < best) || (s.last && value == best);
      const bool nan = value != value;
      if (better || nan) {
        best = value;
        at = k;
        if (nan) break;
      }
    }
    if (args.y) args.y[i] = best;
    if (args.index) args.index[i] = at;
  });
}

template <class T>
void reduce(const ReduceShape& shape, const ReduceArgs<T>& args) noexcept {
  switch (shape.op) {
    case Reduce::sum: return sum(shape, args);
    case Reduce::prod: return product(shape, args);
    case Reduce::max:
    case Reduce::min: return extreme(shape, args);
  }
}

template void reduce<float>(const ReduceShape&, const ReduceArgs<float>&) noexcept;
template void reduce<double>(const ReduceShape&, const ReduceArgs<double>&) noexcept;
template void reduce<std::int64_t>(const ReduceShape&, const ReduceArgs<std::int64_t>&) noexcept;

}  // namespace unroll::UNROLL_ISA_NS
