// Least squares by gradients alone, for comparison with Levenberg-Marquardt: L-BFGS and Adam on
// |F(x) - y|^2 / 2 of one sequence.
//
//   Tensor row = lbfgs(facts, y, zeros({1, facts.unknowns()}, Dtype::float64));
//
// Neither is what an inversion should use: their rate depends on the condition of J^T J, which is
// that of J squared (CLAIMS: claim 23). y, the start and the result are on the facts' device. Both
// throw Error where they are not. Thread-safe; nothing is recorded.
#pragma once

#include "inversion/observation.h"

namespace UNROLL_API unroll {

struct LbfgsOptions {
  std::int64_t iterations = 2000;
  std::int64_t memory = 20;  // pairs of steps and changes of the gradient
};
/// From start [1,n]; y [1,m]. Two-loop recursion and a backtracking line search (Nocedal & Wright
/// 2006, algorithms 7.4 and 3.1). Ends where no step lowers the residual.
Tensor lbfgs(const Facts& facts, const Tensor& y, const Tensor& start,
             const LbfgsOptions& options = {});

struct DescentOptions {
  std::int64_t iterations = 2000;
  double lr = 0.05;  // with cosine decay to a hundredth
};
/// By Adam (Kingma & Ba 2015).
Tensor adam_descent(const Facts& facts, const Tensor& y, const Tensor& start,
                    const DescentOptions& options = {});

}  // namespace unroll
