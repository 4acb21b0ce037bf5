// Checks an LSTM forward of your own against float64, and times it beside ours:
//
//   build/examples/own_kernel
//
// A result that is wrong ends the program with a line that says where. docs/benchmarks.md shows how
// to time it beside oneDNN and PyTorch too.
#include <cstdio>
#include <exception>

#include "bench/own_kernel.h"
#include "examples/own_kernel/my_lstm.h"

int main() try {
  unroll::bench::try_lstm_forward("my_lstm_forward", my_lstm_forward,
                                  {{1, 20, 10, 20}, {3, 7, 5, 33}, {8, 20, 64, 128}});
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
