#include "inversion/lyapunov.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <functional>
#include <limits>

#include "autograd/ops.h"
#include "autograd/tape.h"
#include "core/view.h"
#include "inversion/linear_algebra.h"

namespace unroll {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// A step of the whole state, and its Jacobian times a frame of directions.
class StepMap {
 public:
  explicit StepMap(const Encoder& encoder) : encoder_(encoder) {
    const EncoderSizes& s = encoder.sizes();
    h_ = {s.layers, 1, s.state_width()};
    c_ = {s.layers, 1, s.H};
    state_.h = zeros(h_, Dtype::float64);
    if (s.has_cell_state()) state_.c = zeros(c_, Dtype::float64);
  }

  std::int64_t size() const { return h_.numel() + (state_.c ? c_.numel() : 0); }

  // x [I]; frame [S,S] with directions as rows -> J frame, rows. The state goes on.
  Tensor operator()(const Tensor& x, const Tensor& frame) {
    Tape tape;
    const EncoderOut out = encoder_(reshape(x, {1, 1, x.shape()[0]}), state_);
    Tensors from = {state_.h}, to = {out.last.h};
    Tensors v = {part(frame, 0, h_)};
    if (state_.c) {
      from.push_back(state_.c);
      to.push_back(out.last.c);
      v.push_back(part(frame, h_.numel(), c_));
    }
    const Tensors pushed = tape.push(from, v, to);
    state_ = {to[0], state_.c ? to[1] : Tensor()};
    Tensors rows;
    for (const Tensor& each : pushed) rows.push_back(reshape(each, {size(), -1}));
    return cat(rows, 1);
  }

 private:
  Tensor part(const Tensor& frame, std::int64_t first, const Shape& shape) const {
    const std::int64_t end = first + shape.numel();
    return reshape(slice(frame, 1, first, end), {size(), shape[0], shape[1], shape[2]});
  }

  const Encoder& encoder_;
  Shape h_, c_;
  EncoderState state_;
};

// Sums of exponents from the largest down are not negative: Kaplan & Yorke's dimension.
double kaplan_yorke(const std::vector<double>& exponents) {
  double total = 0;
  for (std::size_t i = 0; i < exponents.size(); i++) {
    if (total + exponents[i] < 0) return static_cast<double>(i) + total / -exponents[i];
    total += exponents[i];
  }
  return static_cast<double>(exponents.size());
}

std::string linear_warning(const Encoder& encoder, const std::vector<double>& exponents) {
  if (encoder.sizes().cell != Cell::linear || encoder.sizes().layers != 1) return "";
  const auto values = eigenvalues(encoder.weights()[0].w_hh);
  for (std::size_t i = 0; i < values.size(); i++) {
    const double theory = std::log(std::abs(values[i]));
    if (!(theory > -30) || std::abs(exponents[i] - theory) <= 0.01) continue;
    char text[160];
    std::snprintf(text, sizeof text,
                  "exponent %zu is %.4f but log |eigenvalue| is %.4f: take more steps", i + 1,
                  exponents[i], theory);
    return text;
  }
  return "";
}

void check(const Encoder& encoder, const Tensor& x, std::int64_t warmup) {
  const EncoderSizes& s = encoder.sizes();
  if (s.bidirectional)
    fail("lyapunov_spectrum", "a network of both directions has no map from step to step");
  if (!x || x.rank() != 2 || x.dtype() != Dtype::float64 || x.shape()[1] != s.I)
    fail("lyapunov_spectrum", "x must be [T," + std::to_string(s.I) + "] of float64" +
                                  (x ? ", not " + to_string(x.shape()) : ""));
  if (warmup >= x.shape()[0] || x.shape()[0] < 1)
    fail("lyapunov_spectrum", std::to_string(x.shape()[0]) + " steps end within the warm-up of " +
                                  std::to_string(std::max<std::int64_t>(warmup, 0)));
}

// Adds the logarithms of one step's stretching.
void add_step(const Tensor& diagonal, LyapunovSpectrum& l) {
  const double* r = diagonal.data<double>();
  double least = kInfinity, most = 0;
  std::int64_t alive = 0;
  for (std::size_t i = 0; i < l.exponents.size(); i++) {
    l.exponents[i] += std::log(r[i]);
    least = std::min(least, r[i]);
    most = std::max(most, r[i]);
    alive += r[i] > 0;
  }
  l.rank = l.steps == 0 ? alive : std::min(l.rank, alive);
  l.condition = std::max(l.condition, least > 0 ? most / least : kInfinity);
  l.steps++;
}

}  // namespace

LyapunovSpectrum lyapunov_spectrum(const Encoder& encoder, const Tensor& x, std::int64_t warmup) {
  check(encoder, x, warmup);
  const NoTape none;
  const std::int64_t T = x.shape()[0];
  if (warmup < 0) warmup = T / 10;
  StepMap step(encoder);
  LyapunovSpectrum l{.exponents = std::vector<double>(static_cast<std::size_t>(step.size()))};
  Tensor frame = eye(step.size(), Dtype::float64);
  for (std::int64_t t = 0; t < T; t++) {
    const OrthogonalTriangular next = qr(transpose(step(select(x, 0, t), frame), 0, 1));
    frame = contiguous(transpose(next.q, 0, 1));
    if (t >= warmup) add_step(next.diagonal, l);
  }
  for (double& exponent : l.exponents) exponent /= static_cast<double>(l.steps);
  std::sort(l.exponents.begin(), l.exponents.end(), std::greater<>());
  l.kaplan_yorke = kaplan_yorke(l.exponents);
  l.warning = linear_warning(encoder, l.exponents);
  return l;
}

}  // namespace unroll
