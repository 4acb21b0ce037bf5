// LSTM as one differentiable op, as torch.nn.LSTM with one layer and one direction.
//
//   LstmOut out = lstm(x, {}, {}, w_ih, w_hh, b_ih, b_hh);   // out.y [T,N,H], h_n, c_n [N,H]
//
// Thread-safe. Kernels and math: kernels/lstm.h.
#pragma once

#include "autograd/recurrent_stack.h"
#include "core/lengths.h"
#include "core/tensor.h"

namespace UNROLL_API unroll {

/// What an LSTM gives.
struct LstmOut {
  Tensor y;    // [T,N,H]: h at every step, zero at padding
  Tensor h_n;  // [N,H]: h after each sequence's run
  Tensor c_n;  // [N,H]: the cell state there
};

/// x [T,N,I], h_0 and c_0 [N,H] (undefined: zero), weight_ih [4H,I], weight_hh [4H,H], bias_ih and
/// bias_hh [4H] (undefined: none), gates in PyTorch's order. With lengths, padding of x is never
/// read. Reversed, a sequence runs from its last valid step to its first; y keeps the order of x.
/// Throws Error for shapes or dtypes that do not fit, T < 1, or lengths beyond T.
LstmOut lstm(const Tensor& x, const Tensor& h_0, const Tensor& c_0, const Tensor& weight_ih,
             const Tensor& weight_hh, const Tensor& bias_ih = {}, const Tensor& bias_hh = {},
             const Lengths& lengths = {}, bool reverse = false);

/// The same function made of small ops: the test oracle, and what recorded sweeps differentiate.
LstmOut lstm_twin(const Tensor& x, const Tensor& h_0, const Tensor& c_0, const Tensor& weight_ih,
                  const Tensor& weight_hh, const Tensor& bias_ih = {}, const Tensor& bias_hh = {},
                  const Lengths& lengths = {}, bool reverse = false);

/// The same with every option of the cell: h_0, h_n and y are P wide where there is a
/// projection. Where `random` is given, masks are drawn, and
/// it is advanced. Throws Error as above, and for options out of range or of another family.
/// `coupled` (Greff et al. 2017; ONNX's input_forget): the forget gate is 1 - i, and the rows that
/// would make it are not used. It does not go with a layer norm, nor with another gate's activation
/// than the sigmoid.
LstmOut lstm_layer(const Tensor& x, const Tensor& h_0, const Tensor& c_0,
                   const RecurrentWeights& weights, const CellOptions& cell,
                   const Lengths& lengths = {}, Random* random = nullptr, bool reverse = false);
LstmOut lstm_layer_twin(const Tensor& x, const Tensor& h_0, const Tensor& c_0,
                        const RecurrentWeights& weights, const CellOptions& cell,
                        const Lengths& lengths = {}, Random* random = nullptr, bool reverse = false,
                        const CellActivations& activations = {});

/// The layers of a torch.nn.LSTM: shapes as RecurrentStack says. Dropout and zoneout draw where
/// `random` is given, and advances it. Throws as lstm, and where the weights are not those of whole
/// layers.
LstmOut lstm_stack(const Tensor& x, const Tensor& h_0, const Tensor& c_0,
                   const RecurrentStack& stack, const Lengths& lengths = {},
                   Random* random = nullptr);

}  // namespace unroll
