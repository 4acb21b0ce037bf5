// gradcheck: compares an op's pullback and pushforward with finite differences, in float64.
//
//   GradcheckReport r = gradcheck([](const Tensors& x) { return tanh(x[0]) * x[1]; }, {a, b});
//   if (!r.ok(1e-8)) std::cerr << r.text;
//
// Differences are central and of fourth order (step 1e-3 of the entry's scale), good to about 1e-12
// where f is smooth; keep inputs further than that from kinks.
#pragma once

#include <functional>
#include <string>

#include "core/tensor.h"

namespace UNROLL_API unroll {

/// How far derivatives are from finite differences, and the sweeps from each other.
struct GradcheckReport {
  double pull = 0;      // worst |pulled - difference| / largest entry of that gradient
  double push = 0;      // the same for J v
  double identity = 0;  // |u.(Jv) - (J^T u).v| / (|u| |Jv|)
  std::string text;     // one line that names the worst entry
  /// Whether all three are within tolerance.
  bool ok(double tolerance, double identity_tolerance = 1e-12) const {
    return pull <= tolerance && push <= tolerance && identity <= identity_tolerance;
  }
};

/// f of any number of float64 tensors, returning one. Inputs that are not float64 are constants.
/// Random cotangents and tangents come from `seed`. Throws Error when no input is float64.
GradcheckReport gradcheck(const std::function<Tensor(const Tensors&)>& f, const Tensors& x,
                          std::uint64_t seed = 1);

}  // namespace unroll
