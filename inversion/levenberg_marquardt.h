// Levenberg-Marquardt for a batch of independent small problems: min |r_b(x_b)|^2 for each b.
//
//   Residuals residuals = [&](const Tensor& x, std::span<const std::int64_t> which) {
//     return linearise(x, [&](const Tensor& rows) { return f(rows) - y_of(which); });
//   };
//   LmResult result = levenberg_marquardt(residuals, start);     // start [B,n]
//
// Identity damping: each step solves min |J d + r|^2 + damping |d|^2 on the augmented matrix by QR,
// never by normal equations, which would square the condition. Damping falls tenfold after a step
// that lowers the residual and rises tenfold after one that does not. Problems that have ended are
// left out of later evaluations. Functions are evaluated on the device of the start; steps are
// solved on the host. Source: Levenberg (1944), Marquardt (1963); Nocedal & Wright,
// "Numerical Optimization" (2006), chapter 10.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "core/tensor.h"

namespace UNROLL_API unroll {

/// A function's values and Jacobians at a batch of points.
struct Linearised {
  Tensor r;         // [B,m]
  Tensor jacobian;  // [B,m,n]: of each row's r by its own x
};

/// r and J at x [B',n], of the problems `which` [B'] of the batch. All float64, on one device.
using Residuals = std::function<Linearised(const Tensor& x, std::span<const std::int64_t> which)>;

/// f's value and Jacobians at x [B,n], f being a function of rows: pushes or pulls, whichever are
/// fewer, over one recording, on x's device. f(x) [B,m]; not recorded.
Linearised linearise(const Tensor& x, const std::function<Tensor(const Tensor&)>& f);

/// When to stop, and how carefully to step.
struct LmOptions {
  std::int64_t iterations = 200;
  double damping = 1e-2;     // at first, of the mean square of J's columns
  double least_damping = 0;  // stays above this part of it
  double enough = 0;         // ends where the root mean square of r is at most this
  double progress =
      1e-12;  // ends where a step lowers |r|^2 by less than this part, or moves x by less
};

/// Where each problem ended.
struct LmResult {
  Tensor x;                         // [B,n], on the device of the start
  Linearised at;                    // there; on the CPU
  std::vector<double> residual;     // root mean square of r
  std::vector<std::int64_t> steps;  // evaluations
};

/// From start [B,n]. A problem whose r is not finite at its start keeps it, with an infinite
/// residual.
LmResult levenberg_marquardt(const Residuals& residuals, const Tensor& start,
                             const LmOptions& options = {});

/// Rows of x [B,...] at `which`.
Tensor rows_at(const Tensor& x, std::span<const std::int64_t> which);

}  // namespace unroll
