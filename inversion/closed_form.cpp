#include "inversion/closed_form.h"

#include <Eigen/QR>
#include <algorithm>
#include <cmath>

#include "autograd/ops.h"
#include "core/view.h"
#include "inversion/numbers.h"

namespace unroll::detail {
namespace {

using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

// f^-1(h) and f' there; a weight of 0: the row says nothing.
struct Row {
  double value, weight;
};

Row inverse(Cell cell, double h, double off) {
  switch (cell) {
    case Cell::relu: return h > off ? Row{h, 1} : Row{0, 0};
    case Cell::tanh: return std::abs(h) < 1 ? Row{std::atanh(h), (1 - h) * (1 + h)} : Row{0, 0};
    default: return {h, 1};
  }
}

}  // namespace

bool is_closed_form(const Facts& facts) noexcept {
  const EncoderSizes& s = facts.encoder().sizes();
  return (s.cell == Cell::linear || s.cell == Cell::tanh || s.cell == Cell::relu) &&
         s.layers == 1 && !s.bidirectional && !facts.observation().readout &&
         facts.observation().outputs == Seen::all && s.I <= s.H;
}

double off_level(const Facts& facts) noexcept {
  constexpr double kRounding = 1e-12;
  return std::max(kRounding, 6 * facts.observation().noise);
}

Tensor closed_form(const Facts& facts, const Tensor& y, const Tensor& initial) {
  const EncoderSizes& s = facts.encoder().sizes();
  const RecurrentWeights& w = facts.encoder().weights()[0];
  const std::int64_t T = facts.T(), N = y.shape()[0];
  const Tensor h = contiguous_copy(view::transpose(view::reshape(y, {N, T, s.H}), 0, 1));
  const Tensor before = T > 1 ? cat({initial, slice(h, 0, 0, T - 1)}, 0) : initial;
  Tensor known = linear(before, w.w_hh, w.b_hh);
  if (w.b_ih) known = known + w.b_ih;
  const Tensor h_here = on_host(h), known_here = on_host(known);
  const Tensor w_ih_here = on_host(w.w_ih);
  Tensor x = empty({T, N, s.I}, Dtype::float64);
  const double off = off_level(facts);
  double* to = x.mutable_data<double>();
  const double *seen = h_here.data<double>(), *offset = known_here.data<double>();
  const Eigen::Map<const RowMajor> w_ih(w_ih_here.data<double>(), s.H, s.I);
#pragma omp parallel for if (T * N > 3)
  for (std::int64_t i = 0; i < T * N; i++) {
    Eigen::MatrixXd rows = w_ih;
    Eigen::VectorXd right(s.H);
    for (std::int64_t k = 0; k < s.H; k++) {
      const Row row = inverse(s.cell, seen[i * s.H + k], off);
      rows.row(k) *= row.weight;
      right(k) = row.weight * (row.value - offset[i * s.H + k]);
    }
    Eigen::Map<Eigen::VectorXd>(to + i * s.I, s.I) =
        Eigen::ColPivHouseholderQR<Eigen::MatrixXd>(rows).solve(right);
  }
  return on_device(x, facts.device());
}

}  // namespace unroll::detail
