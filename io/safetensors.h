// Safetensors: named tensors and a few words of text in one file.
//
//   Safetensors file = read_safetensors("model.safetensors");
//   const Tensor& w = file["encoder.weight_ih_l0"];
//   write_safetensors("copy.safetensors", file);
//
// Format: https://github.com/huggingface/safetensors. The reader is as strict as the format: a
// header that is not one JSON object from its first byte, a duplicate name, a hole, an overlap, a
// size that does not match its shape or bytes behind the last tensor are errors. int16, int32 and
// the unsigned integers from uint16 become int64; int8 and uint8 become float32: all exact. float16
// and bfloat16 are held as they are: to() converts them, and no op takes them. The other types
// (float8, float6, float4, complex) are listed, and refused by name when their tensor is read.
// Thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "core/tensor.h"
#include "io/named_tensor.h"

namespace UNROLL_API unroll {

/// Named tensors and words of text.
struct Safetensors {
  std::vector<NamedTensor> tensors;  // in the order of the header
  std::map<std::string, std::string> metadata;

  /// The tensor of a name, or nullptr.
  const Tensor* find(const std::string& name) const noexcept;
  /// The tensor of a name. Throws Error where there is none.
  const Tensor& operator[](const std::string& name) const;
};

/// One tensor of a file, as its header says.
struct SafetensorsEntry {
  std::string name;
  std::string dtype;  // as in the file: "F32"
  std::vector<std::int64_t> shape;
  std::uint64_t begin = 0, end = 0;  // bytes, from the end of the header
};

/// What a file holds, by its header.
struct SafetensorsList {
  std::vector<SafetensorsEntry> entries;  // in the order of the header
  std::map<std::string, std::string> metadata;
};

/// What the file holds, without reading a tensor. Throws Error, naming the file, where it is
/// malformed; types that no tensor holds are listed like the others.
SafetensorsList list_safetensors(const std::string& path);

/// The whole file. Throws Error, naming the file and the tensor, where the file is malformed, or a
/// tensor has a type or more than Shape::max_rank axes that cannot be held.
Safetensors read_safetensors(const std::string& path);

/// One tensor of the file. Throws Error as read_safetensors, and where there is no such name.
Tensor read_safetensors(const std::string& path, const std::string& name);

/// Writes tensors of the CPU and the metadata, whole or not at all. The header keeps the order of
/// `tensors`; the data of the wider types comes first, so that all lie aligned. Throws Error,
/// naming the file, for an undefined tensor, a duplicate name, the reserved name "__metadata__", a
/// name or text that is not UTF-8, or where the file cannot be written.
void write_safetensors(const std::string& path, const Safetensors& content);

}  // namespace unroll
