// Walking a Strided space on a GPU: what elementwise.cu and copy.cu are made of.
//
//   for_each_element(space, "where", f, z, condition, a, b);     // z = f(condition, a, b)
//
// f is a functor whose operator() is a UNROLL_HOST_DEVICE function of the elements of the inputs.
// There are two ways:
//
//  - rows: the output is dense along the last axis and the inputs are dense or constant there. A
//    thread moves 16 bytes of the widest operand at a time. An input that is the same for all rows
//    is read once for many of them, so that broadcasting moves no more than it must.
//  - strided: anything else, an element per thread.
//
// Adjacent axes are merged first. A space is cut into parts of fewer than 2^31 elements, so that
// kernels divide 32-bit numbers; offsets have 64 bits.
#pragma once

#include <string.h>
#include <algorithm>
#include <cstdint>
#include <utility>

#include "core/host_device.h"
#include "cuda/backend.h"
#include "kernels/strided.h"

namespace unroll::UNROLL_GPU {

// ---- The host's part: merging axes, cutting

inline std::int64_t element_count(const Strided& s) {
  std::int64_t n = 1;
  for (int d = 0; d < s.rank; d++) n *= s.size[d];
  return n;
}

/// The space with axes of size 1 dropped and neighbours merged wherever one stride spans both, in
/// all operands; at least one axis.
inline Strided merged(const Strided& s, int operands) {
  Strided r{};
  for (int d = 0; d < s.rank; d++) {
    if (s.size[d] == 1) continue;
    bool joins = r.rank > 0;
    for (int k = 0; joins && k < operands; k++)
      joins = r.stride[k][r.rank - 1] == s.stride[k][d] * s.size[d];
    const int to = joins ? r.rank - 1 : r.rank++;
    r.size[to] = joins ? r.size[to] * s.size[d] : s.size[d];
    for (int k = 0; k < operands; k++) r.stride[k][to] = s.stride[k][d];
  }
  if (r.rank == 0) {
    r.rank = 1, r.size[0] = 1;
    for (int k = 0; k < operands; k++) r.stride[k][0] = k == 0 ? 1 : 0;
  }
  return r;
}

/// Calls f(part, offsets) for parts with fewer than 2^31 elements; offsets [operands] in elements.
template <int operands, class F>
void for_each_part(const Strided& s, const F& f, const std::int64_t (&offset)[operands]) {
  if (element_count(s) < std::int64_t{1} << 31) return f(s, offset);
  int axis = 0;  // the first that can be cut
  while (s.size[axis] == 1) axis++;
  const std::int64_t half = s.size[axis] / 2;
  Strided low = s, high = s;
  low.size[axis] = half, high.size[axis] = s.size[axis] - half;
  std::int64_t behind[operands];
  for (int k = 0; k < operands; k++) behind[k] = offset[k] + half * s.stride[k][axis];
  for_each_part<operands>(low, f, offset);
  for_each_part<operands>(high, f, behind);
}

// ---- Rows

/// V adjacent elements, moved as one.
template <std::size_t bytes>
struct WordOf;
template <>
struct WordOf<1> {
  using type = unsigned char;
};
template <>
struct WordOf<2> {
  using type = unsigned short;
};
template <>
struct WordOf<4> {
  using type = unsigned;
};
template <>
struct WordOf<8> {
  using type = uint2;
};
template <>
struct WordOf<16> {
  using type = uint4;
};

template <class T, int V>
struct Pack {
  T at[V];

  UNROLL_HOST_DEVICE static Pack load(const T* from) {
    const auto word = *reinterpret_cast<const typename WordOf<sizeof(T) * V>::type*>(from);
    Pack pack;
    ::memcpy(&pack, &word, sizeof pack);
    return pack;
  }
  UNROLL_HOST_DEVICE void store(T* to) const {
    typename WordOf<sizeof(T) * V>::type word;
    ::memcpy(static_cast<void*>(&word), this, sizeof word);
    *reinterpret_cast<typename WordOf<sizeof(T) * V>::type*>(to) = word;
  }
};

/// rows.count rows of `vectors` vectors; a thread has the same vector of every groups-th row. An
/// only row may end with `tail` elements more.
struct Rows {
  unsigned count, vectors, groups, tail;
};

/// An operand of rows: `step` elements from row to row, each dense or, of inputs, constant.
template <class T>
struct Row {
  T* first;
  std::int64_t step;
  bool constant;
};

template <class T, int V>
struct Reader {
  Row<const T> from;
  Pack<T, V> pack;

