// Stepwise inversion: what was seen at a step gives the input of that step, and so on through time,
// for all sequences at once.
//
//   Facts facts(encoder, observation("all"), T);
//   Stepwise found = invert_stepwise(facts, y);        // y [N,m]; found.x [T,N,I]
//
// A block is the k steps from one look at the outputs to the next. The plain RNN of one layer whose
// h_t is seen is solved in closed form: W_ih x_t = f^-1(h_t) - b - W_hh h_{t-1}, rows weighted by
// f'(.) = 1 - h^2 (the error of f^-1), saturated and inactive rows left out. Every other cell is
// solved block by block by Levenberg-Marquardt from zero, jointly through all its layers; then from
// random starts; and where a later block has no root, by going back to other roots of the earlier
// ones. The state is carried along: h as it was seen where it was seen whole, all else as computed.
#pragma once

#include <atomic>
#include <vector>

#include "inversion/observation.h"

namespace UNROLL_API unroll {

/// Whether there is a block for each look and it has no more unknowns than independent facts:
/// outputs at all or every k-th step, one direction, a known initial state, k*I <= width, k
/// dividing T.
bool is_stepwise(const Facts& facts) noexcept;

/// How hard to try, and when a block is solved.
struct StepwiseOptions {
  std::int64_t restarts = 20;  // random starts of a block, and roots tried before it is given up
  std::uint64_t seed = 1;      // of the starts
  bool go_back = true;         // to other roots of earlier blocks, where a block has none
  double enough = 0;           // root mean square residual of a solved block; 0: from `error`
  Tensor error;                // [N]: standard deviation of the facts; undefined: rounding, of
                               // what the outputs' size says
  const std::atomic<bool>* stop = nullptr;  // true: ends with Error
};

/// The input that was found, and how much of it is certain; all on the CPU.
struct Stepwise {
  Tensor x;         // [T,N,I]; after a block without a root, of the closest found
  Tensor residual;  // [blocks,N]: root mean square
  Tensor gain;  // [blocks,N]: largest error of x there for facts with errors of standard deviation
                // 1, carried through the linearised recursion; largest of several samples
  Tensor rank;  // [blocks,N] int64: of the block's Jacobian, k*I where it determines its input
  std::vector<std::int64_t> failed;  // [N]: first block for which no start found a root, or -1
};

/// y [N,m] as Facts gives them. Throws Error unless is_stepwise(facts) and y has that shape and
/// lies on the facts' device.
Stepwise invert_stepwise(const Facts& facts, const Tensor& y, const StepwiseOptions& options = {});

}  // namespace unroll
