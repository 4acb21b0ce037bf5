#include "inversion/rounding.h"

#include <algorithm>
#include <cmath>

#include "autograd/ops.h"
#include "autograd/tape.h"
#include "inversion/numbers.h"

namespace unroll {
namespace {

constexpr int kRuns = 3;

// [N]
Tensor row_largest(const Tensor& y) {
  return y.shape()[1] ? amax(abs(y), {1}) : zeros({y.shape()[0]}, Dtype::float64, y.device());
}

}  // namespace

double unit_roundoff(Dtype dtype) {
  switch (dtype) {
    case Dtype::float64: return 0x1p-53;
    case Dtype::float32: return 0x1p-24;
    case Dtype::float16: return 0x1p-11;
    case Dtype::bfloat16: return 0x1p-8;
    default: fail("unit_roundoff", std::string(name(dtype)) + " has no rounding");
  }
}

Tensor fact_error(const Facts& facts, const Tensor& rows) {
  const NoTape none;
  const Observation& seen = facts.observation();
  const double kept = unit_roundoff(seen.dtype);
  const double computed = std::min(kept, unit_roundoff(Dtype::float32));
  const Tensor y = facts.of_unknowns(rows);
  Random random(1, 77);
  Tensor rounding = row_largest(y) * kept;
  for (int i = 0; i < kRuns; i++) {
    const Facts other(facts.encoder().perturbed(computed, random), seen, facts.T());
    rounding = maximum(rounding, row_largest(other.of_unknowns(rows) - y));
  }
  return detail::on_host(sqrt(square(rounding) + seen.noise * seen.noise));
}

}  // namespace unroll
