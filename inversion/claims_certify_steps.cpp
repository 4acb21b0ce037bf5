// Claims 5, 7 and 8: what noise, saturation and inactive units do to the inversion of one step.
#include "autograd/lstm.h"
#include "autograd/ops.h"
#include "autograd/rnn.h"
#include "core/view.h"
#include "inversion/claims_tools.h"
#include "inversion/linear_algebra.h"
#include "inversion/numbers.h"
#include "inversion/rounding.h"
#include "inversion/stepwise.h"

namespace unroll::claims {
namespace {

constexpr Dtype f64 = Dtype::float64;
constexpr std::int64_t kT = 50, kI = 4, kH = 16;
constexpr std::size_t kSeeds = 20;

using detail::largest;
using detail::root_mean_square;

// An encoder, its input and what is seen: every h_t.
struct Run {
  Encoder encoder;
  Facts facts;
  Tensor x, y;

  Run(Cell cell, std::int64_t H, double scale, Random random)
      : encoder({.cell = cell, .I = kI, .H = H}, random),
        facts(encoder, observation("all"), kT),
        x(random.normal({kT, 1, kI}, 0, scale, f64)),
        y(facts(x, {})) {}
};

}  // namespace

ClaimRow noise_gain(const ClaimContext& context) {
  constexpr double kNoise = 1e-6;
  constexpr std::pair<Cell, double> kExpected[] = {
      {Cell::linear, 2.3}, {Cell::tanh, 2.6}, {Cell::gru, 4.8}, {Cell::lstm, 9.7}};
  bool pass = true;
  double before = 0;
  std::string measured;
  for (const auto& [cell, expected] : kExpected) {
    const auto gains = over_seeds(context, kSeeds, [&, cell = cell](std::uint64_t seed) {
      const Run run(cell, kH, 1, Random(seed));
      const Tensor noise = Random(seed, 1).normal(run.y.shape(), 0, kNoise, f64);
      const Stepwise back =
          invert_stepwise(run.facts, run.y + noise, {.error = full({1}, kNoise, f64)});
      return root_mean_square(back.x - run.x) / kNoise;
    });
    double gain = 0;
    for (const double g : gains) gain += g / static_cast<double>(kSeeds);
    pass &= gain > before && std::abs(gain / expected - 1) <= 0.2;
    before = gain;
    measured += (measured.empty() ? "" : ", ") + std::string(name(cell)) + " " + text_of(gain);
  }
  return {5,
          "all h_t with noise 1e-6; I4 H16 T50, PyTorch's initialisation, mean of 20 seeds",
          "rms gain onto x: linear 2.3 < tanh 2.6 < GRU 4.8 < LSTM 9.7",
          measured,
          "20 % each, and the order",
          pass};
}

namespace {

// x_t = W_ih^+ (atanh(h_t) - b - W_hh h_{t-1}) with every row counting the same; h = 1 is taken for
// the last number below it.
Tensor unweighted(const Encoder& encoder, const Tensor& h, Dtype dtype) {
  const RecurrentWeights& w = encoder.weights()[0];
  const double most = 1 - unit_roundoff(dtype);
  Tensor a = contiguous_copy(clamp(h, -most, most));
  for (std::int64_t i = 0; i < a.numel(); i++)
    a.mutable_data<double>()[i] = std::atanh(a.data<double>()[i]);
  const Tensor before = cat({zeros({1, 1, kH}, f64), slice(h, 0, 0, kT - 1)}, 0);
  return linear(a - linear(before, w.w_hh, w.b_hh) - w.b_ih, pseudo_inverse(w.w_ih));
}

struct Errors {
  double unweighted, weighted;
};

}  // namespace

ClaimRow saturated_rows(const ClaimContext& context) {
  constexpr double kScale = 20;
  bool pass = true;
  std::string measured;
  for (const Dtype dtype : {f64, Dtype::float32}) {
    const auto errors = over_seeds(context, kSeeds, [&](std::uint64_t seed) {
      const Run run(Cell::tanh, kH, kScale, Random(seed));
      const Tensor h =
          dtype == f64 ? run.encoder(run.x).y : cast_copy(run_in_float32(run.encoder, run.x), f64);
      const Tensor back = invert_stepwise(run.facts, run.facts.from_outputs(h)).x;
      return Errors{largest(unweighted(run.encoder, h, dtype) - run.x) / kScale,
                    largest(back - run.x) / kScale};
    });
    std::vector<double> plain, weighted;
    for (const Errors& e : errors) plain.push_back(e.unweighted), weighted.push_back(e.weighted);
    measured += std::string(measured.empty() ? "" : "; ") + name(dtype) + " " +
                text_of(median(plain)) + " -> " + text_of(median(weighted));
    const double expected = dtype == f64 ? 3e-13 : 9e-5;
    pass &= median(weighted) <= std::min(10 * expected, 1e-2 * median(plain));
  }
  return {7,
          "all h_t, tanh, I4 H16 T50, input scale 20, medians of 20 seeds: largest error / scale",
          "pseudo-inverse -> rows weighted by 1-h^2: float64 7e-2 -> 3e-13, float32 1 -> 9e-5",
          measured,
          "at least 100 times better, within a factor 10 of 3e-13 and 9e-5",
          pass};
}

namespace {

constexpr std::size_t kReluSeeds = 250;

struct Steps {
  std::int64_t recoverable = 0, all = 0, wrong = 0;
  std::int64_t close = 0;  // recovered to 6e-13
  double error = 0;
};

std::string percent(double share) {
  char text[16];
  std::snprintf(text, sizeof text, "%.1f %%", 100 * share);
  return text;
}

// Steps whose active rows have rank I, and whether those are the ones that come back.
Steps relu_steps(std::int64_t H, std::uint64_t seed) {
  const Run run(Cell::relu, H, 1, Random(seed));
  const Tensor back = invert_stepwise(run.facts, run.y).x, y = run.encoder(run.x).y;
  const Tensor w_ih = run.encoder.weights()[0].w_ih;
  Steps steps;
  for (std::int64_t t = 0; t < kT; t++) {
    std::vector<std::int64_t> active;
    for (std::int64_t k = 0; k < H; k++)
      if (y.item({t, 0, k}) > 0) active.push_back(k);
    const std::int64_t rows = static_cast<std::int64_t>(active.size());
    const Tensor of_active = index_select(w_ih, 0, from_values(active, {rows}));
    const bool full = numerical_rank(singular_values(of_active), rows, kI) == kI;
    const double error = largest(slice(back - run.x, 0, t, t + 1));
    steps.all++;
    steps.recoverable += full;
    steps.wrong += full != (error < 1e-6);
    steps.close += full && error <= 6e-13;
    if (full) steps.error = std::max(steps.error, error);
  }
  return steps;
}

}  // namespace

ClaimRow active_rows(const ClaimContext& context) {
  struct Expected {
    std::int64_t H;
    double share, tolerance;
  };
  constexpr Expected kExpected[] = {{8, 0.62, 0.08}, {16, 0.984, 0.015}, {32, 1, 0.002}};
  bool pass = true;
  double error = 0, closest = 1;
  std::string measured;
  for (const Expected& each : kExpected) {
    Steps all;
    for (const Steps& one : over_seeds(
             context, kReluSeeds, [&](std::uint64_t seed) { return relu_steps(each.H, seed); })) {
      all.recoverable += one.recoverable;
      all.all += one.all;
      all.wrong += one.wrong;
      all.close += one.close;
      error = std::max(error, one.error);
    }
    const double share = static_cast<double>(all.recoverable) / static_cast<double>(all.all);
    const double close = static_cast<double>(all.close) / static_cast<double>(all.recoverable);
    pass &= all.wrong == 0 && std::abs(share - each.share) <= each.tolerance && close >= 0.99;
    closest = std::min(closest, close);
    measured +=
        "H" + text_of(each.H) + " " + percent(share) + " (" + text_of(all.wrong) + " exceptions), ";
  }
  return {
      8,
      "all h_t, ReLU, I4 T50, 250 seeds",
      "a step is recoverable iff rank(active rows) = I: 62 % / 98.4 % / 100 % of steps for H 8, "
      "16, 32, error <= 6e-13 there",
      measured + "error <= 6e-13 in " + percent(closest) + " of those or more, " + text_of(error) +
          " at most",
      "8 / 1.5 / .2 points, no exception; 6e-13 in 99 % (active rows may be nearly dependent)",
      pass};
}

}  // namespace unroll::claims