  UNROLL_HOST_DEVICE void read(unsigned row, unsigned vector) {
    const T* const p = from.first + row * from.step;
    if (!from.constant) {
      pack = Pack<T, V>::load(p + std::int64_t{vector} * V);
    } else {
      const T x = *p;
      for (int e = 0; e < V; e++) pack.at[e] = x;
    }
  }
  UNROLL_HOST_DEVICE void next(unsigned row, unsigned vector) {
    if (from.step != 0) read(row, vector);
  }
};

template <int V, class F, class Out, class... In>
UNROLL_HOST_DEVICE void walk_rows(const Rows& rows, unsigned thread, const F& f,
                                  const Row<Out>& out, Reader<In, V>... in) {
  const unsigned first = rows.groups == 1 ? 0 : thread / rows.vectors;
  const unsigned vector = thread - first * rows.vectors;
  (in.read(first, vector), ...);
  for (unsigned row = first; row < rows.count; row += rows.groups) {
    if (row != first) (in.next(row, vector), ...);
    Pack<Out, V> z;
    for (int e = 0; e < V; e++) z.at[e] = f(in.pack.at[e]...);
    z.store(out.first + row * out.step + std::int64_t{vector} * V);
  }
}

constexpr int threads_of_rows = 256;

template <int V, class F, class Out, class... In>
__global__ void __launch_bounds__(threads_of_rows)
    rows_kernel(Rows rows, F f, Row<Out> out, Row<const In>... in) {
  const unsigned thread = blockIdx.x * threads_of_rows + threadIdx.x;
  const unsigned threads = rows.vectors * rows.groups;
  if (thread < threads) return walk_rows<V>(rows, thread, f, out, Reader<In, V>{in, {}}...);
  const unsigned rest = thread - threads;
  if (rest >= rows.tail) return;
  const std::int64_t at = std::int64_t{rows.vectors} * V + rest;
  out.first[at] = f(in.first[in.constant ? 0 : at]...);
}

// ---- Strided

template <int operands>
struct Walk {
  int rank;
  unsigned count;
  unsigned size[max_rank];
  std::int64_t stride[operands][max_rank];
};

template <int operands>
Walk<operands> walk_of(const Strided& s) {
  Walk<operands> walk{s.rank, static_cast<unsigned>(element_count(s)), {}, {}};
  for (int d = 0; d < s.rank; d++) {
    walk.size[d] = static_cast<unsigned>(s.size[d]);
    for (int k = 0; k < operands; k++) walk.stride[k][d] = s.stride[k][d];
  }
  return walk;
}

/// Where element `i` in row-major order lies in each operand.
template <int operands>
struct Offsets {
  std::int64_t at[operands];

  UNROLL_HOST_DEVICE Offsets(const Walk<operands>& walk, unsigned i) {
    for (int k = 0; k < operands; k++) at[k] = 0;
    for (int d = walk.rank - 1; d > 0; d--) {
      const unsigned rest = i / walk.size[d], index = i - rest * walk.size[d];
      for (int k = 0; k < operands; k++) at[k] += index * walk.stride[k][d];
      i = rest;
    }
    for (int k = 0; k < operands; k++) at[k] += i * walk.stride[k][0];
  }
};

constexpr int threads_of_elements = 256;

template <class F, class Out, class... In, int... k>
UNROLL_HOST_DEVICE void set_element(const std::int64_t* at, const F& f, Out* out,
                                    std::integer_sequence<int, k...>, const In*... in) {
  out[at[0]] = f(in[at[1 + k]]...);
}

template <class F, class Out, class... In>
__global__ void __launch_bounds__(threads_of_elements)
    strided_kernel(Walk<1 + sizeof...(In)> walk, F f, Out* out, const In*... in) {
  const unsigned i = blockIdx.x * threads_of_elements + threadIdx.x;
  if (i >= walk.count) return;
  const Offsets<1 + sizeof...(In)> offsets(walk, i);
  set_element(offsets.at, f, out, std::make_integer_sequence<int, int(sizeof...(In))>(), in...);
}

// ---- The choice

/// How a part goes by rows of V elements a vector, or no way.
template <int V>
struct RowPlan {
  bool fits = true;
  std::int64_t step[max_operands] = {};
  bool constant[max_operands] = {};

