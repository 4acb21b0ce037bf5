// Copies between views. Elements are moved, never looked at, so there is one kernel for each size
// of an element, whatever its type.
#include "kernels/copy.h"

#include "core/device_memory.h"
#include "cuda/strided.h"

namespace unroll::UNROLL_GPU {
namespace {

template <class Word>
struct Same {
  UNROLL_HOST_DEVICE Word operator()(Word x) const { return x; }
};

// ---- Transposing: the output is dense along its last axis, the input along another one. A tile
// passes through shared memory, so that both sides see whole sectors.

constexpr int tile = 32, tile_rows = 8;  // threads (tile, tile_rows)

struct Transpose {
  unsigned rows, columns;       // of an image in the output: y[row, column] = x[column, row]
  std::int64_t x_step, y_step;  // from column to column in x, from row to row in y
  Walk<2> images;               // the other axes: (y, x)
};

template <class Word>
__global__ void __launch_bounds__(tile* tile_rows)
    transpose_kernel(Transpose shape, Word* y, const Word* x) {
  using Tile =
      Word[tile][tile + 1];  // the extra column keeps a column's elements in distinct banks
  SHARED(Tile, part);
  const unsigned across = (shape.columns + tile - 1) / tile, down = (shape.rows + tile - 1) / tile;
  const unsigned image = blockIdx.x / (across * down), at = blockIdx.x - image * across * down;
  const unsigned row = at / across * tile, column = at % across * tile;
  const Offsets<2> offsets(shape.images, image);
  for (unsigned j = threadIdx.y; j < tile; j += tile_rows) {
    if (column + j < shape.columns && row + threadIdx.x < shape.rows)
      part[j][threadIdx.x] = x[offsets.at[1] + (column + j) * shape.x_step + (row + threadIdx.x)];
  }
  __syncthreads();
  for (unsigned i = threadIdx.y; i < tile; i += tile_rows) {
    if (row + i < shape.rows && column + threadIdx.x < shape.columns)
      y[offsets.at[0] + (row + i) * shape.y_step + (column + threadIdx.x)] = part[threadIdx.x][i];
  }
}

// The axis along which x is dense where y is along the last one; -1 where there is none, or where
// the image is too small for a tile to pay.
int axis_to_transpose(const Strided& s) {
  const int last = s.rank - 1;
  if (s.stride[0][last] != 1 || s.stride[1][last] <= 1 || s.size[last] < tile / 2) return -1;
  for (int d = 0; d < last; d++)
    if (s.stride[1][d] == 1 && s.size[d] >= tile / 2) return d;
  return -1;
}

template <class Word>
void transpose(const Strided& s, int axis, Word* y, const Word* x) {
  const int last = s.rank - 1;
  Strided others{};
  for (int d = 0; d < last; d++) {
    if (d == axis) continue;
    others.size[others.rank] = s.size[d];
    for (int k = 0; k < 2; k++) others.stride[k][others.rank] = s.stride[k][d];
    others.rank++;
  }
  const Transpose shape{static_cast<unsigned>(s.size[axis]), static_cast<unsigned>(s.size[last]),
                        s.stride[1][last], s.stride[0][axis], walk_of<2>(others)};
  const unsigned tiles = blocks_of(shape.rows, tile) * blocks_of(shape.columns, tile);
  launch(transpose_kernel<Word>,
         {.name = "transpose",
          .grid = shape.images.count * tiles,
          .block = {tile, tile_rows},
          .stream = current_stream()},
         shape, y, x);
}

template <class Word>
void copy_words(const Strided& space, Word* y, const Word* x) {
  if (element_count(space) == 0) return;
  const std::int64_t start[2] = {};
  const auto run = [&](const Strided& part, const std::int64_t(&offset)[2]) {
    const int axis = axis_to_transpose(part);
    if (axis >= 0) return transpose(part, axis, y + offset[0], x + offset[1]);
    run_part(part, "copy", Same<Word>{}, Same<Word>{}, y + offset[0],
             std::integer_sequence<int, 0>(), x + offset[1]);
  };
  for_each_part<2>(merged(space, 2), run, start);
}

void copy_elements(const Strided& space, std::size_t bytes, void* y, const void* x) {
  const auto as = [&](auto word) {
    using Word = decltype(word);
    copy_words(space, static_cast<Word*>(y), static_cast<const Word*>(x));
  };
  switch (bytes) {
    case 1: return as(std::uint8_t());
    case 2: return as(std::uint16_t());
    case 4: return as(std::uint32_t());
    default: return as(std::uint64_t());
  }
}

}  // namespace

template <class T>
void copy(const Strided& space, const CopyArgs<T>& args) noexcept {
  copy_elements(space, sizeof(T), args.y, args.x);
}

UNROLL_GPU_KERNEL(copy, void, Strided, CopyArgs)
UNROLL_GPU_KERNEL_FOR(std::int64_t, copy, void, Strided, CopyArgs)
UNROLL_GPU_KERNEL_FOR(bool, copy, void, Strided, CopyArgs)

void copy_strided(const StridedCopy& what) noexcept {
  Strided space{};
  space.rank = what.shape.rank();
  for (int d = 0; d < space.rank; d++) {
    space.size[d] = what.shape[d];
    space.stride[0][d] = what.to_strides[d];
    space.stride[1][d] = what.from_strides[d];
  }
  copy_elements(space, what.element, what.to, what.from);
}

}  // namespace unroll::UNROLL_GPU
