// Where a tensor's elements live.
//
//   Tensor x = zeros({2, 3}, Dtype::float32, Device::cpu());
//
// A device whose backend is not built in can be named but not allocated on: that throws Error.
#pragma once

#include <cstdint>
#include <string>

#include "core/export.h"

namespace UNROLL_API unroll {

/// Where memory lies and kernels run.
enum class DeviceKind : std::uint8_t { cpu, cuda, sim };

/// One device; the CPU by default.
struct Device {
  DeviceKind kind = DeviceKind::cpu;
  std::int8_t index = 0;

  /// The processor.
  static constexpr Device cpu() noexcept { return {}; }
  /// A GPU by its number.
  static constexpr Device cuda(int i = 0) noexcept {
    return {DeviceKind::cuda, static_cast<std::int8_t>(i)};
  }
  /// The simulator of a GPU.
  static constexpr Device sim() noexcept { return {DeviceKind::sim, 0}; }

  friend constexpr bool operator==(Device a, Device b) noexcept {
    return a.kind == b.kind && a.index == b.index;
  }
};

/// "cpu", "cuda:0" or "sim".
std::string name(Device device);

/// True where this build can allocate on the device.
bool is_built_in(Device device) noexcept;

/// Throws Error, naming `op` and the remedy, where this build cannot allocate on the device.
void require_built_in(const char* op, Device device);

}  // namespace unroll
