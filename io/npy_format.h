// The bytes of an npy file, wherever they lie: in a file or in a member of an archive. For
// io/npy.cpp and io/npz.cpp.
#pragma once

#include <string>

#include "core/tensor.h"
#include "io/byte_source.h"
#include "io/npy.h"

namespace unroll::detail {

/// Reads the header; the source is then at the first element.
NpyInfo read_npy_header(ByteSource& source);

/// The same, and throws Error where what follows is too short for the array, if it is one that a
/// tensor holds.
NpyInfo inspect_npy_array(ByteSource& source);

/// Reads header and array.
Tensor read_npy_array(ByteSource& source);

/// The header that stands before the row-major elements of `x`: version 1, padded to 64 bytes.
std::string npy_header(const Tensor& x);

}  // namespace unroll::detail
