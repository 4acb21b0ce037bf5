// A safetensors file whose header is read and checked, tensor by tensor. For io/safetensors.cpp and
// io/sharded_safetensors.cpp.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "io/allowance.h"
#include "io/input_file.h"
#include "io/safetensors.h"

namespace unroll::detail {

class SafetensorsFile {
 public:
  /// Throws Error as list_safetensors, naming `op`.
  SafetensorsFile(const char* op, const std::string& path);

  const SafetensorsList& list() const noexcept { return list_; }
  SafetensorsList take_list() noexcept { return std::move(list_); }

  /// Reads the tensor of an entry of the list. Throws Error where no tensor can hold it, and where
  /// the tensors read so far are so many and so small that they cost far more than their bytes.
  Tensor read(const SafetensorsEntry& entry);

  [[noreturn]] void fail(const std::string& what) const { file_.fail(what); }

 private:
  InputFile file_;
  SafetensorsList list_;
  std::uint64_t data_ = 0;  // where the data begins
  Allowance allowance_;
};

}  // namespace unroll::detail
