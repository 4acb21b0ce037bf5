// A tile of a matrix product, by one block of 128 threads: what the recurrent kernels are made of.
//
//   Tile<float, 4, 4> tile;                      // 4 x 4 numbers for each thread
//   tile.multiply(a, b, {.row = 32 * blockIdx.y, .column = 64 * blockIdx.x, .end = depth});
//   tile.for_each([&](std::int64_t row, int i, int j) { ... tile.sum[i][j] ... });
//
// sum[m,n] += sum over d in [begin, end) of a(m,d) b(n,d). Thread (ty, tx) of 8 x 16 holds the rows
// ty + 8 i and the columns tx + 16 j of the tile: lanes of a warp face neighbouring columns, so
// that what an epilogue reads and writes is coalesced, and a shared-memory read is one row of 16
// numbers, or one number for all. Each step of 16 in depth is read into registers while the one
// before is multiplied, and goes to the other half of shared memory: one barrier per step.
//
// An operand says where its numbers lie. Either depth runs along its rows in memory (RowsOperand,
// and any type with its members), or along its columns (ColumnsOperand). `Stored` is what memory
// holds, T what is multiplied. Every sum runs in the order of depth, whatever the tile's size.
#pragma once

#include <cstdint>
#include <type_traits>

#include "cuda/backend.h"
#include "kernels/recurrent.h"

namespace unroll::UNROLL_GPU {

inline constexpr int tile_threads = 128, tile_depth = 16, tile_high = 8, tile_wide = 16;

/// Columns of a matrix that has `by` others in the middle of them.
struct Skip {
  std::int64_t from = INT64_MAX, by = 0;
  UNROLL_HOST_DEVICE std::int64_t at(std::int64_t column) const {
    return column < from ? column : column + by;
  }
};

/// Divides by a number that the host knows, without the subroutine that a GPU divides 64 bits with:
/// r / K = (r ceil(2^64 / K)) / 2^64, exact for r K < 2^64 (Granlund & Montgomery 1994).
class Divisor {
 public:
  UNROLL_HOST_DEVICE Divisor(std::int64_t K = 1)  // a number stands for its Divisor
      : K_(K), factor_(K > 1 ? ~std::uint64_t{0} / std::uint64_t(K) + 1 : 0) {}
  UNROLL_HOST_DEVICE std::int64_t value() const { return K_; }
  UNROLL_HOST_DEVICE std::int64_t quotient(std::int64_t r) const {
    __extension__ using Wide = unsigned __int128;
    return K_ > 1 ? std::int64_t(Wide(factor_) * Wide(std::uint64_t(r)) >> 64) : r;
  }
  UNROLL_HOST_DEVICE std::int64_t rest(std::int64_t r) const { return r - quotient(r) * K_; }

 private:
  std::int64_t K_;
  std::uint64_t factor_;
};

/// Where row r lies: at list[r / K] + (r % K) plane, or at r without a list.
struct RowIndex {
  const std::int64_t* list = nullptr;
  Divisor K = {};
  std::int64_t plane = 0;
  UNROLL_HOST_DEVICE std::int64_t at(std::int64_t r) const {
    return list ? list[K.quotient(r)] + K.rest(r) * plane : r;
  }
};

/// element(m, d) = data[index(m) stride + skip(d)], m < count; `batch` elements to the next matrix.
template <class Stored_>
struct RowsOperand {
  using Stored = Stored_;
  static constexpr bool along_depth = true;
  const Stored* data;
  std::int64_t stride, count;
  RowIndex index = {};
  Skip skip = {};
  std::int64_t batch = 0;

  __device__ const Stored* row(std::int64_t m) const {
    return data && m < count ? data + index.at(m) * stride : nullptr;
  }
  __device__ void advance(std::int64_t matrices) { data += matrices * batch; }
};

/// element(n, d) = data[index(d) stride + skip(n)], n < count; `batch` elements to the next matrix.
template <class Stored_>
struct ColumnsOperand {
  using Stored = Stored_;
  static constexpr bool along_depth = false;
  const Stored* data;
  std::int64_t stride, count;
  RowIndex index = {};
  Skip skip = {};
  std::int64_t batch = 0;

  __device__ Stored at(std::int64_t n, std::int64_t d) const {
    return data[index.at(d) * stride + skip.at(n)];
  }
  __device__ void advance(std::int64_t matrices) { data += matrices * batch; }
};

// Rows of shared memory are this far apart: the eight lanes that store along depth then meet
// different banks, and those that store along a row do so anyway.
template <class T, int size>
struct Slab {
  T at[tile_depth][size + 16 / sizeof(T)];
};
template <class T, int size>
struct Slabs {
  Slab<T, size> half[2];
};

/// Takes tile_depth x size numbers of an operand to shared memory, by way of registers.
template <class T, class Operand, int size, bool along_depth = Operand::along_depth>
class TileLoader;

// Eight lanes read 32 bytes or more of a row, which is a whole sector.
template <class T, class Operand, int size>
class TileLoader<T, Operand, size, true> {
  static constexpr int lanes = 8, high = tile_threads / lanes;
  static constexpr int rows = size > high ? size / high : 1;              // of each thread
  static constexpr int deep = size > high ? lanes : tile_threads / size;  // depth of one pass
  static constexpr int passes = tile_depth / deep;
  static_assert(size % high == 0 || high % size == 0);

