// The persistent design of the recurrent loop: a matrix that stays on the chip while one kernel
// runs all steps. Which sizes it takes: recurrent_plan.h.
//
//   ResidentMatrix<float, float, float, 8> w(plan, shared_memory);
//   w.load(weights);                                   // once: registers, then shared memory
//   for each step, for each tile of rows {
//     w.take([&](int m) { return row m; }, ...);       // operands on their way to shared memory
//     w.taken();                                       // they are there
//     w.multiply();                                    // a part of each sum in each thread
//     __syncthreads();
//     ... w.sum(m, row) ...                            // the parts in their order
//   }
//
// Persistent RNNs: Diamos et al. 2016, who keep the weights in registers; Zhu et al. 2018 (sparse
// ones); Haste (LMNT 2020) and FlashRNN (Poeppel et al. 2024), which sizes its parts by what the
// chip has. Here a block owns hidden units with all of their gates, so that a cell's state changes
// where its sums arise; what other blocks need goes through global memory, which is in L2, into
// places that are written once, and all blocks meet once in a step.
//
// Thread (p, r) of a block multiplies row r of its matrix by every parts-th pack of the depth:
// lanes read neighbouring packs of shared memory and the same few packs of the operands. Every sum
// has one order, whatever the order of threads.
#pragma once

#include <cooperative_groups.h>
#include <cuda_pipeline.h>

#include <cstring>
#include <type_traits>

#include "cuda/recurrent_step.h"

namespace unroll::UNROLL_GPU {

/// Neighbouring numbers that are moved as one, and two halves of which share a register.
template <class T, int wide>
struct RegisterPack {
  using Whole = std::conditional_t<sizeof(T) * wide == 16, uint4, uint2>;
  static_assert(sizeof(Whole) == sizeof(T) * wide);
  struct Numbers {
    T at[wide];
  };
  unsigned word[sizeof(Whole) / sizeof(unsigned)];

  __device__ Numbers numbers() const {
    Numbers numbers;
    std::memcpy(&numbers, word, sizeof word);
    return numbers;
  }
  __device__ static RegisterPack of(const Numbers& numbers) {
    RegisterPack pack;
    std::memcpy(pack.word, &numbers, sizeof numbers);
    return pack;
  }
  __device__ static RegisterPack read(const T* from) {
    const Whole whole = *reinterpret_cast<const Whole*>(from);
    RegisterPack pack;
    std::memcpy(pack.word, &whole, sizeof whole);
    return pack;
  }
  __device__ void write(T* to) const {
    Whole whole;
    std::memcpy(static_cast<void*>(&whole), word, sizeof whole);
    *reinterpret_cast<Whole*>(to) = whole;
  }
};

/// Rows of `depth` numbers in global memory, of which packs are read: whole where every row is
/// aligned for that, else number by number.
struct PackedRows {
  std::int64_t depth;
  bool aligned;
  Skip skip = {};

  /// Whether the pack at d of a row, or null, is read whole.
  __device__ bool whole(const void* row, std::int64_t d) const {
    return row && aligned && d < depth;
  }
  template <class T, int wide>
  __device__ RegisterPack<T, wide> pack(const T* row, std::int64_t d) const {
    if (whole(row, d)) return RegisterPack<T, wide>::read(row + skip.at(d));
    typename RegisterPack<T, wide>::Numbers numbers;
#pragma unroll
    for (int e = 0; e < wide; e++)
      numbers.at[e] = row && d + e < depth ? row[skip.at(d + e)] : T(0.f);
    return RegisterPack<T, wide>::of(numbers);
  }
};

/// Whether rows that begin at `data`, `stride` apart, of parts of H numbers, are whole packs.
template <class T>
bool packs_are_aligned(const T* data, std::int64_t stride, std::int64_t H, int wide) {
  return stride % wide == 0 && H % wide == 0 &&
         reinterpret_cast<std::uintptr_t>(data) % (wide * sizeof(T)) == 0;
}

/// The rows of w_hh [gates H,H] that face a block's units: row g units + u is that of gate g. The
/// sums begin with b_hh.
template <class T, class Bias>
struct WeightRows {
  static constexpr bool along_depth = true;
  const T* data;
  const Bias* bias;       // or null
  std::int64_t H, first;  // unit of the block
  int units;
  PackedRows packed;

  __device__ std::int64_t unit(int row) const { return first + row % units; }
  __device__ std::int64_t place(int row) const { return row / units * H + unit(row); }
  __device__ Bias first_of(int row) const {
    return unit(row) < H ? value_or_zero(bias, place(row)) : Bias(0);
  }
  template <int wide>
  __device__ RegisterPack<T, wide> pack(int row, std::int64_t d) const {
    return packed.pack<T, wide>(unit(row) < H ? data + place(row) * H : nullptr, d);
  }
};

/// The columns of w_hh that face a block's units.
template <class T>
struct WeightColumns {
  static constexpr bool along_depth = false;
  const T* data;
  std::int64_t H, first, depth;  // depth: gates H

