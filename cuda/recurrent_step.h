// What the three passes of a recurrent cell share, one kernel per step of time.
//
// A *gate row* holds the numbers of one valid step of one sequence, `Cell::width` for each hidden
// unit, [width][H]: gates before or after their activations, their tangents or their cotangents.
//
//   LSTM  [i f g o]      GRU  [r z n_x n_h]  or, saved,  [r z n n_h]      RNN  [h]
//
// The rows of w_ih face the first `gates` of them, those of w_hh all but what Cell::hidden skips.
//
// A step is one kernel: a tile of rows (sequences and directions) and hidden units, the recurrent
// product with all gates of a unit in one thread, and the cell on top, in registers. Up to eight
// rows, where reading the weights is all that counts, tiles are eight rows high, else 32.
#pragma once

#include "cuda/recurrent_plan.h"
#include "cuda/row_products.h"

namespace unroll::UNROLL_GPU {

/// Blocks of 128 threads that a step's kernels leave room for: 128 registers for each thread. Said
/// aloud, since ptxas left alone aims at more and spills around the subroutines of a division.
inline constexpr int blocks_at_once = 4;

/// What h and the weights are stored as; sums, gates and c are of Cell::Real.
template <class Cell>
using StoredOf = std::remove_cvref_t<decltype(*std::declval<typename Cell::Args>().h)>;

/// Where a cell works: step t of the run of sequence n, one hidden unit.
struct StepPlace {
  std::int64_t t, n, unit;
};

/// Rows of the weights [gates H, depth] in the order of a tile's columns: of 16 neighbouring units
/// the first gate, the second, ...; then of the next 16, as often as a thread has units.
template <class Stored_, int gates, int units>
struct GateOperand {
  using Stored = Stored_;
  static constexpr bool along_depth = true;
  static constexpr int of_tile = tile_wide * units;  // units
  const Stored* data;
  std::int64_t stride, H;
  Skip skip = {};

