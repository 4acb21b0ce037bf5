// Attention: scaled dot product (Vaswani et al., "Attention is all you need", 2017), additive
// (Bahdanau, Cho & Bengio, "Neural machine translation by jointly learning to align and translate",
// 2015) and Luong's (Luong, Pham & Manning, "Effective approaches to attention-based neural machine
// translation", 2015).
//
//   AttentionOut out = scaled_dot_product_attention(q, k, v, {.causal = true});
//   AttentionOut out = luong_attention(q, keys, keys, {.key_lengths = lengths});     // dot score
//   AttentionOut out = luong_attention(matmul(q, w), keys, keys);                    // general
//   AttentionOut out = bahdanau_attention(matmul(q, w), matmul(keys, u), keys, v);   // v tanh(..)
//
// No pass, sweeps included, holds a buffer of queries times keys, but for the weights and the
// gradient of a mask where they are asked for. Thread-safe. Kernels: kernels/attention.h.
#pragma once

#include <cstdint>
#include <optional>

#include "core/lengths.h"
#include "core/tensor.h"

namespace UNROLL_API unroll {

/// Both broadcast to the scores, and may be given together.
struct AttentionMask {
  Tensor attend = {};  // bool: true where a query may attend to a key
  Tensor bias = {};    // added to the scores; differentiable; -infinity keeps a query from a key
};

/// Weight number e of [B,Hq,Tq,Tk] is dropped where number e that Random(seed, stream) draws in
/// float64 from `counter` on is below p; the others grow by 1 / (1 - p).
struct AttentionDropout {
  double p = 0;
  std::uint64_t seed = 0, stream = 0, counter = 0;
};

/// What may be left out of a call.
struct AttentionOptions {
  AttentionMask mask = {};
  std::optional<double> scale = {};  // of the scores; where absent each function says
  bool causal = false;               // query i attends to keys 0..i only, as PyTorch
  Lengths key_lengths = {};
  Lengths query_lengths = {};
  AttentionDropout dropout = {};
  bool need_weights = false;
};

/// What attention gives: the weighted values and, on request, the weights.
struct AttentionOut {
  Tensor context;
  Tensor weights;  // behind the dropout; undefined unless they were asked for
};

/// context = softmax(scale q k^T + bias) v for q [B,Hq,Tq,D], k [B,Hk,Tk,D], v [B,Hk,Tk,Dv]:
/// context [B,Hq,Tq,Dv], weights [B,Hq,Tq,Tk]. Query head h reads key head h / (Hq / Hk). Scale 1 /
/// sqrt(D). Rows beyond a sequence's lengths are never read, and outputs there are 0; so are those
/// of a query that may attend to no key. Throws Error for shapes, dtypes or options that do not
/// fit.
AttentionOut scaled_dot_product_attention(const Tensor& q, const Tensor& k, const Tensor& v,
                                          const AttentionOptions& options = {});

/// The same with score = scale vector . tanh(q[i] + k[j]), vector [D]. Scale 1.
AttentionOut additive_attention(const Tensor& q, const Tensor& k, const Tensor& v,
                                const Tensor& vector, const AttentionOptions& options = {});

/// One head, time first: score q[i,n] . keys[j,n] for q [Tq,N,D], keys [Tk,N,D], values [Tk,N,Dv]:
/// context [Tq,N,Dv], weights [N,Tq,Tk]. Scale 1. Masks broadcast to [N,1,Tq,Tk].
AttentionOut luong_attention(const Tensor& q, const Tensor& keys, const Tensor& values,
                             const AttentionOptions& options = {});

/// The same with score vector . tanh(q[i,n] + keys[j,n]), vector [D]. Luong's concat score
/// v . tanh(W [q; k]) is this one with q and keys multiplied by their parts of W.
AttentionOut bahdanau_attention(const Tensor& q, const Tensor& keys, const Tensor& values,
                                const Tensor& vector, const AttentionOptions& options = {});

/// The first two functions made of small ops: the test oracle, and what recorded sweeps
/// differentiate. An undefined vector means dot scores. Weights are always returned.
AttentionOut attention_twin(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& vector,
                            const AttentionOptions& options = {});

}  // namespace unroll