  __device__ static float first_of(int) { return 0; }
  template <int wide>
  __device__ RegisterPack<T, wide> pack(int row, std::int64_t d) const {
    const std::int64_t unit = first + row;
    typename RegisterPack<T, wide>::Numbers numbers;
#pragma unroll
    for (int e = 0; e < wide; e++)
      numbers.at[e] = unit < H && d + e < depth ? data[(d + e) * H + unit] : T(0.f);
    return RegisterPack<T, wide>::of(numbers);
  }
};

/// Turns of a thread whose operands are read together. From sm_100 on ptxas spills for more than
/// one; a sum has the same order either way.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 1000
inline constexpr int held_at_once = 1, shared_at_once = 1;
#else
inline constexpr int held_at_once = load_turns, shared_at_once = 2;
#endif

template <class Weight, class Operand, class Sum, int tile>
class ResidentMatrix {
  static constexpr int wide = pack_wide(sizeof(Sum));
  using WeightPack = RegisterPack<Weight, wide>;
  using OperandPack = RegisterPack<Operand, wide>;
  static_assert(most_held * sizeof(WeightPack) <= register_bytes);
  static_assert(most_held % load_turns == 0);

 public:
  __device__ ResidentMatrix(const PersistentPlan& plan, unsigned char* shared)
      : plan_(plan),
        part_(int(threadIdx.x) / plan.rows),
        row_(int(threadIdx.x) % plan.rows),
        shared_(reinterpret_cast<Weight*>(shared)),
        operands_(reinterpret_cast<Operand*>(shared + plan.operands_at)),
        sums_(reinterpret_cast<Sum*>(shared + plan.sums_at)) {}

  /// Reads the matrix, once, and what the sums of its rows begin with.
  template <class Source>
  __device__ void load(const Source& source) {
    first_ = part_ == 0 ? source.first_of(row_) : Sum(0);
#pragma unroll
    for (int turn = 0; turn < most_held; turn += load_turns)
      load(source, turn, [&](int i, const WeightPack& pack) {
        if (turn + i < plan_.held)
          own_[turn + i] = pack;
        else
          keep(turn + i, pack);
      });
#pragma unroll 1
    for (int turn = most_held; turn < plan_.turns; turn += load_turns)
      load(source, turn, [&](int i, const WeightPack& pack) { keep(turn + i, pack); });
    __syncthreads();
  }

  /// Starts to bring a tile of rows to shared memory: row(m) is where row m lies, or null for
  /// zeros. Copies are asynchronous: a thread that waited for each would wait for L2 as often as a
  /// row has packs for it. All threads have left load() and multiply().
  template <class Row>
  __device__ void take(const PackedRows& packed, const Row& row) {
    const int packs = plan_.turns * plan_.parts, threads = int(blockDim.x);
    int m = int(threadIdx.x) / packs, v = int(threadIdx.x) % packs;
    for (int e = int(threadIdx.x); e < tile * packs; e += threads) {
      const Operand* const from = row(m);
      Operand* const to = operands_ + e * wide;
      const std::int64_t d = v * wide;
      if (packed.whole(from, d))
        __pipeline_memcpy_async(to, from + packed.skip.at(d), sizeof(OperandPack));
      else
        packed.pack<Operand, wide>(from, d).write(to);
      for (v += threads; v >= packs; v -= packs) m++;
    }
    __pipeline_commit();
  }
  /// All threads' copies are there.
  __device__ static void taken() {
    __pipeline_wait_prior(0);
    __syncthreads();
  }

  /// This thread's part of the sums. All threads have left taken().
  __device__ void multiply() {
    if (part_ >= plan_.parts) return;
    Sum sum[tile];
#pragma unroll
    for (int m = 0; m < tile; m++) sum[m] = first_;
#pragma unroll
    for (int turn = 0; turn < most_held; turn += load_turns) add_held(turn, sum);
#pragma unroll shared_at_once
    for (int i = plan_.held; i < plan_.turns; i++) add(WeightPack::read(place(i)), i, sum);
#pragma unroll
    for (int m = 0; m < tile; m++) sums_[m * plan_.sums_stride + int(threadIdx.x)] = sum[m];
  }

  /// Row m of the tile, where it has no Skip; until the next take(), before which all threads meet.
  __device__ const Operand* operand(int m) const {
    return operands_ + m * plan_.turns * plan_.parts * wide;
  }
  /// Operand row m times row `row` of the matrix. All threads have left multiply().
  __device__ Sum sum(int m, int row) const {
    const Sum* from = sums_ + m * plan_.sums_stride + row;
    Sum sum = *from;
    for (int p = 1; p < plan_.parts; p++) sum += from[p * plan_.rows];
    return sum;
  }

 private:
  __device__ Weight* place(int turn) const {
    return shared_ + ((turn - plan_.held) * plan_.active() + int(threadIdx.x)) * wide;
  }
  __device__ void keep(int turn, const WeightPack& pack) { pack.write(place(turn)); }

