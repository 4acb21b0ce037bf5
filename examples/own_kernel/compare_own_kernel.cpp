// The same kernel as a contender beside ours, oneDNN and PyTorch:
//
//   scripts/compare.sh --op lstm --pass forward --also build/bench/compare_own_kernel
#include "bench/compare/own_kernel.h"
#include "examples/own_kernel/my_lstm.h"

int main() { return unroll::compare::serve_lstm_forward("my_lstm_forward 1.0", my_lstm_forward); }