  /// Unit of column j of this thread, whose gate is j % gates.
  __device__ static std::int64_t unit(std::int64_t tile, int j) {
    return tile * of_tile + j / gates * tile_wide + int(threadIdx.x) % tile_wide;
  }
  __device__ const Stored* row(std::int64_t column) const {
    const std::int64_t tile = column / (of_tile * gates),
                       slot = column / tile_wide % (gates * units);
    const std::int64_t unit = tile * of_tile + slot / gates * tile_wide + column % tile_wide;
    return unit < H ? data + (slot % gates * H + unit) * stride : nullptr;
  }
};

/// Units of a thread where each has `gates` columns of a tile.
template <int gates>
inline constexpr int units_of_thread = gates == 1 ? 4 : 1;

/// An operand or a target, of the rows of a chunk: in time, or the states before its steps.
template <class Rows>
Rows with_rows(Rows x, const Steps& steps, const std::int64_t* list, std::int64_t offset,
               std::int64_t begin) {
  if (steps.side_by_side() && x.index.K.value() == 1)
    x.data += x.data ? (begin + offset) * x.stride : 0;
  else
    x.index.list = list + offset;
  return x;
}
template <class Rows>
Rows in_time(const Rows& x, const Steps& steps, const RowLists& lists, std::int64_t offset) {
  return with_rows(x, steps, lists.time, offset, steps.time_begin());
}
template <class Rows>
Rows before_steps(const Rows& x, const Steps& steps, const RowLists& lists, std::int64_t offset) {
  return with_rows(x, steps, lists.state, offset, 0);
}

/// Calls body(std::integral_constant<int, high>) with the height of a thread's tile for this many
/// rows.
template <class Body>
void with_height(std::int64_t rows, const Body& body) {
  if (rows <= tile_high) return body(std::integral_constant<int, 1>{});
  body(std::integral_constant<int, 4>{});
}

/// The launch of a step: rows and units of a block.
inline Launch step_launch(const char* name, std::int64_t rows, int high, std::int64_t H,
                          int units) {
  return {.name = name,
          .grid = {blocks_of(rows, high), blocks_of(H, units)},
          .block = tile_threads,
          .stream = current_stream()};
}

/// Numbers of [K,N,H], or of [N,H] for K = 1, one thread each.
inline Launch state_launch(const char* name, std::int64_t numbers) {
  return {.name = name, .grid = blocks_of(numbers, 128), .block = 128, .stream = current_stream()};
}

/// The element of [K,N,H] that this thread of a state_launch() has.
struct StateElement {
  std::int64_t at, unit, n, k;
  bool inside;
  __device__ StateElement(std::int64_t K, std::int64_t N, std::int64_t H)
      : at(std::int64_t(blockIdx.x) * blockDim.x + threadIdx.x), inside(at < K * N * H) {
    unit = at % H;
    n = at / H % N;
    k = at / H / N;
  }
};

/// x[at], or zero for null.
template <class T>
__device__ T value_or_zero(const T* x, std::int64_t at) {
  return x ? x[at] : T(0);
}

/// Zeros where sequence n is padded, in direction k of x, whose [K,T,N] rows are `stride` apart. Of
/// the segments of a run the first does it for all.
template <class T>
__device__ void zero_padding(const DeviceSequences& s, const StateElement& e, T* x,
                             std::int64_t stride) {
  if (s.first > 0) return;
  for (std::int64_t t = s.whole_length(e.n); t < s.T; t++)
    x[((e.k * s.T + t) * s.N + e.n) * stride + e.unit] = T(0.f);
}

template <class Real>
__global__ void __launch_bounds__(128)
    padding_kernel(DeviceSequences sequences, std::int64_t K, std::int64_t width, Real* x,
                   std::int64_t stride) {
  const StateElement e(K, sequences.N, width);
  if (e.inside) zero_padding(sequences, e, x, stride);
}

/// Zeros in the padding of x [K,T,N,width], rows `stride` apart.
template <class Real>
void clear_padding(const DeviceSequences& sequences, std::int64_t K, std::int64_t width, Real* x,
                   std::int64_t stride) {
  const std::int64_t numbers = K * sequences.N * width;
  if (sequences.first > 0 || !sequences.length || numbers == 0) return;
  launch(padding_kernel<Real>, state_launch("padding", numbers), sequences, K, width, x, stride);
}

/// to[at] = beta to[at] + value; nothing where `to` is null.
template <class Real>
__device__ void blend(Real* to, std::int64_t at, Real beta, Real value) {
  if (to) to[at] = beta != 0 ? ScalarCell<Real>::fma(beta, to[at], value) : value;
}

// ---- The end of a forward pass

/// h or c, [T+1,N,width], rows `stride` apart, and where its last values go; y: or null.
template <class Real>
struct States {
  Real* at;
  std::int64_t stride, width;
  Real *last, *y;
  std::int64_t y_stride;
};

// The final states, and zeros in the padding.
template <class Real>
__global__ void __launch_bounds__(128)
    forward_ends_kernel(DeviceSequences sequences, States<Real> states) {
  const std::int64_t N = sequences.N;
  const StateElement e(1, N, states.width);
  if (!e.inside) return;
  const std::int64_t length = sequences.steps_of(e.n);
  if (states.last) states.last[e.at] = states.at[(length * N + e.n) * states.stride + e.unit];
  for (std::int64_t t = length; t < sequences.segment; t++)
    states.at[((t + 1) * N + e.n) * states.stride + e.unit] = Real(0.f);
  if (states.y) zero_padding(sequences, e, states.y, states.y_stride);
}

/// P: numbers in h.
template <class Shape, class Args>
void forward_ends(const Shape& shape, std::int64_t P, const Args& args,
                  const DeviceSequences& sequences) {
  const auto run = [&]<class T>(const States<T>& states) {
    launch(forward_ends_kernel<T>, state_launch("forward_ends", shape.N * states.width), sequences,
           states);
  };
  using Stored = std::remove_pointer_t<decltype(args.h)>;
  run(States<Stored>{args.h, shape.h_stride ? shape.h_stride : P, P, args.h_n, args.y,
                     args.y_stride ? args.y_stride : P});
  if constexpr (requires { args.c; }) {
    using Real = std::remove_pointer_t<decltype(args.c)>;
    run(States<Real>{args.c, shape.H, shape.H, args.c_n, nullptr, 0});
  }
}

template <class Shape>
UNROLL_HOST_DEVICE std::int64_t h_stride_of(const Shape& s) {
  return s.h_stride ? s.h_stride : s.H;
}

}  // namespace unroll::UNROLL_GPU
