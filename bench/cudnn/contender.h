// A contender of cudnn_bench: our kernels, cuDNN with one of its algorithms, or a kernel of a user.
//
//   const Contender ours = unroll_contender();
//   Run run = ours.prepare(problem, inputs, Device::sim());      // or throws NotSupported
//   error_of(run.results(), wanted);
//   run.call();                                                  // queues one call
//
// What a call reads and writes lies on the device before it: calls allocate and copy nothing.
#pragma once

#include <functional>
#include <stdexcept>
#include <string>

#include "bench/cudnn/problem.h"
#include "core/device.h"
#include "kernels/lstm.h"

namespace unroll::bench {

/// A problem that a contender does not take; the reason, in its own words.
class NotSupported : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// A contender at a problem, with its memory.
struct Run {
  std::function<void()> call;        // queues one call on the device
  std::function<Tensors()> results;  // one call, and what it gave, as reference() has it: float64
};

struct Contender {
  std::string name;
  std::function<Run(const Problem&, const Inputs&, Device)> prepare;
  bool is_peer = false;  // one whose wrong result is left out, and fails nothing
};

/// The kernels of kernels/lstm.h, gru.h and rnn.h on the device.
Contender unroll_contender();

/// A function of the contract in kernels/lstm.h whose pointers are memory of the device; it queues
/// its kernels on the thread's current stream.
using GpuLstmForward = std::function<void(const LstmShape&, const LstmForward<float>&)>;

/// Asked for what bench/own_kernel.h says, but from a zero state and in float32 alone; with lengths
/// only if it takes them.
Contender lstm_forward_contender(const std::string& name, const GpuLstmForward& kernel,
                                 bool takes_lengths = false);

// ---- For contenders

/// The elements on the device, as `dtype`.
Tensor on_device(const Tensor& x, Dtype dtype, Device device);
/// What lies on a device, on the host and in float64.
Tensor from_device(const Tensor& x);
/// Every byte 0xff: NaN in all types of numbers.
void poison(Tensor& x);
/// Every byte 0.
void clear(Tensor& x);

}  // namespace unroll::bench
