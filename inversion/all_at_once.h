// Inversion of one sequence with all its unknowns at once: for final states, for readouts of fewer
// numbers than inputs, both directions, and unknown initial states.
//
//   AllAtOnce found = invert_all_at_once(facts, y);      // y [1,m]; found.row [1,n]
//
// Levenberg-Marquardt, in turn: from a given start; from zero; by continuation, |F(x) - y|^2 +
// mu |x|^2 with mu from 1 to 1e-30, which holds x short while the residual is large; from random
// starts, of which half see the residual whitened by the covariance of the facts of random inputs,
// so that no direction of the state is drowned by the largest. It ends at the first root, or goes
// on to look for others. With fewer facts than unknowns every root is one of many; see
// map_estimate.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "inversion/observation.h"

namespace UNROLL_API unroll {

/// How the root was found.
enum class Method : std::uint8_t {
  none,
  stepwise,
  given_start,
  gauss_newton,  // LM from zero
  continuation,
  multistart,
  prior,  // the most probable of many
};
const char* name(Method method) noexcept;

struct AllAtOnceOptions {
  std::int64_t starts = 40;  // random ones
  std::uint64_t seed = 1;
  double enough = 1e-13;   // root mean square residual of a root
  Tensor start;            // [1,n] or undefined
  bool all_roots = false;  // go on after the first root
  double scale = 1;        // standard deviation of the inputs that are expected
  std::int64_t iterations = 300;
  const std::atomic<bool>* stop = nullptr;  // true: ends with Error
};

struct AllAtOnce {
  Tensor row;                    // [1,n]: the root, or the closest there is; on the facts' device
  double residual = 0;           // its root mean square
  Method method = Method::none;  // none: no root was found
  std::vector<Tensor> roots;     // distinct, [1,n] each, the returned one first
  std::int64_t starts = 0;       // random ones that were tried
  std::int64_t stalled = 0;      // of these, without a root
};

/// y [1,m]. Throws Error for another shape or device than the facts'.
AllAtOnce invert_all_at_once(const Facts& facts, const Tensor& y,
                             const AllAtOnceOptions& options = {});

/// What is known of the unknowns before anything was seen: mean [n] and covariance [n,n], float64
/// on any device.
struct Prior {
  Tensor mean, covariance;
  /// Of samples [count,n], with `jitter` times the mean variance on the diagonal.
  static Prior of_samples(const Tensor& samples, double jitter = 1e-9);
};

/// The most probable unknowns [1,n] under a Gaussian prior and facts with errors of standard
/// deviation `sd`: min |F(x) - y|^2 / sd^2 + (x - mean)^T covariance^-1 (x - mean), by
/// Levenberg-Marquardt from the mean, with sd falling from 1. Of a linear encoder the linear
/// minimum-mean-square estimate. On the facts' device, as y. Throws Error where the covariance is
/// not positive definite, or shapes or devices do not fit.
Tensor map_estimate(const Facts& facts, const Tensor& y, const Prior& prior, double sd = 1e-8);

}  // namespace unroll
