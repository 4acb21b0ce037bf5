// Luong attention of decoder queries over encoder outputs, with key lengths (Luong, Pham & Manning,
// "Effective approaches to attention-based neural machine translation", 2015, section 3.1).
//
//   AttentionOut out = attention(q, keys, values, lengths);     // dot score
//   AttentionOut out = attention(matmul(q, w), s, s, lengths);  // general score q^T W s
//
// Thread-safe. Kernels: kernels/attention.h.
#pragma once

#include "core/lengths.h"
#include "core/tensor.h"

namespace unroll {

struct AttentionOut {
  Tensor context;  // [Tq,N,D]
  Tensor weights;  // [N,Tq,Tk]: softmax over the valid keys, 0 elsewhere
};

/// score[n,i,j] = scale q[i,n,:] . keys[j,n,:]; q [Tq,N,H], keys [Tk,N,H], values [Tk,N,D]. Keys
/// and values beyond a sequence's length, and queries beyond theirs, are never read; outputs there,
/// and for a sequence without keys, are 0. Throws Error for shapes or dtypes that do not fit.
AttentionOut attention(const Tensor& q, const Tensor& keys, const Tensor& values,
                       const Lengths& key_lengths = {}, const Lengths& query_lengths = {},
                       double scale = 1);

/// The same function made of small ops: the test oracle, and what recorded sweeps differentiate.
AttentionOut attention_twin(const Tensor& q, const Tensor& keys, const Tensor& values,
                            const Lengths& key_lengths = {}, const Lengths& query_lengths = {},
                            double scale = 1);

}  // namespace unroll
