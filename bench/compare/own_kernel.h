// A user's LSTM forward as a contender of bench/compare: bench/own_kernel.h says what it must do.
//
//   int main() { return unroll::compare::serve_lstm_forward("mine 1.0", mine); }
//
//   scripts/compare.sh --op lstm --pass forward --also ./mine    # beside ours, oneDNN and PyTorch
#pragma once

#include <string>

#include "bench/own_kernel.h"

namespace unroll::compare {

/// Answers the driver's lines as serve() does, for forward passes of LSTMs over full sequences.
int serve_lstm_forward(const std::string& title, const bench::LstmForwardKernel& kernel);

}  // namespace unroll::compare
