// Discrete tokens: which sequence of V embeddings did an encoder read?
//
//   Decoded back = decode_tokens(encoder, embedding, outputs);        // every h_t was seen
//   TokenCensus all = token_census(encoder, embedding, 5);            // the last states of all V^5
//   Tensor tokens = nearest_sequences(all, last).tokens;              // only h_T was seen
//
// A finite set of inputs is easier than a continuous one: two sequences have the same last state
// only by accident (Nikolaou et al., "Language Models are Injective and Hence Invertible", arXiv
// 2510.15511), so what limits decoding is rounding and search, not counting. Where every step was
// seen, the search is T runs of V candidates. Where only the last state was, it is a census of V^T.
//
// Tokens are int64 [T,N], 0 <= token < V. An embedding is [V,I] float64. Nothing is recorded;
// functions are thread-safe. All throw Error for shapes that do not fit and values that are not
// finite.
#pragma once

#include <vector>

#include "models/encoder.h"

namespace UNROLL_API unroll {

struct DecodeOptions {
  EncoderState initial = {};  // what every run starts from: undefined zero, or N of 1 or N
  // What counts as equal: largest |difference| of an output; 0: rounding of the outputs' dtype.
  double tolerance = 0;
  std::int64_t beam = 16;        // sequences kept where several fit
  std::int64_t batch = 1 << 14;  // candidates run at a time
};

struct Decoded {
  Tensor tokens;  // int64 [T,N]
  // Of each sequence: largest |difference| between what was seen and a run of the tokens that
  // starts each step from what was seen; and the smallest of the second best token of a step.
  std::vector<double> distance, margin;
  // Other sequences that fit as well, up to the beam: above 0 the tokens are one choice of several.
  std::vector<std::int64_t> alternatives;
  double tolerance = 0;
  /// All fit, and no other does.
  bool is_exact() const noexcept;
};

/// From the outputs of every step, y [T,N,D*P] of the last layer, real or half. Each token is tried
/// from the state before: the h that was seen, and the run's own c and lower layers. Where several
/// fit, all are kept (up to the beam), and later steps decide. Of one layer in both directions the
/// forward half is used. Throws Error for several layers in both directions, whose steps have no
/// order.
Decoded decode_tokens(const Encoder& encoder, const Tensor& embedding, const Tensor& outputs,
                      const DecodeOptions& options = {});

struct CensusOptions {
  std::int64_t most = 1 << 20;  // sequences; more are refused
};

/// The last states, from zero, of all V^T sequences. Sequence i holds the digits of i in base V,
/// the first token first.
struct TokenCensus {
  std::int64_t V = 0, T = 0;
  Tensor states;  // [V^T,D*P] float64: y_T, or both directions' last states
  /// Different states after rounding to a type.
  struct Distinct {
    Dtype dtype;
    std::int64_t count;
  };
  std::vector<Distinct> distinct;  // float64, float32, float16, bfloat16
  double smallest_gap = 0;         // Euclidean, of the two states nearest to each other
  Tensor nearest;                  // int64 [T,2]: their tokens

  /// How many there are; their tokens.
  std::int64_t sequences() const noexcept { return states.shape()[0]; }
  Tensor tokens_of(std::int64_t sequence) const;  // int64 [T]
};

/// Throws Error where there are more than `most` sequences, naming a T that is few enough.
TokenCensus token_census(const Encoder& encoder, const Tensor& embedding, std::int64_t T,
                         const CensusOptions& options = {});

struct NearestSequences {
  Tensor tokens;                 // int64 [T,N]
  std::vector<double> distance;  // Euclidean, of the state from that of the tokens
  std::vector<double> margin;    // the same of the second nearest sequence
};
/// The sequences whose states are nearest to last [N,D*P].
NearestSequences nearest_sequences(const TokenCensus& census, const Tensor& last);

/// An embedding as float64. Throws Error, naming `op`, unless it is [V,I] of finite numbers.
Tensor token_embedding(const char* op, const Encoder& encoder, const Tensor& embedding);

}  // namespace unroll
