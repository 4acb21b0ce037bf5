// Where a tensor's elements live, and where kernels run.
//
//   Tensor x = zeros({2, 3}, Dtype::float32, Device::sim());
//   synchronize(x.device());                                     // waits; throws what went wrong
//   for (Device device : available_devices()) ...                // cpu, sim, cuda:0, ...
//
// A device can always be named. Allocating on one whose backend is not built in, or that is not
// there, throws Error with the remedy. Work on a GPU and on the simulator is queued on the calling
// thread's stream of that device; reading an element waits for it. A thread's stream is the
// device's default one, which all threads share, but for the time of a StreamScope.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

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

  /// True where the host reads and writes the elements: everywhere else they are copied.
  constexpr bool is_cpu() const noexcept { return kind == DeviceKind::cpu; }

  friend constexpr bool operator==(Device a, Device b) noexcept {
    return a.kind == b.kind && a.index == b.index;
  }
};

/// "cpu", "cuda:0" or "sim".
std::string name(Device device);

/// The device of such a name; "cuda" is cuda:0. Throws Error, naming `op`, for another text.
Device device_of(const char* op, const std::string& text);

/// True where this build has the device's backend.
bool is_built_in(Device device) noexcept;

/// True where the device can be used now.
bool is_available(Device device);

/// Why not, and what helps; empty where it can be used.
std::string why_unavailable(Device device);

/// What the device is, in words: "NVIDIA H100, 80 GB"; empty where it cannot be used.
std::string description(Device device);

/// All that can be used now, the CPU first.
std::vector<Device> available_devices();

/// Throws Error, naming `op`, the reason and the remedy, where the device cannot be used.
void require_available(const char* op, Device device);

/// Waits for all that is queued on the device. Throws Error what went wrong there.
void synchronize(Device device);

/// Gives the calling thread a stream of its own until the end of the scope. Work queued inside
/// starts after what the thread queued before it, and comes before what it queues after it. What
/// another thread made is used after synchronize(). On the CPU it does nothing.
class UNROLL_API StreamScope {
 public:
  explicit StreamScope(Device device);
  ~StreamScope();
  StreamScope(const StreamScope&) = delete;
  StreamScope& operator=(const StreamScope&) = delete;

 private:
  Device device_;
  std::uintptr_t outer_ = 0;  // the stream that comes back
};

}  // namespace unroll
