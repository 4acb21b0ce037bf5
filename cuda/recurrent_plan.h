// The steps of a recurrent call as the host plans them and as kernels see them.
//
// Only valid steps count: row m of `total` is step t of the run of the j-th longest sequence, m =
// (sum of the active sequences of the steps before) + j. The rows of a step lie side by side, and
// so do those of several steps, which makes them one large product. With K directions, row m K + k.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>

#include "cuda/backend.h"
#include "kernels/recurrent.h"

namespace unroll::UNROLL_GPU {

/// What a kernel knows of the sequences.
struct DeviceSequences {
  const std::int64_t *length = nullptr, *order = nullptr, *active = nullptr;  // null: all full
  std::int64_t T, N, first, segment;
  bool reverse;

  /// The j-th longest.
  __device__ std::int64_t index(std::int64_t j) const { return order ? order[j] : j; }
  /// Of all T steps, and those of this call.
  __device__ std::int64_t whole_length(std::int64_t n) const { return length ? length[n] : T; }
  __device__ std::int64_t steps_of(std::int64_t n) const {
    const std::int64_t rest = whole_length(n) - first;
    return rest < 0 ? 0 : rest < segment ? rest : segment;
  }
  /// Sequences that step t of the run has.
  __device__ std::int64_t active_at(std::int64_t t) const { return active ? active[first + t] : N; }
  /// Where step t of the run of sequence n lies in time, as a row of [T,N].
  __device__ std::int64_t row(std::int64_t t, std::int64_t n) const {
    return (reverse ? whole_length(n) - 1 - first - t : first + t) * N + n;
  }
};

/// The rows of the call. In memory of the device: for each row, where its step lies among [T,N] in
/// time, and where its state before the step lies among the rows of h.
struct RowLists {
  std::int64_t *time, *state;
};

class Steps {
 public:
  explicit Steps(const RecurrentShape& s) : view_(s.lengths) {
    device_ = {.T = s.T,
               .N = s.N,
               .first = s.first_step,
               .segment = segment_steps(s),
               .reverse = s.reverse};
    if (view_.length) {
      device_.length = view_.on_device;
      device_.order = view_.on_device + s.N;
      device_.active = view_.on_device + 2 * s.N;
    }
    const std::int64_t whole = view_.length ? view_.longest : s.T;
    count_ = std::clamp<std::int64_t>(whole - s.first_step, 0, device_.segment);
    for (std::int64_t t = 0; t < count_; t++) total_ += active(t);
  }

  const DeviceSequences& device() const { return device_; }
  /// Whether all sequences have all steps, forwards: then rows of the call lie side by side, in
  /// time from row time_begin() on, and among the rows of h from the first on.
  bool side_by_side() const { return !view_.length && !device_.reverse; }
  std::int64_t time_begin() const { return device_.first * device_.N; }
  std::int64_t count() const { return count_; }
  std::int64_t total() const { return total_; }  // rows
  /// Rows of step t.
  std::int64_t active(std::int64_t t) const {
    if (t < 0 || t >= count_) return 0;
    return view_.length ? view_.active[device_.first + t] : device_.N;
  }