  /// Of a merged space.
  RowPlan(const Strided& s, int operands) {
    const int last = s.rank - 1;
    fits = s.rank <= 2 && s.stride[0][last] == 1 && (s.rank == 1 || s.size[last] % V == 0);
    for (int k = 0; k < operands; k++) {
      constant[k] = s.stride[k][last] == 0;
      step[k] = s.rank == 2 ? s.stride[k][0] : 0;
      fits = fits && (s.stride[k][last] == 1 || (k > 0 && constant[k])) &&
             (constant[k] || step[k] % V == 0);
    }
  }
};

template <int V, class T>
bool is_aligned(const T* p, bool constant) {
  return constant || reinterpret_cast<std::uintptr_t>(p) % (sizeof(T) * V) == 0;
}

// Rows that a thread handles where an input is the same for all: it is then read once for these.
constexpr std::int64_t rows_of_thread = 16;

template <int V>
Rows rows_of(const Strided& s, const RowPlan<V>& plan, int operands) {
  const std::int64_t count = s.rank == 2 ? s.size[0] : 1, columns = s.size[s.rank - 1];
  bool repeats = false;
  for (int k = 1; k < operands; k++) repeats = repeats || (plan.step[k] == 0 && !plan.constant[k]);
  const std::int64_t each = repeats ? rows_of_thread : 1;
  return {static_cast<unsigned>(count), static_cast<unsigned>(columns / V),
          static_cast<unsigned>((count + each - 1) / each), static_cast<unsigned>(columns % V)};
}

template <class RowF, class F, class Out, class... In, int... k>
void run_part(const Strided& s, const char* name, const RowF& row_f, const F& f, Out* out,
              std::integer_sequence<int, k...>, const In*... in) {
  constexpr int operands = 1 + int(sizeof...(In));
  // Words of 16 bytes; two doubles at a time would make nvcc spill around the calls in exp.
  constexpr int largest = int(std::max({sizeof(Out), sizeof(In)...}));
  constexpr int V = largest == 8 ? 1 : 16 / largest;
  const RowPlan<V> plan(s, operands);
  if (plan.fits && is_aligned<V>(out, false) && (is_aligned<V>(in, plan.constant[1 + k]) && ...)) {
    const Rows rows = rows_of<V>(s, plan, operands);
    const std::int64_t threads = std::int64_t{rows.vectors} * rows.groups + rows.tail;
    launch(rows_kernel<V, RowF, Out, In...>,
           {.name = name,
            .grid = blocks_of(threads, threads_of_rows),
            .block = threads_of_rows,
            .stream = current_stream()},
           rows, row_f, Row<Out>{out, plan.step[0], false},
           Row<const In>{in, plan.step[1 + k], plan.constant[1 + k]}...);
    return;
  }
  const Walk<operands> walk = walk_of<operands>(s);
  launch(strided_kernel<F, Out, In...>,
         {.name = name,
          .grid = blocks_of(walk.count, threads_of_elements),
          .block = threads_of_elements,
          .stream = current_stream()},
         walk, f, out, in...);
}

/// out = f(in...) over a space whose operand 0 is `out`. `row_f` is the same function as f: the one
/// for rows is compiled for its op alone, the other may choose its op when it runs.
template <class RowF, class F, class Out, class... In>
void for_each_element(const Strided& space, const char* name, const RowF& row_f, const F& f,
                      Out* out, const In*... in) {
  constexpr int operands = 1 + int(sizeof...(In));
  if (element_count(space) == 0) return;
  const std::int64_t start[operands] = {};
  const auto run = [&](const Strided& part, const std::int64_t(&offset)[operands]) {
    const auto with_offsets = [&]<int... k>(std::integer_sequence<int, k...> each) {
      run_part(part, name, row_f, f, out + offset[0], each, (in + offset[1 + k])...);
    };
    with_offsets(std::make_integer_sequence<int, operands - 1>());
  };
  for_each_part<operands>(merged(space, operands), run, start);
}

}  // namespace unroll::UNROLL_GPU
