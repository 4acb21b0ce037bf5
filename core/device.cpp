#include "core/device.h"

#include "core/error.h"

namespace unroll {

std::string name(Device device) {
  switch (device.kind) {
    case DeviceKind::cpu: return "cpu";
    case DeviceKind::cuda: return "cuda:" + std::to_string(device.index);
    case DeviceKind::sim: return "sim";
  }
  return "?";
}

bool is_built_in(Device device) noexcept { return device.kind == DeviceKind::cpu; }

void require_built_in(const char* op, Device device) {
  if (!is_built_in(device)) fail(op, "device " + name(device) + " is not built in; use cpu");
}

}  // namespace unroll
