// DLPack's structures, written from its specification (version 1.0,
// https://dmlc.github.io/dlpack/latest/c_api.html) so that nothing needs to be installed. The
// layout is fixed by that page; only what the CPU needs is named.
#pragma once

#include <cstdint>

extern "C" {

struct DLPackVersion {
  std::uint32_t major;  // another one: only `deleter` may be used
  std::uint32_t minor;
};

struct DLDevice {
  std::int32_t device_type;  // kDLCPU
  std::int32_t device_id;
};

struct DLDataType {
  std::uint8_t code;  // kDLInt, ...
  std::uint8_t bits;
  std::uint16_t lanes;
};

struct DLTensor {
  void* data;
  DLDevice device;
  std::int32_t ndim;
  DLDataType dtype;
  std::int64_t* shape;        // [ndim]
  std::int64_t* strides;      // [ndim] in elements, or null for row-major
  std::uint64_t byte_offset;  // from data to the first element
};

struct DLManagedTensor {
  DLTensor dl_tensor;
  void* manager_ctx;
  void (*deleter)(DLManagedTensor* self);  // may be null
};

struct DLManagedTensorVersioned {
  DLPackVersion version;
  void* manager_ctx;
  void (*deleter)(DLManagedTensorVersioned* self);  // may be null
  std::uint64_t flags;
  DLTensor dl_tensor;
};

}  // extern "C"

constexpr std::int32_t kDLCPU = 1;
constexpr std::uint8_t kDLInt = 0, kDLFloat = 2, kDLBool = 6;
constexpr std::uint64_t kDLFlagReadOnly = 1;
