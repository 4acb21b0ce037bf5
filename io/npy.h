// NumPy's .npy files: one array each.
//
//   Tensor x = read_npy("x.npy");        // float16, float32, float64, int64 or bool
//   write_npy("y.npy", x);               // np.load("y.npy") reads it
//
// Format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html, versions 1 to 3.
// Big-endian and Fortran-ordered arrays are read rightly; int16, int32 and the
// unsigned integers from uint16 become int64; int8 and uint8 become float32: all exact. float16 is
// held as it is: to() converts it, and no op takes it. As in NumPy, bytes behind the array are
// ignored. What no tensor holds (objects, which are pickles, structures, strings, complex numbers,
// dates) is refused by name. Thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/tensor.h"

namespace UNROLL_API unroll {

/// What a header says.
struct NpyInfo {
  std::string dtype;  // as the file says it: "<f4"
  bool fortran_order = false;
  std::vector<std::int64_t> shape;
};

/// What the header says, without reading the array. Throws Error, naming the file, where the header
/// is malformed, or states more than 64 axes or a shape whose size does not fit 63 bits; and where
/// the file is shorter than the shape demands, if a tensor holds such an array.
NpyInfo inspect_npy(const std::string& path);

/// The array, row-major. Throws Error, naming the file, where the header is malformed, the file is
/// shorter than the shape demands, the type or more than Shape::max_rank axes cannot be held, or a
/// uint64 lies beyond int64.
Tensor read_npy(const std::string& path);

/// Writes a tensor of the CPU, row-major and little-endian (version 1), whole or not at all. Throws
/// Error, naming the file, where it cannot be written, and for bfloat16, which NumPy does not have.
void write_npy(const std::string& path, const Tensor& x);

}  // namespace unroll
