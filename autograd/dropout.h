// Dropout: while a model is trained, elements are set to zero at random (Hinton et al. 2012).
//
//   Random random(7);
//   Tensor y = dropout(x, 0.5, random);                    // another mask at each call
//   Tensor z = dropout(x, 0.5, random, {1, N, I});         // x [T,N,I]: one mask for all steps
//
// The mask is a function of the random numbers' seed, stream and counter; these are kept, the mask
// is not. A segment under recompute() must use the same numbers each time it runs: let it own a
// copy of the Random. Thread-safe but for the Random.
#pragma once

#include "core/random.h"
#include "core/tensor.h"

namespace UNROLL_API unroll {

/// x times a mask of zeros (with probability p) and 1 / (1 - p), as torch.nn.functional.dropout.
/// The mask has x's shape, or `mask`, which broadcasts to it. Advances `random`, not for p = 0,
/// which returns x. Throws Error for p outside [0,1], a mask that does not broadcast to x, or
/// dtypes other than float32 and float64.
Tensor dropout(const Tensor& x, double p, Random& random);
Tensor dropout(const Tensor& x, double p, Random& random, const Shape& mask);

}  // namespace unroll
