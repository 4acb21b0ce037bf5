#include "kernels/reduction.h"

#include "kernels/parallel_loop.h"
#include "kernels/vector_loop_simd.h"

namespace unroll::UNROLL_ISA_NS {

// Columns summed side by side, rows summed in plain order at the leaves of the tree, and the most
// parts that one output is split into for threads. All of them enter the order of a sum: they must
// not depend on the number of threads.
inline constexpr int sum_columns = 64;
inline constexpr int sum_leaf = 16;
inline constexpr int sum_parts = 16;
inline constexpr std::int64_t sum_part_rows = 1024;

// Columns that a task walks down together, for long runs along each row; this enters no order.
inline constexpr int widest_strip = 512;

// x as the reductions see it: `count` rows of `width` columns.
template <class T>
struct Rows {
  const T* x;
  std::int64_t stride;  // between rows
  std::int64_t column;  // between columns
  int width;            // <= widest_strip
};

template <class T>
inline constexpr bool is_real = T(0.5) != T(0);

// sum_columns adjacent columns, in registers.
template <class T>
static void sum_adjacent(const Rows<T>& r, std::int64_t begin, std::int64_t end, T* sum) {
  using S = Simd<T>;
  constexpr int vectors = sum_columns / S::lanes;
  typename S::Vec total[vectors] = {};
  for (std::int64_t i = begin; i < end; i++) {
    UNROLL_FULL_UNROLL
    for (int j = 0; j < vectors; j++) total[j] += S::load(r.x + i * r.stride + j * S::lanes);
  }
  for (int j = 0; j < vectors; j++) S::store(sum + j * S::lanes, total[j]);
}

template <class T>
static void sum_leaf_rows(const Rows<T>& all, std::int64_t begin, std::int64_t end, T* sum) {
  Rows<T> r = all;
  if constexpr (is_real<T>) {
    for (; r.column == 1 && r.width >= sum_columns; r.width -= sum_columns) {
      sum_adjacent(r, begin, end, sum);
      r.x += sum_columns, sum += sum_columns;
    }
  }
  for (int j = 0; j < r.width; j++) sum[j] = T(0);
  for (std::int64_t i = begin; r.width > 0 && i < end; i++) {
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
  T right[widest_strip];
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
  T partial[sum_parts][widest_strip];
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

// Calls body(o, first, width) for strips of columns: as wide as leaves work for every thread.
template <class Body>
static void for_each_strip(const ReduceShape& s, Body body) {
  const std::int64_t work = s.outer * s.count * s.inner;
  const std::int64_t share = s.outer * s.inner / threads_for(1 << 30, work) / sum_columns;
  const std::int64_t most = share * sum_columns < widest_strip ? share * sum_columns : widest_strip;
  const std::int64_t strip = most < sum_columns ? sum_columns : most;
  const std::int64_t strips = (s.inner + strip - 1) / strip;
  for_each_index(s.outer * strips, work, [&](std::int64_t i) {
    const std::int64_t first = i % strips * strip, left = s.inner - first;
    body(i / strips, first, int(left < strip ? left : strip));
  });
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
  for_each_strip(s, [&](std::int64_t o, std::int64_t first, int width) {
    const T* x = args.x + o * s.stride_outer + first * s.stride_inner;
    T total[widest_strip];
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

// The larger or smaller of best and x, or the first NaN of both.
template <bool largest, class Vec>
UNROLL_SIMD_FN Vec better(Vec best, Vec x) {
  const Vec found = largest ? (x > best ? x : best) : (x < best ? x : best);
  return x != x ? (best != best ? best : x) : found;
}

template <bool largest, class T>
static T extreme_of_line(const T* x, std::int64_t count) {
  using S = Simd<T>;
  constexpr int chains = 4;
  const T none = largest ? Limits<T>::lowest : Limits<T>::highest;
  typename S::Vec best[chains];
  for (int j = 0; j < chains; j++) best[j] = S::set(none);
  std::int64_t i = 0;
  for (; i + chains * S::lanes <= count; i += chains * S::lanes) {
    UNROLL_FULL_UNROLL
    for (int j = 0; j < chains; j++) {
      best[j] = better<largest>(best[j], S::load(x + i + j * S::lanes));
    }
  }
  for (int j = 1; j < chains; j++) best[0] = better<largest>(best[0], best[j]);
  T lane[S::lanes], found = none;
  S::store(lane, best[0]);
  for (int j = 0; j < S::lanes; j++) found = better<largest>(found, lane[j]);
  for (; i < count; i++) found = better<largest>(found, x[i]);
  return found;
}

// Values alone, along adjacent numbers.
template <bool largest, class T>
static void extreme_values(const ReduceShape& s, const ReduceArgs<T>& args) {
  using S = Simd<T>;
  if (s.inner == 1) {
    return for_each_index(s.outer, s.outer * s.count, [&](std::int64_t o) {
      args.y[o] = extreme_of_line<largest>(args.x + o * s.stride_outer, s.count);
    });
  }
  for_each_strip(s, [&](std::int64_t o, std::int64_t first, int width) {
    const T* const x = args.x + o * s.stride_outer + first;
    T* const y = args.y + o * s.inner + first;
    const T none = largest ? Limits<T>::lowest : Limits<T>::highest;
    for (int j = 0; j < width; j++) y[j] = none;
    for (std::int64_t k = 0; k < s.count; k++) {
      const T* const row = x + k * s.stride_count;
      int j = 0;
      for (; j + S::lanes <= width; j += S::lanes) {
        S::store(y + j, better<largest>(S::load(y + j), S::load(row + j)));
      }
      for (; j < width; j++) y[j] = better<largest>(y[j], row[j]);
    }
  });
}

template <class T>
static void extremes(const ReduceShape& s, const ReduceArgs<T>& args) {
  if constexpr (is_real<T>) {
    const bool adjacent = s.inner == 1 ? s.stride_count == 1 : s.stride_inner == 1;
    if (adjacent && !args.index) {
      return s.op == Reduce::max ? extreme_values<true>(s, args) : extreme_values<false>(s, args);
    }
  }
  extreme(s, args);
}

template <class T>
void reduce(const ReduceShape& shape, const ReduceArgs<T>& args) noexcept {
  switch (shape.op) {
    case Reduce::sum: return sum(shape, args);
    case Reduce::prod: return product(shape, args);
    case Reduce::max:
    case Reduce::min: return extremes(shape, args);
  }
}

template void reduce<float>(const ReduceShape&, const ReduceArgs<float>&) noexcept;
template void reduce<double>(const ReduceShape&, const ReduceArgs<double>&) noexcept;
template void reduce<std::int64_t>(const ReduceShape&, const ReduceArgs<std::int64_t>&) noexcept;

}  // namespace unroll::UNROLL_ISA_NS