 public:
  __device__ TileLoader(const Operand& operand, std::int64_t first) : operand_(operand) {
#pragma unroll
    for (int r = 0; r < rows; r++) row_[r] = operand.row(first + place() + r * high);
  }
  __device__ void fetch(std::int64_t begin, std::int64_t end) {
#pragma unroll
    for (int pass = 0; pass < passes; pass++) {
      const std::int64_t d = begin + pass * deep + depth();
#pragma unroll
      for (int r = 0; r < rows; r++)
        value_[pass][r] = row_[r] && d < end ? T(row_[r][operand_.skip.at(d)]) : T(0);
    }
  }
  __device__ void store(Slab<T, size>& to) const {
#pragma unroll
    for (int pass = 0; pass < passes; pass++)
#pragma unroll
      for (int r = 0; r < rows; r++)
        to.at[pass * deep + depth()][place() + r * high] = value_[pass][r];
  }

 private:
  __device__ static int place() { return int(threadIdx.x) / lanes % size; }
  __device__ static int depth() {
    return int(threadIdx.x) % lanes + int(threadIdx.x) / lanes / size * lanes;
  }

  const Operand& operand_;
  const typename Operand::Stored* row_[rows];
  T value_[passes][rows];
};

// Lanes read neighbours of a row.
template <class T, class Operand, int size>
class TileLoader<T, Operand, size, false> {
  static constexpr int passes = tile_depth * size / tile_threads;
  static_assert(tile_depth * size % tile_threads == 0);

 public:
  __device__ TileLoader(const Operand& operand, std::int64_t first)
      : operand_(operand), first_(first) {}
  __device__ void fetch(std::int64_t begin, std::int64_t end) {
#pragma unroll
    for (int pass = 0; pass < passes; pass++) {
      const std::int64_t n = first_ + place(pass), d = begin + depth(pass);
      value_[pass] = n < operand_.count && d < end ? T(operand_.at(n, d)) : T(0);
    }
  }
  __device__ void store(Slab<T, size>& to) const {
#pragma unroll
    for (int pass = 0; pass < passes; pass++) to.at[depth(pass)][place(pass)] = value_[pass];
  }

 private:
  __device__ static int place(int pass) { return (int(threadIdx.x) + pass * tile_threads) % size; }
  __device__ static int depth(int pass) { return (int(threadIdx.x) + pass * tile_threads) / size; }

  const Operand& operand_;
  const std::int64_t first_;
  T value_[passes];
};

/// Where a tile lies: its first row and column, and the depth [begin, end).
struct TilePlace {
  std::int64_t row, column, begin = 0, end;
};

/// The numbers of one thread in a tile of 8 high rows and 16 wide columns.
template <class T, int high, int wide>
struct Tile {
  static constexpr int rows = tile_high * high, columns = tile_wide * wide;
  T sum[high][wide] = {};

  __device__ static int row(int i) { return i * tile_high + int(threadIdx.x) / tile_wide; }
  __device__ static int column(int j) { return j * tile_wide + int(threadIdx.x) % tile_wide; }

  template <class A, class B>
  __device__ void multiply(const A& a, const B& b, const TilePlace& place) {
    using Left = Slabs<T, rows>;
    using Right = Slabs<T, columns>;
    SHARED(Left, left);
    SHARED(Right, right);
    TileLoader<T, A, rows> load_a(a, place.row);
    TileLoader<T, B, columns> load_b(b, place.column);
    load_a.fetch(place.begin, place.end);
    load_b.fetch(place.begin, place.end);
    int half = 0;
    for (std::int64_t d = place.begin; d < place.end; d += tile_depth, half ^= 1) {
      load_a.store(left.half[half]);
      load_b.store(right.half[half]);
      __syncthreads();
      load_a.fetch(d + tile_depth, place.end);
      load_b.fetch(d + tile_depth, place.end);
      add(left.half[half], right.half[half]);
    }
  }

 private:
  __device__ void add(const Slab<T, rows>& left, const Slab<T, columns>& right) {
#pragma unroll
    for (int d = 0; d < tile_depth; d++) {
      T a[high], b[wide];
#pragma unroll
      for (int i = 0; i < high; i++) a[i] = left.at[d][row(i)];
#pragma unroll
      for (int j = 0; j < wide; j++) b[j] = right.at[d][column(j)];
#pragma unroll
      for (int i = 0; i < high; i++)
#pragma unroll
        for (int j = 0; j < wide; j++) sum[i][j] = ScalarCell<T>::fma(a[i], b[j], sum[i][j]);
    }
  }
};

}  // namespace unroll::UNROLL_GPU
