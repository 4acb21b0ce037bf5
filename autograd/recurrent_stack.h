// What torch.nn.RNN, LSTM and GRU make of one layer: several of them, in both directions.
//
//   RecurrentStack stack{.weights = {l0, l0_reverse, l1, l1_reverse}, .bidirectional = true};
//   LstmOut out = lstm_stack(x, {}, {}, stack, lengths);     // out.y [T,N,2H], h_n, c_n [4,N,H]
//
// A layer reads the outputs of the one below it. With two directions, one run of each layer goes
// from a sequence's first valid step to its last and one from its last to its first; their outputs
// lie side by side. Plain data that shares the tensors it is given; a call is thread-safe.
#pragma once

#include <functional>
#include <vector>

#include "core/lengths.h"
#include "core/random.h"
#include "core/tensor.h"

namespace UNROLL_API unroll {

/// The tensors of one direction of a layer, G gates: the biases may be undefined. w_ih is [G*H,I]
/// in the first layer and [G*H,D*P] above, with D = 1 or 2 directions; w_hh is [G*H,P]. P is H, but
/// for a projection. The rest belongs to options of the LSTM (kernels/lstm.h): undefined, they are
/// off.
struct RecurrentWeights {
  Tensor w_ih, w_hh, b_ih, b_hh;
  Tensor w_hr;                                   // projection [P,H]
  Tensor peephole;                               // [3,H]: i, f, o
  Tensor norm_ih, norm_hh, norm_c, norm_c_bias;  // layer norm: [4H], [4H], [H], [H]; all or none
};

/// What else changes the cell; kernels/recurrent.h has the formulas. Dropout acts where a call is
/// given a Random, and zoneout is random there; without one, zoneout blends.
struct CellOptions {
  double clip = 0;                      // of what the activations see; 0: none
  double zoneout_h = 0, zoneout_c = 0;  // rates in [0,1]; zoneout_c for the LSTM
  double dropout = 0;                   // recurrent, rate in [0,1)
  bool reset_first = false;             // GRU: the reset gate acts before the product
  bool coupled = false;                 // LSTM: the forget gate is 1 - the input gate
  // A recorded call keeps the states at about the root of T steps and no gates; each sweep runs the
  // forward pass anew, segment by segment. Sweeps give the same bits but for the gradients of the
  // parameters, whose sums over the steps are split elsewhere.
  bool recompute = false;
};

/// Activations in place of the standard ones, for the twins alone: small ops that are
/// differentiable. Undefined: the standard one.
struct CellActivations {
  std::function<Tensor(const Tensor&)> gate;       // sigmoid
  std::function<Tensor(const Tensor&)> candidate;  // tanh; of the RNN the only one
  std::function<Tensor(const Tensor&)> output;     // LSTM: tanh of the cell state
};

/// L layers of D directions. The calls take and give what PyTorch's modules do: x [T,N,I], or
/// [N,T,I] where batch_first, or [T,I] for one sequence without a batch; y as x, D*P wide; h_0 and
/// h_n [L*D,N,P], c_0 and c_n [L*D,N,H], without N where there is no batch; h_0 and c_0 undefined:
/// zero.
struct RecurrentStack {
  std::vector<RecurrentWeights> weights;  // L*D: l0, l0_reverse, l1, ...
  bool bidirectional = false;             // D = 2
  bool batch_first = false;
  double dropout = 0;        // of the outputs of every layer but the last, where a Random is given
  bool variational = false;  // one mask for all steps of a sequence (Gal & Ghahramani 2016)
  CellOptions cell = {};
};

}  // namespace unroll
