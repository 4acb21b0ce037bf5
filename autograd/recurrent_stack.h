// What torch.nn.RNN, LSTM and GRU make of one layer: several of them, in both directions.
//
//   RecurrentStack stack{.weights = {l0, l0_reverse, l1, l1_reverse}, .bidirectional = true};
//   LstmOut out = lstm_stack(x, {}, {}, stack, lengths);     // out.y [T,N,2H], h_n, c_n [4,N,H]
//
// A layer reads the outputs of the one below it. With two directions, one run of each layer goes
// from a sequence's first valid step to its last and one from its last to its first; their outputs
// lie side by side. Plain data that shares the tensors it is given; a call is thread-safe.
#pragma once

#include <vector>

#include "core/lengths.h"
#include "core/random.h"
#include "core/tensor.h"

namespace unroll {

/// The tensors of one direction of a layer, G gates: the biases may be undefined. w_ih is [G*H,I]
/// in the first layer and [G*H,D*H] above, with D = 1 or 2 directions.
struct RecurrentWeights {
  Tensor w_ih, w_hh, b_ih, b_hh;
};

/// L layers of D directions. The calls take and give what PyTorch's modules do: x [T,N,I], or
/// [N,T,I] where batch_first, or [T,I] for one sequence without a batch; y as x, D*H wide; states
/// [L*D,N,H], or [L*D,H] without a batch; h_0 and c_0 undefined: zero.
struct RecurrentStack {
  std::vector<RecurrentWeights> weights;  // L*D: l0, l0_reverse, l1, ...
  bool bidirectional = false;             // D = 2
  bool batch_first = false;
  double dropout = 0;        // of the outputs of every layer but the last, where a Random is given
  bool variational = false;  // one mask for all steps of a sequence (Gal & Ghahramani 2016)
};

}  // namespace unroll
