// Your own LSTM forward beside ours: a function of the contract in kernels/lstm.h, checked against
// the definition in float64, then timed.
//
//   void mine(const LstmShape& s, const LstmForward<float>& p);
//   int main() { unroll::bench::try_lstm_forward("mine", mine); }   // prints a table
//
// Of the contract this much is asked for: inference of one run over full sequences, biases given,
// no options. h [T+1,N,H] and c [T+1,N,H] are dense; index 0 holds a state that is not zero, 1..T
// are to be written; y, h_n, c_n and saved are null. scratch and packed are as large as our kernel
// needs (cpu::lstm_sizes); a kernel that needs more brings it. `packs` is true in the first call at
// a size, and false in those that follow: what the first left in `packed` is still there then.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "bench/turns.h"
#include "bench/work.h"
#include "kernels/lstm.h"

namespace unroll::bench {

using LstmForwardKernel = std::function<void(const LstmShape&, const LstmForward<float>&)>;

/// A kernel with all that it reads and writes.
class LstmForwardRun {
 public:
  /// x, w_ih, w_hh, b_ih, b_hh as recurrent_inputs() makes them, h_0 and c_0 [N,H]; all float32 and
  /// dense.
  LstmForwardRun(LstmForwardKernel kernel, const Tensors& inputs, const Tensor& h_0,
                 const Tensor& c_0);

  void call();
  /// Calls it with NaN in all that it is to write. h [T,N,H] and c [T,N,H] of all steps.
  Tensors results();
  /// Whether the initial state is as it was.
  bool keeps_start() const;

 private:
  LstmForwardKernel kernel_;
  Tensors inputs_, start_;
  LstmShape shape_;
  Tensor h_, c_, scratch_, packed_;
  LstmForward<float> arguments_;
};

struct KernelRow {
  Size size;
  double error, ms, ours_ms;
};

/// Checks `kernel` at all sizes, then times it in turn with ours, prints a table to stdout and
/// returns its rows. Throws Error, naming the size, where h or c is off by more than `tolerance` by
/// Reference, in the first call or in one that finds its weights packed, and where the initial
/// state was written over; as require_turns.
std::vector<KernelRow> try_lstm_forward(const std::string& name, const LstmForwardKernel& kernel,
                                        const std::vector<Size>& sizes = usual_sizes("lstm"),
                                        const Turns& turns = {});

}  // namespace unroll::bench
