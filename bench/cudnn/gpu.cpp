#include "bench/cudnn/gpu.h"

#include "core/device_memory.h"
#include "core/error.h"

namespace unroll::bench {

Ceilings ceilings_of(Device device) {
  switch (device.kind) {
    UNROLL_GPU_RETURNS(device, measure_ceilings())
    default: fail("cudnn_bench", name(device) + " is no GPU");
  }
}

std::vector<double> seconds_of_calls(Device device, const std::function<void()>& call, int count) {
  switch (device.kind) {
    UNROLL_GPU_RETURNS(device, time_calls(call, count))
    default: fail("cudnn_bench", name(device) + " is no GPU");
  }
}

void* native_stream(Device device) {
  switch (device.kind) {
    UNROLL_GPU_RETURNS(device, stream_handle())
    default: return nullptr;
  }
}

}  // namespace unroll::bench
