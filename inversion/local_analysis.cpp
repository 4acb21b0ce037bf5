#include "inversion/local_analysis.h"

#include <limits>

#include "autograd/ops.h"
#include "autograd/tape.h"
#include "core/view.h"
#include "inversion/levenberg_marquardt.h"
#include "inversion/linear_algebra.h"

namespace unroll {
namespace {

// Parts of unit null vectors below this are rounding.
constexpr double kMoved = 1e-7;

}  // namespace

LocalAnalysis analyse(const Facts& facts, const Tensor& row) {
  const std::int64_t n = facts.unknowns(), m = facts.count();
  if (!row || !(row.shape() == Shape{1, n}))
    fail("analyse", "one row of unknowns [1," + std::to_string(n) + "] is wanted");
  const NoTape none;
  const Linearised at = linearise(row, [&](const Tensor& x) { return facts.of_unknowns(x); });
  const Tensor J = view::reshape(at.jacobian, {m, n});
  const Svd s = svd(J);
  LocalAnalysis local{.unknowns = n, .facts = m, .rank = numerical_rank(s.s, m, n)};
  local.singular_values = s.s;
  const std::int64_t r = local.rank;
  local.condition = r < n ? std::numeric_limits<double>::infinity() : condition(s.s);
  const Tensor v = slice(s.v, 1, 0, r);
  local.pseudo_inverse = matmul(v / slice(s.s, 0, 0, r), transpose(slice(s.u, 1, 0, r), 0, 1));
  local.gain = contiguous_copy(sqrt(sum(square(v / slice(s.s, 0, 0, r)), {1})));
  local.null_basis = null_space(J);
  if (r == n) return local;
  const Tensor moved = sqrt(sum(square(local.null_basis), {1}));
  double* gain = local.gain.mutable_data<double>();
  for (std::int64_t i = 0; i < n; i++)
    if (moved.item({i}) > kMoved) gain[i] = std::numeric_limits<double>::infinity();
  return local;
}

}  // namespace unroll
