// Simple (Elman) RNN as one differentiable op: h[t] = activation(W_ih x[t] + b_ih + W_hh h[t-1] +
// b_hh), as torch.nn.RNN with one layer and one direction.
//
//   RnnOut out = rnn(x, {}, w_ih, w_hh, b_ih, b_hh);     // out.y [T,N,H], out.h_n [N,H]
//
// Thread-safe. Kernels and math: kernels/rnn.h.
#pragma once

#include "autograd/recurrent_stack.h"
#include "core/lengths.h"
#include "core/tensor.h"
#include "kernels/rnn.h"

namespace UNROLL_API unroll {

/// What an RNN gives.
struct RnnOut {
  Tensor y;    // [T,N,H]: h at every step, zero at padding
  Tensor h_n;  // [N,H]: h after each sequence's run
};

/// x [T,N,I], h_0 [N,H] (undefined: zero), weight_ih [H,I], weight_hh [H,H], bias_ih and bias_hh
/// [H] (undefined: none). With lengths, padding of x is never read. Reversed, a sequence runs from
/// its last valid step to its first; y keeps the order of x. Throws Error for shapes or dtypes that
/// do not fit, T < 1, or lengths beyond T.
RnnOut rnn(const Tensor& x, const Tensor& h_0, const Tensor& weight_ih, const Tensor& weight_hh,
           const Tensor& bias_ih = {}, const Tensor& bias_hh = {}, const Lengths& lengths = {},
           RnnActivation activation = RnnActivation::tanh, bool reverse = false);

/// The same function made of small ops: the test oracle, and what recorded sweeps differentiate.
RnnOut rnn_twin(const Tensor& x, const Tensor& h_0, const Tensor& weight_ih,
                const Tensor& weight_hh, const Tensor& bias_ih = {}, const Tensor& bias_hh = {},
                const Lengths& lengths = {}, RnnActivation activation = RnnActivation::tanh,
                bool reverse = false);

/// The same with every option of the cell: kernels/recurrent.h. Where `random` is given, masks are
/// drawn, and it is advanced. Throws Error as above, and for options out of range or of another
/// family.
RnnOut rnn_layer(const Tensor& x, const Tensor& h_0, const RecurrentWeights& weights,
                 const CellOptions& cell, const Lengths& lengths = {}, Random* random = nullptr,
                 RnnActivation activation = RnnActivation::tanh, bool reverse = false);
RnnOut rnn_layer_twin(const Tensor& x, const Tensor& h_0, const RecurrentWeights& weights,
                      const CellOptions& cell, const Lengths& lengths = {},
                      Random* random = nullptr, RnnActivation activation = RnnActivation::tanh,
                      bool reverse = false, const CellActivations& activations = {});

/// The layers of a torch.nn.RNN: shapes as RecurrentStack says. Dropout and zoneout draw where
/// `random` is given, and advances it. Throws as rnn, and where the weights are not those of whole
/// layers.
RnnOut rnn_stack(const Tensor& x, const Tensor& h_0, const RecurrentStack& stack,
                 const Lengths& lengths = {}, Random* random = nullptr,
                 RnnActivation activation = RnnActivation::tanh);

}  // namespace unroll
