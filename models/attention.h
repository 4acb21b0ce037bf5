// Attention layers: torch.nn.MultiheadAttention, and the scores of Bahdanau and Luong over
// time-first sequences, under the rules of models/layers.h.
//
//   MultiheadAttention attend(parameters, "attention", 512, 8);
//   attend.reset(random);
//   AttentionOut out = attend(q, k, v, {.causal = true});          // out.context [L,N,512]
//
// The scores are computed in tiles: no buffer of queries times keys, but where weights are asked
// for. Calls are thread-safe while nobody writes the parameters.
#pragma once

#include <string>

#include "autograd/attention.h"
#include "autograd/parameters.h"
#include "core/random.h"

namespace UNROLL_API unroll {

/// How the layer is made: PyTorch's options.
struct MultiheadOptions {
  bool bias = true;
  bool add_bias_kv = false;         // one more key and value, which are parameters
  bool add_zero_attn = false;       // one more key and value, which are zero
  std::int64_t kdim = 0, vdim = 0;  // features of keys and values; 0: as the queries
  bool batch_first = false;         // [N,T,*] instead of [T,N,*]
  double dropout = 0;               // of the weights, in calls that are given random numbers
};

/// What changes from call to call.
struct MultiheadCall {
  Tensor key_padding_mask = {};  // bool [N,S], true: the key is ignored
  Tensor attn_mask = {};         // [L,S] or [N heads,L,S]; bool: true is masked; else it is added
  bool causal = false;           // the same as an attn_mask above the diagonal, at no cost
  Lengths key_lengths = {};      // as a key_padding_mask behind them, without the work
  bool need_weights = false;
  bool average_attn_weights = true;  // [N,L,S], else [N,heads,L,S]
  Random* dropout = nullptr;         // training: draws the mask of the dropout; null: evaluation
};

/// The parameters under PyTorch's names. Either in_proj_weight [3E,E] or the three others, [E,E],
/// [E,kdim] and [E,vdim]; in_proj_bias [3E], bias_k and bias_v [1,1,E] may be undefined.
struct MultiheadWeights {
  Tensor in_proj_weight, q_proj_weight, k_proj_weight, v_proj_weight, in_proj_bias;
  Tensor bias_k, bias_v, out_proj_weight, out_proj_bias;
};

/// torch.nn.functional.multi_head_attention_forward: q [L,N,E], k [S,N,kdim], v [S,N,vdim], or with
/// N first, or all without N. Context as q; weights as MultiheadCall says. A query whose keys are
/// all masked has context out_proj.bias and weights 0 (PyTorch: NaN). Throws Error for shapes,
/// dtypes or options that do not fit.
AttentionOut multihead_attention(const Tensor& q, const Tensor& k, const Tensor& v,
                                 const MultiheadWeights& weights, std::int64_t heads,
                                 const MultiheadOptions& options = {},
                                 const MultiheadCall& call = {});

/// torch.nn.MultiheadAttention.
class MultiheadAttention {
 public:
  /// Throws Error unless `embed` is a multiple of `heads`.
  MultiheadAttention(Parameters& parameters, const std::string& prefix, std::int64_t embed,
                     std::int64_t heads, MultiheadOptions options = {});
  /// As PyTorch: projections uniform (Glorot & Bengio 2010), biases 0, bias_k and bias_v normal.
  void reset(Random& random);
  AttentionOut operator()(const Tensor& q, const Tensor& k, const Tensor& v,
                          const MultiheadCall& call = {}) const {
    return multihead_attention(q, k, v, weights_, heads_, options_, call);
  }

 private:
  std::int64_t heads_;
  MultiheadOptions options_;
  MultiheadWeights weights_;
};

/// Bahdanau's score vector . tanh(W q + U k): query_weight [A,Q], key_weight [A,K], vector [A].
class AdditiveAttention {
 public:
  AdditiveAttention(Parameters& parameters, const std::string& prefix, std::int64_t query_size,
                    std::int64_t key_size, std::int64_t size);
  /// Uniform within 1 / sqrt of the size that each multiplies.
  void reset(Random& random);
  /// q [Tq,N,Q], keys [Tk,N,K], values [Tk,N,*]; as bahdanau_attention.
  AttentionOut operator()(const Tensor& q, const Tensor& keys, const Tensor& values,
                          const AttentionOptions& options = {}) const;

 private:
  Tensor query_weight_, key_weight_, vector_;
};

/// Luong 2015, section 3.1: q . k, q . W k, or vector . tanh(W [q; k]).
enum class LuongScore { dot, general, concat };

/// general: weight [Q,K]. concat: weight [A,Q+K], vector [A]. dot: no parameters, Q == K.
class LuongAttention {
 public:
  /// `size` is A. Throws Error for a dot score of different sizes.
  LuongAttention(Parameters& parameters, const std::string& prefix, LuongScore score,
                 std::int64_t query_size, std::int64_t key_size, std::int64_t size = 0);
  void reset(Random& random);
  /// q [Tq,N,Q], keys [Tk,N,K], values [Tk,N,*]; as luong_attention.
  AttentionOut operator()(const Tensor& q, const Tensor& keys, const Tensor& values,
                          const AttentionOptions& options = {}) const;

 private:
  LuongScore score_;
  Tensor weight_, vector_;
};

}  // namespace unroll
