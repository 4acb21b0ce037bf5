// The loop over time that carries tangents of the inputs to tangents of the outputs: see
// recurrent_step.h. dg: tangents of the gates before their activations.
//
//   dg = dx w_ih^T + x dw_ih^T + h dw_hh^T + db      for all steps of a chunk: products
//   dh = the cell's pushforward of dg + dh w_hh^T    for each step: one kernel
//
// In the persistent design one kernel does all steps of a chunk. Scratch holds dg of a chunk of
// steps. All K directions run at once, K rows per sequence.
#pragma once

#include "cuda/persistent.h"
#include "cuda/recurrent_step.h"

namespace unroll::UNROLL_GPU {

// Cell: struct {
//   using Real, Shape, Args;
//   static constexpr int gates, width;
//   static constexpr bool carries_c;
//   static Skip hidden(H)                          of the gate row, on the side of w_hh
//   static Real push(shape, args, StepPlace, saved, pre, from_h, dh, dc)    tangent of the new h:
//       pre is the gate row of dg, from_h[gates] what w_hh adds to it; dc is replaced };
template <class Cell>
struct PushRun {
  typename Cell::Shape shape;
  typename Cell::Args args;
  DeviceSequences sequences;
  typename Cell::Real* dc;
  Divisor K;
};

// The rows of one step.
template <class Real>
struct PushStep {
  const std::int64_t* time;
  const Real *saved, *gates;
  Real *before, *after;  // tangents of h, [N K,H]; the next step's change places
  std::int64_t t, rows, next_rows;
};

template <class Cell, class Real>
__device__ void push_element(const PushRun<Cell>& run, const PushStep<Real>& step, std::int64_t r,
                             std::int64_t unit, Real before, const Real (&from_h)[Cell::gates]) {
  const auto& args = run.args;
  const std::int64_t N = run.shape.N, H = run.shape.H, m = run.K.quotient(r), k = run.K.rest(r);
  const std::int64_t n = run.sequences.index(m), row = Cell::width * H, kn = (k * N + n) * H + unit;
  Real dc = 0;
  if constexpr (Cell::carries_c) dc = run.dc[r * H + unit];
  const Real* saved = step.saved ? step.saved + m * row + unit : nullptr;
  const Real dh = Cell::push(run.shape, args, StepPlace{step.t, n, unit}, saved,
                             step.gates + r * row + unit, from_h, before, dc);
  step.after[r * H + unit] = dh;
  if constexpr (Cell::carries_c) run.dc[r * H + unit] = dc;
  if (args.dy) {
    const std::int64_t stride = args.dy_stride ? args.dy_stride : H;
    args.dy[(k * run.shape.T * N + step.time[m]) * stride + unit] = dh;
  }
  if (r < step.next_rows) return;
  if (args.dh_n) args.dh_n[kn] = dh;
  if constexpr (Cell::carries_c) {
    if (args.dc_n) args.dc_n[kn] = dc;
  }
}

template <class Cell, int high>
__global__ void __launch_bounds__(tile_threads, blocks_at_once)
    push_step_kernel(PushRun<Cell> run, PushStep<typename Cell::Real> step) {
  using Real = typename Cell::Real;
  constexpr int gates = Cell::gates, units = units_of_thread<gates>;
  using Weights = GateOperand<StoredOf<Cell>, gates, units>;
  const std::int64_t H = run.shape.H;
  const RowsOperand<Real> dh{step.before, H, step.rows};
  const Weights w_hh{run.args.w_hh, H, H};
  Tile<Real, high, gates * units> tile;
  const std::int64_t row = std::int64_t(blockIdx.x) * tile.rows;
  tile.multiply(dh, w_hh,
                {.row = row, .column = std::int64_t(blockIdx.y) * tile.columns, .end = H});
#pragma unroll
  for (int i = 0; i < high; i++) {
    const std::int64_t r = row + tile.row(i);
    if (r >= step.rows) continue;
#pragma unroll
    for (int u = 0; u < units; u++) {
      const std::int64_t unit = Weights::unit(blockIdx.y, u * gates);
      if (unit >= H) continue;
      Real from_h[gates];
#pragma unroll
      for (int g = 0; g < gates; g++) from_h[g] = tile.sum[i][u * gates + g];
      push_element(run, step, r, unit, step.before[r * H + unit], from_h);
    }
  }
}

// ---- Persistent

template <class Cell, int tile>
using PushMatrix = ResidentMatrix<StoredOf<Cell>, typename Cell::Real, typename Cell::Real, tile>;

// The rows `first`, ... of the block's group at a step.
template <class Cell, int tile>
__device__ void push_tile(const PushRun<Cell>& run, const PersistentPlan& plan,
                          PushMatrix<Cell, tile>& w, bool aligned,
                          const PushStep<typename Cell::Real>& step, std::int64_t first) {
  const std::int64_t H = run.shape.H;
  const GroupRows rows(plan);
  if (first > 0) __syncthreads();  // the tile before has read its operands
  w.take({H, aligned}, [&](int m) {
    const std::int64_t r = rows.row(first + m);
    return r < step.rows ? step.before + r * H : nullptr;
  });
  w.taken();
  w.multiply();
  __syncthreads();
  for_elements<tile>(plan, rows, {first, step.rows, H},
                     [&](int m, int u, std::int64_t r, std::int64_t unit) {
                       typename Cell::Real from_h[Cell::gates];
#pragma unroll
                       for (int g = 0; g < Cell::gates; g++)
                         from_h[g] = w.sum(m, g * plan.units + u);
                       push_element(run, step, r, unit, w.operand(m)[unit], from_h);
                     });
}

// The step after, whose rows lie behind.
template <class Cell, class Real>
__device__ PushStep<Real> step_after(const PushRun<Cell>& run, const PushStep<Real>& step,
                                     std::int64_t steps) {
  const std::int64_t K = run.shape.K, row = Cell::width * run.shape.H, sequences = step.rows / K;
  const std::int64_t t = step.t + 1;
  return {.time = step.time + sequences,
          .saved = step.saved ? step.saved + sequences * row : nullptr,
          .gates = step.gates + step.rows * row,
          .before = step.after,
          .after = step.before,
          .t = t,
          .rows = step.next_rows,
          .next_rows = t + 1 < steps ? run.sequences.active_at(t + 1) * K : 0};
}

// From `step` to before step `end`; of the call there are `steps`.
template <class Cell, int tile>
__global__ void __launch_bounds__(persistent_threads, 1)
    persistent_push_kernel(PushRun<Cell> run, PushStep<typename Cell::Real> step, std::int64_t end,
                           std::int64_t steps, bool aligned, PersistentPlan plan) {
  SHARED_DYNAMIC(unsigned char, shared);
  const std::int64_t H = run.shape.H;
  PushMatrix<Cell, tile> w(plan, shared);
  using Real = typename Cell::Real;
  w.load(WeightRows<StoredOf<Cell>, Real>{
      run.args.w_hh, nullptr, H, std::int64_t(blockIdx.x) * plan.units, plan.units, {H, aligned}});
  while (true) {
    for (std::int64_t i = 0; GroupRows(plan).row(i) < step.rows; i += tile)
      push_tile<Cell, tile>(run, plan, w, aligned, step, i);
    if (step.t + 1 == end) return;
    step = step_after(run, step, steps);
    meet();
  }
}

// The tangents of the initial states, which are the last ones of sequences without a step, and
// zeros in the padding of dy.
template <class Cell>
__global__ void __launch_bounds__(128) push_ends_kernel(PushRun<Cell> s, typename Cell::Real* to) {
  const std::int64_t N = s.shape.N, H = s.shape.H, K = s.shape.K;
  const StateElement e(K, N, H);
  if (!e.inside) return;
  const std::int64_t m = e.n, k = e.k;  // the m-th longest
  const std::int64_t n = s.sequences.index(m);
  const std::int64_t from = (k * N + n) * H + e.unit, at = (m * K + k) * H + e.unit;
  const bool none = s.sequences.steps_of(n) == 0;
  to[at] = value_or_zero(s.args.dh0, from);
  if (none && s.args.dh_n) s.args.dh_n[from] = to[at];
  if constexpr (Cell::carries_c) {
    s.dc[at] = value_or_zero(s.args.dc0, from);
    if (none && s.args.dc_n) s.args.dc_n[from] = s.dc[at];
  }
  if (s.args.dy) zero_padding(s.sequences, e, s.args.dy, s.args.dy_stride ? s.args.dy_stride : H);
}

// What dg begins with: the tangents of the biases; row m K + k is of direction k.
template <class Real>
struct PushBias {
  const Real *db_ih, *db_hh;  // [K,gates H], or null
  std::int64_t K, gates, row;
  Skip hidden;
  Real* to;
};

template <class Real>
__global__ void __launch_bounds__(128) push_bias_kernel(PushBias<Real> s) {
  const std::int64_t c = std::int64_t(blockIdx.y) * 128 + threadIdx.x, r = blockIdx.x;
  if (c >= s.row) return;
  const std::int64_t first = r % s.K * s.gates;
  Real sum = 0;
  if (c < s.gates) sum = value_or_zero(s.db_ih, first + c);
  const bool skipped = c >= s.hidden.from && c < s.hidden.from + s.hidden.by;
  const std::int64_t facing = c < s.hidden.from ? c : c - s.hidden.by;
  if (!skipped) sum += value_or_zero(s.db_hh, first + facing);
  s.to[r * s.row + c] = sum;
}

template <class Cell>
class Pushforward {
  using Real = typename Cell::Real;
  using Shape = typename Cell::Shape;
  using Args = typename Cell::Args;
  using Tangent = RowsOperand<Real>;
  using Primal = RowsOperand<StoredOf<Cell>>;

