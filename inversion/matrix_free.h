// Large problems: what products J v and J^T u alone can do, without the Jacobian.
//
//   const JacobianAt at(facts, row);                       // one recording, row [1,n]
//   LsmrResult step = lsmr(at.map(), residual);            // min |J x - residual|
//   ExtremeValues ends = extreme_singular_values(at.map());
//
// A product costs about what one run of the encoder costs, and K of them share a sweep. Vectors are
// float64 rows, on the host, where Krylov spaces grow; the products of JacobianAt are those of the
// facts' device. All is deterministic and does not depend on the number of threads. Sources: Fong &
// Saunders, "LSMR: an iterative algorithm for sparse least-squares problems", SIAM J. Sci. Comput.
// 33 (2011); Golub & Kahan (1965); Golub & Van Loan, "Matrix Computations" (4th ed.), chapter 10.
#pragma once

#include <atomic>
#include <functional>
#include <vector>

#include "autograd/tape.h"
#include "inversion/observation.h"

namespace UNROLL_API unroll {

/// A of m rows and n columns, as products. Takes and gives rows on the CPU.
struct LinearMap {
  std::int64_t m = 0, n = 0;
  std::function<Tensor(const Tensor& v)> apply;       // [K,n] -> [K,m]
  std::function<Tensor(const Tensor& u)> transposed;  // [K,m] -> [K,n]
};
/// Of a dense matrix [m,n].
LinearMap map_of(const Tensor& a);

/// The Jacobian of the facts at one row of unknowns. Lives on the stack, in one thread; what is
/// computed while it lives is best put under NoTape.
class JacobianAt {
 public:
  /// Throws Error where the row is not [1,n].
  JacobianAt(const Facts& facts, const Tensor& row);
  JacobianAt(const JacobianAt&) = delete;
  JacobianAt& operator=(const JacobianAt&) = delete;

  const Tensor& facts() const noexcept { return y_; }  // [1,m], on the facts' device
  /// Refers to this object.
  LinearMap map();

 private:
  NoTape none_;
  Tape tape_;
  Tensor row_, y_;
};

struct LsmrOptions {
  double damping = 0;           // lambda: min |A x - b|^2 + lambda^2 |x|^2
  double tolerance = 1e-14;     // ends where |A^T r| is at most this part of |A^T b|
  std::int64_t iterations = 0;  // at most; 0: 4 min(m,n) + 20, at most 2000
};

struct LsmrResult {
  Tensor x;                     // [K,n]: of least length where there are many
  std::vector<bool> converged;  // [K]: to the tolerance, else the iterations ran out
  std::int64_t iterations = 0;
};

/// Least squares for each b [K,m] from zero. Vectors of the Krylov space are kept orthogonal to all
/// earlier ones, as memory allows. What lies along singular values below sqrt(tolerance) of the
/// largest is resolved only in part. Throws Error where b does not fit.
LsmrResult lsmr(const LinearMap& a, const Tensor& b, const LsmrOptions& options = {});

/// The ends of the singular spectrum, and estimates of all of it.
struct ExtremeValues {
  double largest = 0, smallest = 0;
  /// There is a singular value within this of each. `smallest` is never below the true one, but for
  /// rounding; where its error is not small, the true one may be far below.
  double largest_error = 0, smallest_error = 0;
  bool converged = false;     // smallest_error <= 1 % of it, or the whole space was seen
  double effective_rank = 0;  // estimate; see identifiability.h
  Tensor values;              // [k], descending: Ritz values, k <= min(m,n)
  double condition() const noexcept { return smallest > 0 ? largest / smallest : 1 / smallest; }
};

/// By k = at most `steps` steps of Golub-Kahan-Lanczos from a random vector, with full
/// reorthogonalisation. The effective rank is that of the quadrature which the steps make of the
/// spectrum (Golub & Meurant, "Matrices, Moments and Quadrature" (2010), chapter 7).
ExtremeValues extreme_singular_values(const LinearMap& a, std::int64_t steps = 300,
                                      std::uint64_t seed = 1);

struct MatrixFreeOptions {
  std::int64_t iterations = 100;
  double damping = 1e-2;  // at first, of the mean square of J's columns
  double enough = 0;      // ends where the root mean square residual is at most this
  double progress = 1e-12;
  const std::atomic<bool>* stop = nullptr;  // true: ends with Error
};

struct MatrixFreeResult {
  Tensor row;           // [1,n], on the facts' device
  double residual = 0;  // root mean square there; infinite where the start's is not finite
  std::int64_t steps = 0;
};

/// min |F(x) - y|^2 from start [1,n], y [1,m]: Levenberg-Marquardt as
/// inversion/levenberg_marquardt.h has it, each step by lsmr to a tolerance that falls with the
/// residual (inexact Newton: Dembo, Eisenstat & Steihaug 1982). Throws Error for other shapes, and
/// another device than the facts'.
MatrixFreeResult levenberg_marquardt_matrix_free(const Facts& facts, const Tensor& y,
                                                 const Tensor& start,
                                                 const MatrixFreeOptions& options = {});

/// What the facts say near one point, by K random vectors through lsmr.
struct SampledAnalysis {
  bool converged = false;  // else gain and lost are too small, and nothing is proved
  Tensor gain;             // [n]: as LocalAnalysis, from the root mean square of K samples, and at
                           // least that of its step; see docs/identify.md
  Tensor lost;             // [n]: share of each unknown that moves no fact, 0..1, from K samples
  double null_dimension = 0;  // estimate of n - rank
  /// A direction that moves no fact to rounding was found and checked: |J w| is below
  /// max(m,n) * 2^-52 * |J| |w|, so that the numerical rank is below n.
  bool deficient = false;
  double inverse_norm = 0;  // Frobenius norm of the pseudo-inverse, estimate; condition is at most
                            // this times the largest singular value, at least that over sqrt(n)
  Tensor correction;        // [n]: pseudo-inverse of `residual`, or undefined
};

/// `largest`: the largest singular value; `group`: unknowns of a step; residual [1,m] or undefined.
SampledAnalysis analyse_by_samples(const LinearMap& a, double largest, std::int64_t group,
                                   const Tensor& residual = {}, std::int64_t samples = 8,
                                   std::uint64_t seed = 1);

}  // namespace unroll
