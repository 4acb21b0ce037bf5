// How matrix products run on GPUs, for the whole process.
//
//   set_matmul_options({.backend = MatmulBackend::cublas});    // or UNROLL_MATMUL=cublas
//   set_matmul_options({.tf32 = true});                        // or UNROLL_TF32=1
//
// Thread-safe; a product sees either the old or the new options. The CPU's products do not change.
#pragma once

#include <cstdint>

#include "core/export.h"

namespace UNROLL_API unroll {

/// Who multiplies: this library's kernels, or cuBLAS, which is loaded at run time. Layouts that
/// cuBLAS does not take (repeated rows, no adjacent numbers) go to the library's kernels.
enum class MatmulBackend : std::uint8_t { own, cublas };

/// By default every product of float32 is one of float32, summed up in an order of its own shape.
struct MatmulOptions {
  MatmulBackend backend = MatmulBackend::own;  // UNROLL_MATMUL=own|cublas
  // UNROLL_TF32=0|1: float32 operands are rounded to 10 bits of fraction on their way to the
  // tensor cores, and summed up in float32; the relative error of a term is 2^-10.
  bool tf32 = false;

  friend constexpr bool operator==(const MatmulOptions&, const MatmulOptions&) = default;
};

/// The options in force: at first those that the environment names; where it names what there is
/// not, the defaults.
MatmulOptions matmul_options() noexcept;

/// Replaces them.
void set_matmul_options(const MatmulOptions& options) noexcept;

/// The options that the environment names. Throws Error, naming the variable and what it may be,
/// for another value.
MatmulOptions matmul_options_of_environment();

}  // namespace unroll
