// Attention with float16 or bfloat16 storage, for GPUs alone: all three passes.
//
//   sim::attention_half<Bfloat16>(shape, {.in = {.q = q, .k = k, .v = v}, .out = out,
//                                         .stats = stats, .scratch = scratch});
//
// All is as in kernels/attention.h, with every option of the shape, except for the types. What has
// a row for each query or key is Stored: Float16 or Bfloat16. That is q, k, v and out, with their
// tangents and cotangents. Each is widened where it is used; scores, weights, statistics, delta and
// all sums are float, and a result is rounded once, to the nearest, where it is written: with beta
// 1 after what is there was added. Beyond the largest float16, 65504, a result is infinite. The
// vector of additive scores, the bias and the weights are float, as their results.
//
// Products are plain multiplications and additions in float, not those of tensor cores: what half
// types save is memory, half of its traffic and of what operands take on the chip. The callers are
// tests, benchmarks and programs that call kernels; no tensor of the library comes here.
#pragma once

#include "core/half.h"
#include "kernels/attention.h"
#include "kernels/backends.h"

namespace unroll {

template <class Stored>
struct AttentionInputsHalf {
  const Stored* q;                // [B,Hq,Tq,D]
  const Stored* k;                // [B,Hk,Tk,D]
  const Stored* v;                // [B,Hk,Tk,Dv]
  const float* vector = nullptr;  // [D]: additive scores only
  const bool* attend = nullptr;   // false where a query may not attend to a key; null: all may
  const float* bias = nullptr;    // added to the scores, or null
};

template <class Stored>
struct AttentionArgsHalf {
  AttentionInputsHalf<Stored> in;
  Stored* out;               // [B,Hq,Tq,Dv]
  float* stats;              // [2,B,Hq,Tq]: the shift of each row of scores and 1 / its sum of exp
  float* weights = nullptr;  // [B,Hq,Tq,Tk] behind the dropout, or null where not wanted
  void* scratch;             // attention_half_scratch(shape) bytes, aligned to 64
};

template <class Stored>
struct AttentionPullHalf {
  AttentionInputsHalf<Stored> in;
  const Stored* out;  // as above, and so stats and weights, which are needed with dweights alone
  const float *stats, *weights = nullptr;
  const Stored* dout = nullptr;     // [K,B,Hq,Tq,Dv], or null for 0
  const float* dweights = nullptr;  // [K,B,Hq,Tq,Tk], or null for 0
  Stored* dq = nullptr;             // [K,B,Hq,Tq,D], or null where not wanted, as all here
  Stored* dk = nullptr;             // [K,B,Hk,Tk,D]
  Stored* dv = nullptr;             // [K,B,Hk,Tk,Dv]
  float* dvector = nullptr;         // [K,D]
  float* dbias = nullptr;           // [K, bias_size]: summed where the bias is broadcast
  void* scratch;                    // attention_half_scratch(shape) bytes, aligned to 64
  double beta_q = 0, beta_k = 0, beta_v = 0, beta_vector = 0, beta_bias = 0;  // 0 writes, 1 adds
};

template <class Stored>
struct AttentionPushHalf {
  AttentionInputsHalf<Stored> in;
  const Stored* out;  // as above, and so stats and weights, which are needed with tweights alone
  const float *stats, *weights = nullptr;
  const Stored *tq = nullptr, *tk = nullptr, *tv = nullptr;  // [K, the shape of q, k, v], or null
  const float* tvector = nullptr;                            // [K,D], or null for 0
  const float* tbias = nullptr;                              // [K, bias_size], or null for 0
  Stored* tout;                                              // [K,B,Hq,Tq,Dv]
  float* tweights = nullptr;  // [K,B,Hq,Tq,Tk], or null where not wanted
  void* scratch;              // attention_half_scratch(shape) bytes, aligned to 64
};

UNROLL_ON_GPU_SHAPE(attention_half_scratch, std::size_t, AttentionShape)
UNROLL_ON_GPU(attention_half, void, AttentionShape, AttentionArgsHalf)
UNROLL_ON_GPU(attention_half_pull, void, AttentionShape, AttentionPullHalf)
UNROLL_ON_GPU(attention_half_push, void, AttentionShape, AttentionPushHalf)

}  // namespace unroll
