// Initial values of parameters, written in place.
//
//   Random random(1);
//   init::uniform(w, 0.25, random);
//   init::orthogonal(w_hh, random);
#pragma once

#include "core/random.h"
#include "core/tensor.h"

namespace UNROLL_API unroll {
namespace init {

/// U(-bound, bound).
void uniform(Tensor& x, double bound, Random& random);

/// Random orthogonal rows or columns, whichever are fewer, uniformly distributed (Saxe, McClelland
/// & Ganguli 2014; Mezzadri 2007), times `gain`. Throws Error unless x is a matrix.
void orthogonal(Tensor& x, Random& random, double gain = 1);

}  // namespace init
}  // namespace unroll
