// Attention in tiles, with online softmax: no [Tq,Tk] buffer in any pass (Milakov & Gimelshein,
// "Online normalizer calculation for softmax", 2018; Dao et al., "FlashAttention", 2022).
//
//   score[i,j] = scale q[i] . k[j]                  dot (Luong 2015; Vaswani et al. 2017)
//              = scale vector . tanh(q[i] + k[j])   additive (Bahdanau, Cho & Bengio 2015)
//   weights = softmax over the allowed j of score + bias;   out[i] = sum_j keep[i,j] weights v[j]
//
//   AttentionShape shape{.batch = B, .heads = Hq, .key_heads = Hk, .queries = Tq, .keys = Tk,
//                        .key_size = D, .value_size = Dv, .scale = scale};
//   cpu::attention<float>(shape, {.q = q, .k = k, .v = v, .out = out, .stats = stats,
//                                 .scratch = scratch});
//
// The passes keep two numbers for each row of scores; the sweeps compute the tiles again. Query
// head h reads key head h / (heads / key_heads). Rows of keys, values and queries beyond their
// length are never read (they may be NaN), and every output there is 0. A query that may attend to
// no key has out, weights and all gradients 0. keep is 1, or with dropout 0 or 1 / (1 - drop).
//
// All tensors are dense but for the two masks. K directions share one forward pass: cotangents and
// tangents have a leading K. All functions are noexcept, allocate nothing, are safe to call from
// several threads on distinct outputs, and give the same bits for any number of threads: each
// element of an output is one sum over tiles in their order.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/backends.h"

namespace unroll {

enum class AttentionScore { dot, additive };

struct AttentionShape {
  std::int64_t batch, heads, key_heads;  // B, Hq, Hk; Hq is a multiple of Hk
  std::int64_t queries, keys;            // Tq, Tk
  std::int64_t key_size, value_size;     // D, Dv
  AttentionScore score = AttentionScore::dot;
  double scale = 1;
  bool causal = false;  // query i may attend to keys 0..i only
  // On a GPU in memory of the device.
  const std::int64_t* key_lengths = nullptr;    // [B], each in 0..Tk; null: all of them
  const std::int64_t* query_lengths = nullptr;  // [B], each in 0..Tq; null: all of them
  // Strides of the masks along [B,Hq,Tq,Tk]; 0 where a mask is broadcast.
  std::int64_t attend_stride[4] = {}, bias_stride[4] = {};
  // The same for tangents and cotangents of the bias, which are dense with bias_size elements each.
  std::int64_t dbias_stride[4] = {}, bias_size = 0;
  // Dropout of the weights: element e of [B,Hq,Tq,Tk] is dropped where element e of
  // Random(seed, stream).uniform(...), drawn in float64 from `counter` on, is below `drop`.
  double drop = 0;
  std::uint64_t seed = 0, stream = 0, counter = 0;
  std::int64_t directions = 1;  // K, for the pullback and the pushforward
};

// What every pass reads.
template <class T>
struct AttentionInputs {
  const T* q;                    // [B,Hq,Tq,D]
  const T* k;                    // [B,Hk,Tk,D]
  const T* v;                    // [B,Hk,Tk,Dv]
  const T* vector = nullptr;     // [D]: additive scores only
  const bool* attend = nullptr;  // false where a query may not attend to a key; null: all may
  const T* bias = nullptr;       // added to the scores, or null
};

template <class T>
struct AttentionArgs {
  AttentionInputs<T> in;
  T* out;                // [B,Hq,Tq,Dv]
  T* stats;              // [2,B,Hq,Tq]: the shift of each row of scores and 1 / its sum of exp
  T* weights = nullptr;  // [B,Hq,Tq,Tk] behind the dropout, or null where not wanted
  void* scratch;         // attention_scratch(shape) bytes, aligned to 64
};

template <class T>
struct AttentionPull {
  AttentionInputs<T> in;
  const T *out, *stats, *weights = nullptr;  // as above; weights only where dweights is given
  const T* dout = nullptr;                   // [K,B,Hq,Tq,Dv], or null for 0
  const T* dweights = nullptr;               // [K,B,Hq,Tq,Tk], or null for 0
  T* dq = nullptr;                           // [K,B,Hq,Tq,D], or null where not wanted, as all here
  T* dk = nullptr;                           // [K,B,Hk,Tk,D]
  T* dv = nullptr;                           // [K,B,Hk,Tk,Dv]
  T* dvector = nullptr;                      // [K,D]
  T* dbias = nullptr;                        // [K, bias_size]: summed where the bias is broadcast
  void* scratch;                             // attention_scratch(shape) bytes, aligned to 64
  double beta_q = 0, beta_k = 0, beta_v = 0, beta_vector = 0, beta_bias = 0;  // 0 writes, 1 adds
};

template <class T>
struct AttentionPush {
  AttentionInputs<T> in;
  const T *out, *stats, *weights = nullptr;  // as above; weights only where tweights is wanted
  const T *tq = nullptr, *tk = nullptr, *tv = nullptr;  // [K, the shape of q, k, v], or null for 0
  const T* tvector = nullptr;                           // [K,D], or null for 0
  const T* tbias = nullptr;                             // [K, bias_size], or null for 0
  T* tout;                                              // [K,B,Hq,Tq,Dv]
  T* tweights = nullptr;                                // [K,B,Hq,Tq,Tk], or null where not wanted
  void* scratch;                                        // attention_scratch(shape) bytes
};

namespace cpu {

// Bytes of scratch for any of the three passes, with the calling thread's present number of
// threads; O(B Hk Tk (D + Dv) + K B Hq Tq). T: float, double.
template <class T>
std::size_t attention_scratch(const AttentionShape&) noexcept;

// Inputs to out, stats and weights. T: float, double.
template <class T>
void attention(const AttentionShape&, const AttentionArgs<T>&) noexcept;

// Cotangents of out and weights to those of the inputs. T: float, double.
template <class T>
void attention_pull(const AttentionShape&, const AttentionPull<T>&) noexcept;

// Tangents of the inputs to those of out and weights. T: float, double.
template <class T>
void attention_push(const AttentionShape&, const AttentionPush<T>&) noexcept;

}  // namespace cpu

UNROLL_ON_GPU_SHAPE(attention_scratch, std::size_t, AttentionShape)
UNROLL_ON_GPU(attention, void, AttentionShape, AttentionArgs)
UNROLL_ON_GPU(attention_pull, void, AttentionShape, AttentionPull)
UNROLL_ON_GPU(attention_push, void, AttentionShape, AttentionPush)
}  // namespace unroll
