#include "core/device.h"

#include <charconv>

#include "core/device_memory.h"
#include "core/error.h"

namespace unroll {
namespace {

// How many devices of the kind can be used.
int count_of(DeviceKind kind) noexcept {
  switch (kind) {
    case DeviceKind::cpu:
      return 1;
      UNROLL_IF_SIM(case DeviceKind::sim : return sim::device_count();)
      UNROLL_IF_CUDA(case DeviceKind::cuda : return cuda::device_count();)
    default: return 0;
  }
}

}  // namespace

std::string name(Device device) {
  switch (device.kind) {
    case DeviceKind::cpu: return "cpu";
    case DeviceKind::cuda: return "cuda:" + std::to_string(device.index);
    case DeviceKind::sim: return "sim";
  }
  return "?";
}

Device device_of(const char* op, const std::string& text) {
  if (text == "cpu") return Device::cpu();
  if (text == "sim") return Device::sim();
  if (text == "cuda") return Device::cuda();
  const std::string gpu = "cuda:";
  if (text.rfind(gpu, 0) == 0) {
    const char *first = text.data() + gpu.size(), *last = text.data() + text.size();
    std::int8_t index = -1;
    const auto [end, error] = std::from_chars(first, last, index);
    if (error == std::errc() && end == last && index >= 0) return Device::cuda(index);
  }
  fail(op, "'" + text + "' is no device; it is cpu, cuda, cuda:1, ... or sim");
}

bool is_built_in(Device device) noexcept {
  switch (device.kind) {
    case DeviceKind::cpu:
      return true;
      UNROLL_IF_SIM(case DeviceKind::sim : return true;)
      UNROLL_IF_CUDA(case DeviceKind::cuda : return true;)
    default: return false;
  }
}

bool is_available(Device device) {
  return device.index >= 0 && device.index < count_of(device.kind);
}

std::string why_unavailable(Device device) {
  if (is_available(device)) return "";
  const bool is_sim = device.kind == DeviceKind::sim;
  if (!is_built_in(device))
    return std::string("not built in; configure with -DUNROLL_") + (is_sim ? "SIM" : "CUDA") +
           "=ON, or use cpu";
  const int count = count_of(device.kind);
  if (count > 0) return "there are only " + std::to_string(count) + " of this kind";
  UNROLL_IF_CUDA(if (!is_sim) return cuda::why_no_device() + "; use cpu";)
  return "not there; use cpu";
}

std::string description(Device device) {
  if (!is_available(device)) return "";
  switch (device.kind) {
    UNROLL_GPU_RETURNS(device, describe(device.index))
    default: return "the processor";
  }
}

std::vector<Device> available_devices() {
  std::vector<Device> all;
  for (const DeviceKind kind : {DeviceKind::cpu, DeviceKind::sim, DeviceKind::cuda})
    for (int i = 0; i < count_of(kind); i++) all.push_back({kind, static_cast<std::int8_t>(i)});
  return all;
}

void require_available(const char* op, Device device) {
  if (!is_available(device)) fail(op, "device " + name(device) + ": " + why_unavailable(device));
}

void synchronize(Device device) {
  require_available("synchronize", device);
  switch (device.kind) {
    UNROLL_GPU_CASES(device, finish())
    default: break;
  }
}

StreamScope::StreamScope(Device device) : device_(device) {
  require_available("stream", device);
  switch (device.kind) {
    UNROLL_GPU_CASES(device, open_stream(outer_))
    default: break;
  }
}

StreamScope::~StreamScope() {
  switch (device_.kind) {
    UNROLL_GPU_CASES(device_, close_stream(outer_))
    default: break;
  }
}

}  // namespace unroll
