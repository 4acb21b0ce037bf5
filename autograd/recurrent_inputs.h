// The operands and options of a recurrent layer, and their checks. Private to
// autograd/{rnn,lstm,gru,recurrent_*}.
#pragma once

#include <string>

#include "autograd/operands.h"
#include "autograd/recurrent_stack.h"
#include "kernels/recurrent.h"
#include "kernels/rnn.h"

namespace unroll::detail {

/// The operands that are a run's own; c0 only where there is a cell state. h0, c0 and the biases
/// may be undefined: zero. The last six belong to options of the LSTM.
struct RunInputs {
  static constexpr int count = 12;
  Tensor h0, c0, w_ih, w_hh, b_ih, b_hh, w_hr, peephole, norm_ih, norm_hh, norm_c, norm_c_bias;

  const Tensor& operator[](int i) const { return const_cast<RunInputs&>(*this)[i]; }
  Tensor& operator[](int i) {
    Tensor* const all[count] = {&h0,   &c0,       &w_ih,    &w_hh,    &b_ih,   &b_hh,
                                &w_hr, &peephole, &norm_ih, &norm_hh, &norm_c, &norm_c_bias};
    return *all[i];
  }
  /// P: the numbers in h.
  std::int64_t state_width() const { return w_hh.shape()[1]; }
};

inline RunInputs run_inputs(const Tensor& h_0, const Tensor& c_0, const RecurrentWeights& w) {
  return {h_0,    c_0,        w.w_ih,    w.w_hh,    w.b_ih,   w.b_hh,
          w.w_hr, w.peephole, w.norm_ih, w.norm_hh, w.norm_c, w.norm_c_bias};
}

/// The operands of a layer: x, then those of each run.
struct RecurrentInputs {
  static constexpr int most = 1 + 2 * RunInputs::count;
  Tensor x;
  RunInputs run[2];
  int runs = 1;
  bool reverse = false;  // the only run goes backwards; of two, the second does

  bool reversed(int r) const { return r == 1 || reverse; }
  int count() const { return 1 + runs * RunInputs::count; }
  const Tensor& operator[](int i) const { return const_cast<RecurrentInputs&>(*this)[i]; }
  Tensor& operator[](int i) {
    return i == 0 ? x : run[(i - 1) / RunInputs::count][(i - 1) % RunInputs::count];
  }
};

/// The state, h [N,P] and c [N,H]; c only where there is a cell state.
struct RunState {
  Tensor h, c;
};

/// y [T,N,P] of each run, side by side, and the state after each run's last step.
struct RecurrentOutputs {
  Tensor y;
  RunState last[2];
};

/// What a Family's options are: those of the cell with the source of its masks, which the second
/// run of a layer draws after the first.
struct LayerOptions {
  RecurrentOptions cell;
  bool reset_first = false;                        // GRU
  RnnActivation activation = RnnActivation::tanh;  // RNN
  bool recompute = false;                          // keep no gates for the sweeps
};

/// What can be known of the options before the operands: throws Error for rates and a clip out of
/// range, and for options of another family. Training where there is a Random.
LayerOptions layer_options(const char* op, const CellOptions& cell, const Random* random);

/// The options of run r: its draws begin behind those of the runs before it, or, for r = runs,
/// behind all.
LayerOptions options_of_run(const LayerOptions& options, const RecurrentInputs& in, int gates,
                            int r);

/// Checks dtypes and shapes against [T,N,I], H = w_hh's rows / gates and P. Throws Error.
RecurrentShape recurrent_shape(const char* op, const RecurrentInputs& in, int gates, bool has_cell,
                               const Lengths& lengths);

}  // namespace unroll::detail
