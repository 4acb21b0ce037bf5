// The input of a plain RNN's step in closed form. Private to inversion/stepwise*.
//
//   f^-1(h_t) = W_ih x_t + b_ih + W_hh h_{t-1} + b_hh
//
// H equations for I unknowns. An error e of h_t is one of e / f'(.) on the left, so rows are
// weighted by f' = 1 - h^2 (tanh); where h is 1 exactly the row says nothing. Of relu the rows with
// h > 0 count.
#pragma once

#include "inversion/observation.h"

namespace unroll::detail {

/// One layer of one direction, linear, tanh or relu, whose h_t is seen at every step.
bool is_closed_form(const Facts& facts) noexcept;

/// Up to this a relu unit counts as off: what noise may lift it to.
double off_level(const Facts& facts) noexcept;

/// y [N,m] and the state before the first step, h [1,N,H] -> x [T,N,I]: at each step the
/// least-squares solution, where its rank is below I a basic one. Solved on the host.
Tensor closed_form(const Facts& facts, const Tensor& y, const Tensor& initial);

}  // namespace unroll::detail