 private:
  LengthsView view_;
  DeviceSequences device_;
  std::int64_t count_ = 0, total_ = 0;
};

/// Steps [begin, end) with `rows` rows, the first of them `offset`.
struct Chunk {
  std::int64_t begin, end, offset, rows;
};

/// The chunk that begins at a step and has at most `capacity` rows, or one step.
inline Chunk chunk_from(const Steps& steps, std::int64_t begin, std::int64_t offset,
                        std::int64_t capacity) {
  Chunk chunk{begin, begin, offset, 0};
  while (chunk.end < steps.count() &&
         (chunk.end == begin || chunk.rows + steps.active(chunk.end) <= capacity)) {
    chunk.rows += steps.active(chunk.end++);
  }
  return chunk;
}

/// The chunk that ends before a step, whose rows end at `end_row`.
inline Chunk chunk_before(const Steps& steps, std::int64_t end, std::int64_t end_row,
                          std::int64_t capacity) {
  Chunk chunk{end, end, end_row, 0};
  while (chunk.begin > 0 &&
         (chunk.begin == end || chunk.rows + steps.active(chunk.begin - 1) <= capacity)) {
    chunk.rows += steps.active(--chunk.begin);
  }
  chunk.offset = end_row - chunk.rows;
  return chunk;
}

/// Numbers that a chunk of steps keeps before they are summed or used: what a large product wants,
/// in a bounded buffer. Tests lower it; it must be the same from sizes to the kernels.
std::int64_t& chunk_numbers() noexcept;

/// Blocks that a product over all rows is to have, for which its depth is cut. Tests lower it.
std::int64_t& wanted_blocks() noexcept;

/// Sequences of a chunk where each has `width` numbers: at least one step of all.
inline std::int64_t chunk_capacity(const Steps& steps, std::int64_t width) {
  const std::int64_t fit = chunk_numbers() / std::max<std::int64_t>(width, 1);
  return std::min(std::max({fit, steps.active(0), std::int64_t{1}}), steps.total());
}

/// Places in scratch or saved, handed out in order, each aligned to 256 bytes or more.
struct ScratchPlaces {
  std::int64_t used = 0;
  std::int64_t take(std::int64_t size) {
    const std::int64_t begin = used;
    used += (size + 63) / 64 * 64;
    return begin;
  }
};

/// Elements of Real that hold `count` numbers of 64 bits.
template <class Real>
constexpr std::int64_t elements_of_words(std::int64_t count) {
  return count * std::int64_t(sizeof(std::int64_t) / sizeof(Real));
}

/// Fills the lists of all rows, on the current stream.
void list_rows(const Steps& steps, const RowLists& lists) noexcept;

// ---- Which design runs the loop over time
//
//   per step     a kernel for each step of time (recurrent_step.h). Any size, every option; each
//                step reads the recurrent weights from memory.
//   persistent   one cooperative kernel for all steps (persistent.h). Each block keeps its part of
//                the weights in registers and shared memory, so that they are read once by each
//                group of rows.
//
// persistent_plan() is the only place that decides. Plain cells take the persistent design wherever
// the weights fit on the chip and there is more than one step; UNROLL_RECURRENT=step|persistent
// forces one of the two, auto is the default. A design that is forced and cannot be had for lack of
// room is an error; cells with options know the per-step design alone, and take it.
//
// The decision follows the sizes of the whole run, not those of a chunk or segment of its steps, so
// that however a run is cut its sums have one order.
//
// The limit: a multiprocessor keeps 112 KiB of weights in its registers (256 threads, 448 bytes
// each; of halves 56 KiB) and the rest in shared memory, beside the operands of a tile of rows and
// their sums. On an
// H100 (132 multiprocessors, 227 KiB) that is enough, in both passes, for
//
//            float32   float16, bfloat16   float64
//   LSTM     H 1512    H 1887              H 1056
//   GRU      H 1776    H 2244
//
// Beyond it the per-step design runs, which reads the weights in every step.

enum class RecurrentDesign { automatic, step, persistent };

// A block of a persistent kernel has a multiprocessor for itself: at most 256 threads, each with
// 255 registers, of which 112 hold weights: 28 packs, or, where halves share a register, 56 hold as
// many.
inline constexpr int persistent_threads = 256, register_bytes = 448, most_held = 28;
inline constexpr int tile_rows_few = 2, tile_rows_many = 6;

/// What a persistent kernel may take of a GPU.
struct Chip {
  std::int64_t multiprocessors;
  std::int64_t shared_bytes;                       // of a block
  std::int64_t weight_registers = register_bytes;  // tests lower it
};
/// Of the current device. For the simulator, of the architecture that it plays.
Chip current_chip() noexcept;

/// The product of a step: rows of `depth` numbers times a matrix with `gates` columns for each of
/// H units. Forwards the depth is H; the pullback's is gates H, with one column for each unit.
struct StepProduct {
  std::int64_t H, gates, depth;
  std::int64_t rows;                           // of a step of all sequences
  int weight_bytes, operand_bytes, sum_bytes;  // of a number; sums are float or double
};

/// Who does what in a persistent kernel. Block (b, g) has `units` hidden units from b units on,
/// and of the rows of a step g, g + groups, ...: its matrix has gates units rows, each of which
/// `parts` threads share. Thread (p, r) multiplies the packs p, p + parts, ... of row r.
struct PersistentPlan {
  int tile = 0;               // rows that are multiplied at once; 0: it does not fit
  int units = 0, blocks = 0;  // blocks that share the units
  int groups = 0;             // of rows, each with `blocks` blocks
  int rows = 0, parts = 0;    // of a block's matrix
  int turns = 0, held = 0;    // packs of a thread, and those of them that are in registers
  int sums_stride = 0;        // numbers between the sums of a tile's rows
  int operands_at = 0, sums_at = 0, shared = 0;  // bytes of shared memory, and its size
  UNROLL_HOST_DEVICE int active() const { return rows * parts; }  // threads that multiply
  UNROLL_HOST_DEVICE int threads() const { return (active() + 31) / 32 * 32; }
  explicit operator bool() const { return tile > 0; }
};

/// Numbers of a pack, which a thread loads and multiplies at once.
constexpr int pack_wide(int sum_bytes) { return sum_bytes == 8 ? 2 : 4; }

/// Turns whose packs are loaded at once, and how far apart the columns of the place lie through
/// which they go: odd, so that lanes that store along a row meet different banks.
inline constexpr int load_turns = 4;
UNROLL_HOST_DEVICE int load_stride(int rows) { return rows | 1; }

/// The plan for this size, or one that says that the matrix does not fit on the chip.
PersistentPlan persistent_fit(const Chip& chip, const StepProduct& product) noexcept;
inline bool persistent_fits(const Chip& chip, const StepProduct& product) noexcept {
  return bool(persistent_fit(chip, product));
}

/// The design by its name, if it is one; null or empty is automatic.
std::optional<RecurrentDesign> recurrent_design_of(const char* name) noexcept;

/// What UNROLL_RECURRENT says, read once, and the chip. Tests set both.
struct PersistentSettings {
  RecurrentDesign design = RecurrentDesign::automatic;
  const char* unknown = nullptr;  // what it says instead of a design
  std::optional<Chip> chip;       // none: current_chip()
};
PersistentSettings& persistent_settings() noexcept;

/// The plan of a run with so many steps, or none for the per-step design. Where the user wants the
/// persistent one and cannot have it, that is noted as what is wrong with the call `op`.
PersistentPlan persistent_plan(const char* op, const StepProduct& product,
                               std::int64_t steps) noexcept;

}  // namespace unroll::UNROLL_GPU
