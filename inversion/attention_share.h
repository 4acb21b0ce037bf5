// What attention carries past the bottleneck of a reconstruction model of the attention kind.
//
//   AttentionShare a = attention_share(model, x, lengths);     // x [T,N,I]
//   a.share          // 0: the last state carries everything; 1: attention does
//
// At each step the model's last layers see the decoder's own output, which knows the input only
// through the encoder's last state (the bottleneck), and a context, which attention reads from all
// the encoder's outputs. Of the explained part of the input, 1 - NMSE, the share of attention is
// what is lost without the context:
//     share = (NMSE_without - NMSE_whole) / (1 - NMSE_whole), within [0,1].
// "Without" has two readings, and both are given:
// - ablated: the model as trained, each context replaced by the mean context. Its layers have
//   learnt to lean on the context and may leave unread what the bottleneck holds: an upper bound.
// - refitted: the best linear readout of the decoder's outputs alone. It counts as the bottleneck's
//   what training left there unused.
// The mean context and the readout come from the first half of the sequences; every NMSE is of the
// second half, over valid steps.
#pragma once

#include <cstdint>
#include <string>

#include "core/lengths.h"
#include "models/reconstruction.h"

namespace UNROLL_API unroll {

struct AttentionShare {
  double whole = 0, ablated = 0, refitted = 0;  // NMSE
  double share = 0, share_refitted = 0;
  std::int64_t rank = 0;  // of the decoder's outputs that the readout was fitted to
  double condition = 1;
  std::string warning;  // one line where the model explains nothing, or less than without context
};

/// x [T,N,I] in the model's dtype, N at least 2. Unrecorded. Throws Error for a model of another
/// kind, and as score_readout.
AttentionShare attention_share(const Reconstruction& model, const Tensor& x,
                               const Lengths& lengths = {});

}  // namespace unroll
