// Whether results in float32 are right: the definition in float64, and how far they are from it.
//
//   const Reference reference({x}, [](const Tensors& in) { return Tensors{f(in[0])}; });
//   if (!(reference.error_of({got}) <= tolerance)) ...
//
// The error of a result is its largest difference, as a part of the largest number wanted in it.
// Where terms cancel that number is small, and rounding alone is a large part of it. So a result
// that is off by more than `tolerance` is held against what rounding does, too:
//
//   error = max |got - f(x)| / max(largest |f(x)|, largest |f(x + d x) - f(x)| / m)
//
// where d is m = 2^-20 times a normal number for each number of x; the largest of four draws
// counts. bench/compare/reference.py has the same formula.
#pragma once

#include <functional>
#include <vector>

#include "core/tensor.h"

namespace unroll::bench {

/// What float32 may be off by.
inline constexpr double tolerance = 2e-5;

/// The same numbers in float64.
Tensors in_float64(const Tensors& x);

/// The largest difference, each tensor's as a part of the largest number wanted in it; infinite
/// where a result is missing, shapes differ or a number is not finite.
double error_of(const Tensors& got, const Tensors& wanted);

/// Results of inputs, all float64.
using Definition = std::function<Tensors(const Tensors& inputs)>;

class Reference {
 public:
  /// Computes the results of `inputs`, of any real type.
  Reference(const Tensors& inputs, Definition definition);

  const Tensors& wanted() const { return wanted_; }
  /// The worst result's error, infinite as above. Not for several threads at once.
  double error_of(const Tensors& got) const;

 private:
  const std::vector<double>& spreads() const;

  Tensors inputs_;  // float64
  Definition definition_;
  Tensors wanted_;
  mutable std::vector<double> spreads_;  // what rounding does, of each result; empty until needed
};

}  // namespace unroll::bench