  struct Parts {
    std::int64_t capacity, time, state, gates, dh, dc, end;
    Parts(const Shape& s, const Steps& steps) {
      ScratchPlaces at;
      const std::int64_t words = elements_of_words<Real>(steps.total());
      const std::int64_t row = Cell::width * s.H, states = s.N * s.K * s.H;
      capacity = chunk_capacity(steps, s.K * row);
      time = at.take(words);
      state = at.take(words);
      gates = at.take(capacity * s.K * row);
      dh = at.take(2 * states);
      dc = at.take(Cell::carries_c ? states : 0);
      end = at.used;
    }
  };

 public:
  static std::int64_t scratch_size(const Shape& s) { return Parts(s, Steps(s)).end; }

  Pushforward(const Shape& shape, const Args& args, const Real* saved)
      : shape_(shape),
        args_(args),
        saved_(saved),
        steps_(shape),
        parts_(shape, steps_),
        row_(Cell::width * shape.H),
        lists_{reinterpret_cast<std::int64_t*>(args.scratch + parts_.time),
               reinterpret_cast<std::int64_t*>(args.scratch + parts_.state)},
        gates_(args.scratch + parts_.gates) {}

  void run() const {
    const std::int64_t numbers = shape_.K * shape_.N * shape_.H;
    if (numbers == 0) return;
    list_rows(steps_, lists_);
    launch(push_ends_kernel<Cell>, state_launch("push_ends", numbers), arguments(), dh(0));
    for (std::int64_t t = 0, offset = 0; t < steps_.count();) {
      const Chunk chunk = chunk_from(steps_, t, offset, parts_.capacity);
      products(chunk);
      loop(chunk);
      t = chunk.end;
      offset += chunk.rows;
    }
  }