  // This thread's packs of load_turns turns, as put(i, pack). Where depth runs along the rows in
  // memory, lanes read along them, and the packs change hands in the place of the operands.
  template <class Source, class Put>
  __device__ void load(const Source& source, int turn, const Put& put) {
    if (turn >= plan_.turns) return;
    const int parts = plan_.parts, rows = plan_.rows, stride = load_stride(rows);
    if constexpr (Source::along_depth) {
      const int deep = load_turns * parts;
      Weight* const transit = reinterpret_cast<Weight*>(operands_);
      __syncthreads();
      for (int e = int(threadIdx.x); e < rows * deep; e += int(blockDim.x)) {
        const int row = e / deep, v = e % deep;
        source.template pack<wide>(row, std::int64_t(turn * parts + v) * wide)
            .write(transit + (v * stride + row) * wide);
      }
      __syncthreads();
    }
    if (part_ >= parts) return;
#pragma unroll
    for (int i = 0; i < load_turns; i++) {
      if (turn + i >= plan_.turns) continue;
      const int v = i * parts + part_;
      if constexpr (Source::along_depth)
        put(i, WeightPack::read(reinterpret_cast<Weight*>(operands_) + (v * stride + row_) * wide));
      else
        put(i, source.template pack<wide>(row_, std::int64_t(turn * parts + v) * wide));
    }
  }

  // Some turns of which none is asked for alone, so that the operands of one are read while another
  // is multiplied.
  __device__ void add_held(int turn, Sum (&sum)[tile]) const {
    if (held_at_once > 1 && turn + load_turns <= plan_.held) {
#pragma unroll
      for (int i = 0; i < load_turns; i++) add(own_[turn + i], turn + i, sum);
    } else {
#pragma unroll
      for (int i = 0; i < load_turns; i++)
        if (turn + i < plan_.held) add(own_[turn + i], turn + i, sum);
    }
  }

  __device__ void add(const WeightPack& weights, int turn, Sum (&sum)[tile]) const {
    const int packs = plan_.turns * plan_.parts;
    const Operand* from = operands_ + (turn * plan_.parts + part_) * wide;
    const auto weight = weights.numbers();
#pragma unroll
    for (int m = 0; m < tile; m++) {
      const auto operand = OperandPack::read(from + m * packs * wide).numbers();
#pragma unroll
      for (int e = 0; e < wide; e++)
        sum[m] = ScalarCell<Sum>::fma(Sum(weight.at[e]), Sum(operand.at[e]), sum[m]);
    }
  }

  const PersistentPlan& plan_;
  const int part_, row_;
  Weight* const shared_;
  Operand* const operands_;
  Sum* const sums_;
  Sum first_;
  WeightPack own_[most_held];
};

/// The rows of a step that a block's group has: row i is `row(i)` of the step's.
struct GroupRows {
  std::int64_t group, groups;
  __device__ explicit GroupRows(const PersistentPlan& plan)
      : group(blockIdx.y), groups(plan.groups) {}
  __device__ std::int64_t row(std::int64_t i) const { return group + i * groups; }
};

/// Calls body(m, u, row, unit) for what this thread has of the group's rows `first`, ..., a tile of
/// them, and of its block's units: row m of the tile, unit u of the block.
struct TilePart {
  std::int64_t first, rows, H;
};
template <int tile, class Body>
__device__ void for_elements(const PersistentPlan& plan, const GroupRows& group,
                             const TilePart& part, const Body& body) {
  for (int e = int(threadIdx.x); e < tile * plan.units; e += int(blockDim.x)) {
    const int m = e / plan.units, u = e % plan.units;
    const std::int64_t row = group.row(part.first + m);
    const std::int64_t unit = std::int64_t(blockIdx.x) * plan.units + u;
    if (row < part.rows && unit < part.H) body(m, u, row, unit);
  }
}

/// The blocks of all groups have done a step; where a group is one block, that one.
__device__ inline void meet() {
  if (gridDim.x > 1)
    cooperative_groups::this_grid().sync();
  else
    __syncthreads();
}

/// Brings what is read soon closer.
__device__ inline void prefetch([[maybe_unused]] const void* address) {
#ifdef __CUDA_ARCH__
  asm volatile("prefetch.global.L1 [%0];" ::"l"(address));
#endif
}

inline Launch persistent_launch(const char* name, const PersistentPlan& plan) {
  return {.name = name,
          .grid = {unsigned(plan.blocks), unsigned(plan.groups)},
          .block = unsigned(plan.threads()),
          .shared = std::size_t(plan.shared),
          .cooperative = plan.blocks > 1,
          .stream = current_stream()};
}

/// Calls body(std::integral_constant<int, tile>) with the tile of a plan.
template <class Body>
void with_tile(const PersistentPlan& plan, const Body& body) {
  if (plan.tile == tile_rows_few) return body(std::integral_constant<int, tile_rows_few>{});
  body(std::integral_constant<int, tile_rows_many>{});
}

}  // namespace unroll::UNROLL_GPU
