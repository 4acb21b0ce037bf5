// All that one recording of a function of several outputs gives, for tests that compare two
// functions: a fused op and its twin, a stack and its runs, one number of threads and another.
//
//   expect_equal(sweep([&] { return f(x); }, x), sweep([&] { return twin(x); }, x));
#pragma once

#include <gtest/gtest.h>

#include <cmath>

#include "autograd/tape.h"
#include "tests/testing.h"

namespace unroll::testing {

/// A cotangent, or a tangent, for each tensor: K of them at once where K is not 0.
inline Tensors random_directions(const Tensors& like, std::uint64_t seed, std::int64_t K = 0) {
  Tensors v;
  for (const Tensor& t : like) {
    Shape shape = t.shape();
    if (K) shape.insert(0, K);
    v.push_back(random_normal(shape, seed++));
  }
  return v;
}

struct Sweeps {
  Tensors out, pulled, pushed;
};

/// Outputs, gradients and tangents of f() with respect to `wanted`, which it reads. change(u, v)
/// may overwrite the cotangents and tangents first.
template <class F, class Change>
Sweeps sweep(const F& f, const Tensors& wanted, std::int64_t K, const Change& change) {
  Tape tape;
  Sweeps result;
  result.out = f();
  Tensors u = random_directions(result.out, 20, K), v = random_directions(wanted, 60, K);
  change(u, v);
  result.pulled = tape.pull(result.out, u, wanted);
  result.pushed = tape.push(wanted, v, result.out);
  return result;
}
template <class F>
Sweeps sweep(const F& f, const Tensors& wanted, std::int64_t K = 0) {
  return sweep(f, wanted, K, [](Tensors&, Tensors&) {});
}

/// Within 1e-12, and finite.
inline void expect_equal(const Sweeps& a, const Sweeps& b) {
  EXPECT_LE(difference(a.out, b.out), 1e-12);
  EXPECT_LE(difference(a.pulled, b.pulled), 1e-12);
  EXPECT_LE(difference(a.pushed, b.pushed), 1e-12);
  for (const Tensors& all : {a.out, a.pulled, a.pushed})
    for (const Tensor& t : all) EXPECT_TRUE(std::isfinite(norm(t)));
}

inline void expect_same_bits(const Sweeps& a, const Sweeps& b) {
  for (std::size_t i = 0; i < b.out.size(); i++) {
    EXPECT_TRUE(same_bits(a.out[i], b.out[i])) << "output " << i;
    EXPECT_TRUE(same_bits(a.pushed[i], b.pushed[i])) << "output " << i;
  }
  for (std::size_t i = 0; i < b.pulled.size(); i++)
    EXPECT_TRUE(same_bits(a.pulled[i], b.pulled[i])) << "input " << i;
}

}  // namespace unroll::testing