 private:
  Real* dh(std::int64_t t) const {
    return args_.scratch + parts_.dh + t % 2 * shape_.N * shape_.K * shape_.H;
  }

  void loop(const Chunk& chunk) const {
    if (persistent(chunk)) return;
    std::int64_t done = 0;
    for (std::int64_t t = chunk.begin; t < chunk.end; done += steps_.active(t++))
      run(step(t, chunk.offset + done, done));
  }

  PushRun<Cell> arguments() const {
    return {shape_, args_, steps_.device(), args_.scratch + parts_.dc, shape_.K};
  }

  // offset: of the step among all rows; place: among those of the chunk.
  PushStep<Real> step(std::int64_t t, std::int64_t offset, std::int64_t place) const {
    return {.time = lists_.time + offset,
            .saved = saved_ ? saved_ + offset * row_ : nullptr,
            .gates = gates_ + place * shape_.K * row_,
            .before = dh(t),
            .after = dh(t + 1),
            .t = t,
            .rows = steps_.active(t) * shape_.K,
            .next_rows = steps_.active(t + 1) * shape_.K};
  }

  void run(const PushStep<Real>& step) const {
    with_height(step.rows, [&](auto high) {
      launch(push_step_kernel<Cell, high()>,
             step_launch("push_step", step.rows, tile_high * high(), shape_.H,
                         tile_wide * units_of_thread<Cell::gates>),
             arguments(), step);
    });
  }

