// Numbers as files hold them, and how a tensor holds them once read.
//
//   Tensor x = read_elements(file, {Element::uint8, ByteOrder::little}, {2, 3});   // float32
//
// float16, bfloat16, float32, float64, int64 and bool are held as they are; the integers of 16 and
// 32 bits and uint64 become int64; int8 and uint8 become float32: all exact. (As int64, the
// integers of 8 bits would need 8 times the memory of the file.) Shared by the readers of this
// folder.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/tensor.h"
#include "io/byte_source.h"

namespace UNROLL_API unroll {

/// What an element of a file may be.
enum class Element : std::uint8_t {
  boolean,
  int8,
  int16,
  int32,
  int64,
  uint8,
  uint16,
  uint32,
  uint64,
  float16,
  bfloat16,
  float32,
  float64
};

/// Which byte of an element comes first: the least or the most significant.
enum class ByteOrder : std::uint8_t { little, big };

/// Bytes of one element in a file.
std::size_t size_of(Element element) noexcept;
/// The type of the tensor that holds them.
Dtype held_as(Element element) noexcept;

/// How elements lie in a file.
struct ElementLayout {
  Element element;
  ByteOrder order = ByteOrder::little;
  bool fortran_order = false;  // the first axis changes fastest
};

/// Throws Error unless the source has as many elements left as the shape demands.
void require_elements(const ByteSource& source, Element element, const Shape& shape);

/// Reads a tensor, in steps; it is row-major whatever the order in the source. The size is checked
/// against the source before anything is allocated. Throws Error where the source is too short, and
/// for a uint64 beyond int64. A bool is any byte that is not 0.
Tensor read_elements(ByteSource& source, const ElementLayout& layout, const Shape& shape);

}  // namespace unroll
