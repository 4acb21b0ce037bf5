// A worker of bench/compare: one contender in a process of its own, which the driver (compare.py)
// asks for results and times by lines on standard input.
//
//   int main() { return unroll::compare::serve("mine 1.0", prepare); }
//
// On start a worker says "ready NAME VERSION". Then each line is answered by one line:
//
//   prepare OP PASS N T I H FOLDER   reads FOLDER/*.npy, makes all that calls need       ok
//   write FOLDER                     one call, its results to FOLDER/*.npy               ok
//   run COUNT                        that many calls in a row                            SECONDS
//   peak                             GFLOP/s of fused multiply-adds on all threads       NUMBER
//
// "error TEXT" answers what cannot be done. The end of input ends the worker. OP is rnn, lstm, gru
// or attention; PASS is forward (inference) or step (forward, then backward to all inputs and
// weights). Inputs of a recurrent op: x [T,N,I], w_ih, w_hh, b_ih, b_hh in PyTorch's shapes, u
// [T,N,H] the cotangent of y, and perhaps lengths [N]; of attention, where I is the number of heads
// and H the width of one: q, k, v, u [N,I,T,H]. Results: y, h_n, c_n, and for a step d followed by
// an input's name.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "core/tensor.h"

namespace unroll::compare {

/// One line of a table.
struct Problem {
  std::string op, pass;
  std::int64_t N = 0, T = 0, I = 0, H = 0;
  std::string folder;

  bool is_step() const { return pass == "step"; }
  /// The input of that name. Throws Error where the file is missing or malformed.
  Tensor input(const std::string& name) const;
  bool has(const std::string& name) const;
};

/// A result of a call.
struct Named {
  std::string name;
  Tensor value;
};

/// What is timed, and the same with results.
struct Job {
  std::function<void()> call;
  std::function<std::vector<Named>()> results;
};

/// Answers lines until the input ends; `title` is "NAME VERSION". `prepare` throws what derives
/// from std::exception for a problem that the contender cannot do. With UNROLL_COMPARE_SPOIL set in
/// the environment one number of each result is off by 1 %: a check of the driver's checks.
int serve(const std::string& title, const std::function<Job(const Problem&)>& prepare,
          const std::function<double()>& peak = {});

}  // namespace unroll::compare
