#include "inversion/readout.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>

#include "autograd/ops.h"
#include "autograd/tape.h"
#include "core/view.h"
#include "inversion/linear_algebra.h"
#include "inversion/observation.h"

namespace unroll {
namespace {

void check(const Samples& part, const char* which) {
  const auto is_matrix = [](const Tensor& t) {
    return t && t.rank() == 2 && t.dtype() == Dtype::float64;
  };
  if (!is_matrix(part.states) || !is_matrix(part.targets) ||
      part.states.shape()[0] != part.targets.shape()[0])
    fail("score_readout", std::string(which) + " must have states [n,H] and targets [n,k] float64");
}

void check(const Samples& fit, const Samples& test, double ridge) {
  check(fit, "fit");
  check(test, "test");
  const std::int64_t n = fit.states.shape()[0], H = fit.states.shape()[1];
  if (test.states.shape()[1] != H || test.targets.shape()[1] != fit.targets.shape()[1])
    fail("score_readout", "the parts have states " + to_string(fit.states.shape()) + " and " +
                              to_string(test.states.shape()) + ", targets " +
                              to_string(fit.targets.shape()) + " and " +
                              to_string(test.targets.shape()));
  if (n <= H)
    fail("score_readout", std::to_string(n) + " samples cannot fit " + std::to_string(H) +
                              " weights and an intercept: take more");
  if (test.states.shape()[0] < 2) fail("score_readout", "there is no sample to test on");
  if (!(ridge >= 0)) fail("score_readout", "the ridge must be at least 0");
}

// Weights [H,k] of the centred samples.
Tensor fitted(const Svd& x, const Tensor& y, std::int64_t rank, double ridge, std::int64_t n) {
  Tensor filter = zeros({x.s.numel(), 1}, Dtype::float64);
  const double* s = x.s.data<double>();
  double* f = filter.mutable_data<double>();
  for (std::int64_t i = 0; i < rank; i++)
    f[i] = s[i] / (s[i] * s[i] + static_cast<double>(n) * ridge);
  return matmul(x.v, filter * matmul(transpose(x.u, 0, 1), y));
}

// NaN where the data do not vary.
double ratio(double part, double deviation) {
  return deviation > 0 ? part / deviation : std::numeric_limits<double>::quiet_NaN();
}

}  // namespace

ReadoutScore score_readout(const Samples& fit, const Samples& test, double ridge) {
  check(fit, test, ridge);
  const NoTape none;
  const std::int64_t n = fit.states.shape()[0], H = fit.states.shape()[1];
  const Tensor mean_x = mean(fit.states, {0}, true), mean_y = mean(fit.targets, {0}, true);
  const Svd x = svd(fit.states - mean_x);
  ReadoutScore score;
  score.rank = numerical_rank(x.s, n, H);
  score.condition = condition(x.s);
  const Tensor weights = fitted(x, fit.targets - mean_y, score.rank, ridge, n);
  const Tensor readout = matmul(test.states - mean_x, weights) + mean_y;
  const auto centred = [](const Tensor& t) { return t - mean(t, {0}, true); };
  const auto sums = [](const Tensor& t) { return to_vector<double>(sum(t, {0})); };
  const Tensor wanted = centred(test.targets);
  const auto error = sums(square(readout - test.targets));
  const auto deviation = sums(square(wanted)), common = sums(centred(readout) * wanted);
  double all_errors = 0, all_deviations = 0;
  for (std::size_t j = 0; j < error.size(); j++) {
    score.nmse.push_back(ratio(error[j], deviation[j]));
    score.explained.push_back(ratio(common[j], deviation[j]));
    all_errors += error[j];
    all_deviations += deviation[j];
  }
  score.total_nmse = ratio(all_errors, all_deviations);
  return score;
}

double readout_bound(std::int64_t H, std::int64_t T, std::int64_t I) {
  return std::max(0.0, 1 - static_cast<double>(H) / static_cast<double>(T * I));
}

namespace {

std::string rank_warning(const FinalReadout& r, std::int64_t most) {
  if (r.rank >= most) return "";
  char text[160];
  std::snprintf(text, sizeof text,
                "numerical rank %lld of %lld (condition %.1e): some of what theory allows is below "
                "rounding",
                static_cast<long long>(r.rank), static_cast<long long>(most), r.condition);
  return text;
}

// [A^(T-1) B, ..., A B, B].
Tensor last_state_map(const Tensor& A, const Tensor& B, std::int64_t T) {
  Tensors blocks = {B};
  for (std::int64_t t = 1; t < T; t++) blocks.push_back(matmul(A, blocks.back()));
  std::reverse(blocks.begin(), blocks.end());
  return cat(blocks, 1);
}

Samples final_samples(const Encoder& encoder, std::int64_t T, std::int64_t n, Random& random) {
  const std::int64_t I = encoder.sizes().I;
  const Tensor x = random.normal({T, n, I}, 0, 1, Dtype::float64);
  const Facts facts(encoder, {.outputs = Seen::final}, T);
  return {facts(x, {}), contiguous_copy(facts.rows_of(x))};
}

}  // namespace

FinalReadout linear_final_readout(const Encoder& encoder, std::int64_t T) {
  const EncoderSizes& s = encoder.sizes();
  if (s.cell != Cell::linear || s.layers != 1 || s.bidirectional || T < 1)
    fail("linear_final_readout", "one linear layer of one direction and T of at least 1 are " +
                                     std::string("wanted, not ") + encoder.describe() + " and T " +
                                     std::to_string(T) + "; sample other encoders");
  const NoTape none;
  const RecurrentWeights& weights = encoder.weights()[0];
  const std::int64_t n = T * s.I;
  const Svd m = svd(last_state_map(weights.w_hh, weights.w_ih, T));
  FinalReadout r{.bound = readout_bound(s.H, T, s.I)};
  r.rank = numerical_rank(m.s, s.H, n);
  r.condition = condition(m.s);
  const Tensor v = slice(m.v, 1, 0, r.rank), u = slice(m.u, 1, 0, r.rank);
  r.readout = matmul(v / slice(m.s, 0, 0, r.rank), transpose(u, 0, 1));
  const Tensor lost = eye(n, Dtype::float64) - matmul(v, transpose(v, 0, 1));
  r.nmse = sum(square(lost)).item() / static_cast<double>(n);
  r.warning = rank_warning(r, std::min(s.H, n));
  return r;
}

FinalReadout sampled_final_readout(const Encoder& encoder, std::int64_t T,
                                   const FinalSampling& sampling, Random& random) {
  const NoTape none;
  const std::int64_t H = encoder.sizes().output_width(), I = encoder.sizes().I;
  if (T < 1) fail("sampled_final_readout", "T is " + std::to_string(T));
  const Samples fit = final_samples(encoder, T, sampling.fit, random);
  const Samples test = final_samples(encoder, T, sampling.test, random);
  const ReadoutScore score = score_readout(fit, test, sampling.ridge);
  FinalReadout r{.nmse = score.total_nmse, .bound = readout_bound(H, T, I)};
  r.rank = score.rank;
  r.condition = score.condition;
  r.warning = rank_warning(r, std::min(H, T * I));
  // Of n test numbers the mean square wanders by about sqrt(2/n).
  const double slack = 5 * std::sqrt(2.0 / static_cast<double>(sampling.test * T * I));
  if (r.nmse < r.bound - slack)
    r.warning = "the sampled NMSE is below the bound 1 - H/(T I): the test data are not fresh";
  return r;
}

}  // namespace unroll
