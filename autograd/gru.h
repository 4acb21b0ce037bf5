// GRU as one differentiable op, as torch.nn.GRU with one layer and one direction: the reset gate
// acts after the product.
//
//   GruOut out = gru(x, {}, w_ih, w_hh, b_ih, b_hh);     // out.y [T,N,H], out.h_n [N,H]
//
// Thread-safe. Kernels and math: kernels/gru.h.
#pragma once

#include "autograd/recurrent_stack.h"
#include "core/lengths.h"
#include "core/tensor.h"

namespace UNROLL_API unroll {

/// What a GRU gives.
struct GruOut {
  Tensor y;    // [T,N,H]: h at every step, zero at padding
  Tensor h_n;  // [N,H]: h after each sequence's run
};

/// x [T,N,I], h_0 [N,H] (undefined: zero), weight_ih [3H,I], weight_hh [3H,H], bias_ih and
/// bias_hh [3H] (undefined: none), gates in PyTorch's order. With lengths, padding of x is never
/// read. Reversed, a sequence runs from its last valid step to its first; y keeps the order of x.
/// Throws Error for shapes or dtypes that do not fit, T < 1, or lengths beyond T.
GruOut gru(const Tensor& x, const Tensor& h_0, const Tensor& weight_ih, const Tensor& weight_hh,
           const Tensor& bias_ih = {}, const Tensor& bias_hh = {}, const Lengths& lengths = {},
           bool reverse = false);

/// The same function made of small ops: the test oracle, and what recorded sweeps differentiate.
GruOut gru_twin(const Tensor& x, const Tensor& h_0, const Tensor& weight_ih,
                const Tensor& weight_hh, const Tensor& bias_ih = {}, const Tensor& bias_hh = {},
                const Lengths& lengths = {}, bool reverse = false);

/// The same with every option of the cell: kernels/gru.h. Where `random` is given, masks are drawn,
/// and it is advanced. Throws Error as above, and for options out of range or of another family.
GruOut gru_layer(const Tensor& x, const Tensor& h_0, const RecurrentWeights& weights,
                 const CellOptions& cell, const Lengths& lengths = {}, Random* random = nullptr,
                 bool reverse = false);
GruOut gru_layer_twin(const Tensor& x, const Tensor& h_0, const RecurrentWeights& weights,
                      const CellOptions& cell, const Lengths& lengths = {},
                      Random* random = nullptr, bool reverse = false,
                      const CellActivations& activations = {});

/// The layers of a torch.nn.GRU: shapes as RecurrentStack says. Dropout and zoneout draw where
/// `random` is given, and advances it. Throws as gru, and where the weights are not those of whole
/// layers.
GruOut gru_stack(const Tensor& x, const Tensor& h_0, const RecurrentStack& stack,
                 const Lengths& lengths = {}, Random* random = nullptr);

}  // namespace unroll