  // All steps of the chunk, if the plan is so.
  bool persistent(const Chunk& chunk) const {
    constexpr int bytes = sizeof(Real), wide = pack_wide(bytes);
    const std::int64_t H = shape_.H;
    const StepProduct product{.H = H,
                              .gates = Cell::gates,
                              .depth = H,
                              .rows = shape_.N * shape_.K,
                              .weight_bytes = sizeof(StoredOf<Cell>),
                              .operand_bytes = bytes,
                              .sum_bytes = bytes};
    const PersistentPlan plan = persistent_plan("recurrent pushforward", product, shape_.T);
    if (!plan) return false;
    const bool aligned =
        packs_are_aligned(args_.w_hh, H, H, wide) && packs_are_aligned(dh(0), H, H, wide);
    with_tile(plan, [&](auto tile) {
      launch(persistent_push_kernel<Cell, tile()>, persistent_launch("persistent_push", plan),
             arguments(), step(chunk.begin, chunk.offset, 0), chunk.end, steps_.count(), aligned,
             plan);
    });
    return true;
  }

  void products(const Chunk& chunk) const {
    const std::int64_t I = shape_.I, H = shape_.H, K = shape_.K, gates = Cell::gates * H;
    const std::int64_t rows = chunk.rows;
    const Skip hidden = Cell::hidden(H);
    launch(push_bias_kernel<Real>,
           {.name = "push_bias",
            .grid = {unsigned(rows * K), blocks_of(row_, 128)},
            .block = 128,
            .stream = current_stream()},
           PushBias<Real>{args_.db_ih, args_.db_hh, K, gates, row_, hidden, gates_});
    // Rows of all directions, or the rows of each direction in turn.
    const ProductTarget<Real> all{
        .data = gates_, .stride = row_, .rows = rows * K, .columns = gates, .beta = 1};
    ProductTarget<Real> each = all;
    each.stride = K * row_, each.rows = rows, each.batch = row_;
    if (args_.dx)
      add(in_time(Tangent{args_.dx, I, rows * K, {nullptr, K, shape_.T * shape_.N}}, steps_, lists_,
                  chunk.offset),
          Primal{args_.w_ih, I, gates}, all, I, 1);
    if (args_.dw_ih)
      add(in_time(Primal{args_.x, I, rows}, steps_, lists_, chunk.offset),
          Tangent{args_.dw_ih, I, gates, {}, {}, gates * I}, each, I, K);
    each.skip = hidden;
    if (args_.dw_hh)
      add(before_steps(Primal{args_.h, h_stride_of(shape_), rows}, steps_, lists_, chunk.offset),
          Tangent{args_.dw_hh, H, gates, {}, {}, gates * H}, each, H, K);
  }

  template <class Left, class Right>
  void add(const Left& left, const Right& right, const ProductTarget<Real>& to, std::int64_t depth,
           std::int64_t batches) const {
    unroll::UNROLL_GPU::run(Product<Real, Left, Right>{left, right, to, depth}, batches);
  }

  const Shape& shape_;
  const Args& args_;
  const Real* const saved_;
  const Steps steps_;
  const Parts parts_;
  const std::int64_t row_;
  const RowLists lists_;
  Real* const gates_;
};

}  // namespace unroll::UNROLL_GPU
