// cuBLAS, loaded at run time: a program starts and multiplies without it. Private to cuda/*.cu.
#pragma once

#include <cstdint>

#include "cuda/backend.h"
#include "kernels/matmul.h"

namespace unroll::gpu {

/// C = alpha A B + beta C in cuBLAS's words: its matrices are columns, so that it computes
/// C^T = B^T A^T, each of which it may read turned.
struct CublasLayout {
  bool takes;  // false: a layout that cuBLAS has no words for
  bool turn_a, turn_b;
  std::int64_t a, b;  // distances of the columns
};

inline CublasLayout cublas_layout(const MatmulShape& s) {
  const auto largest = [](std::int64_t x, std::int64_t y) { return x > y ? x : y; };
  // An operand of `rows` rows: adjacent along them, or along the columns. With one row or one
  // column the other distance is free.
  const auto lay = [&](std::int64_t rows, std::int64_t columns, std::int64_t along_rows,
                       std::int64_t along_columns, bool& turned, std::int64_t& distance) {
    turned = !(along_columns == 1 || columns == 1);
    const std::int64_t length = turned ? rows : columns, lines = turned ? columns : rows;
    const std::int64_t between = turned ? along_columns : along_rows;
    distance = lines == 1 ? largest(length, 1) : between;
    return (turned ? along_rows == 1 || rows == 1 : true) && distance >= largest(length, 1);
  };
  CublasLayout x{};
  const bool a = lay(s.M, s.K, s.a_row, s.a_col, x.turn_a, x.a);
  const bool b = lay(s.K, s.N, s.b_row, s.b_col, x.turn_b, x.b);
  x.takes = a && b && s.K > 0 && s.c_row >= s.N;
  return x;
}

}  // namespace unroll::gpu

namespace unroll::UNROLL_GPU {

/// Null where cuBLAS is there, else why it is not.
const char* cublas_missing() noexcept;

/// Queues the product; false where cuBLAS is not there or does not take it, and nothing was done.
template <class T>
bool cublas_matmul(const MatmulShape&, const MatmulArgs<T>&, bool tf32) noexcept;

}  // namespace unroll::UNROLL_GPU
