// Fisher memory, Lyapunov spectra and information processing capacity, against closed forms.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "autograd/transforms.h"
#include "inversion/fisher.h"
#include "inversion/information_capacity.h"
#include "inversion/linear_algebra.h"
#include "inversion/lyapunov.h"
#include "inversion/reservoir.h"
#include "tests/testing.h"

namespace unroll {
namespace {

constexpr Dtype f64 = Dtype::float64;

LinearNetwork network(const ReservoirOptions& options, std::uint64_t seed = 1) {
  Random random(seed);
  return linear_network(reservoir(options, random));
}

TEST(Fisher, NormalNetworksKeepOneUnit) {
  for (const ReservoirKind kind : {ReservoirKind::orthogonal, ReservoirKind::ring}) {
    const LinearNetwork net = network({.kind = kind, .N = 12, .rho = .95});
    const FisherMemory f = fisher_memory(net.W, net.w * (1 / testing::norm(net.w)));
    EXPECT_TRUE(f.is_normal);
    EXPECT_NEAR(f.total, 1, 1e-13);
    EXPECT_NEAR(f.basis_total, 12, 1e-11);
    EXPECT_NEAR(std::accumulate(f.J.begin(), f.J.end(), 0.0), 1, 1e-12);
    EXPECT_NEAR(f.J[3], (1 - .95 * .95) * std::pow(.95, 6), 1e-14);
    EXPECT_EQ(f.warning, "");
  }
}

TEST(Fisher, DelayLineIsItsClosedForm) {
  for (const double a : {.5, 1., 4.}) {
    const LinearNetwork net = network({.kind = ReservoirKind::delay, .N = 50, .rho = std::sqrt(a)});
    const FisherMemory f = fisher_memory(net.W, net.w);
    double sum = 0, total = 0, power = 1;
    for (std::size_t k = 0; k < 50; k++, power *= a) {
      sum += power;
      total += power / sum;
      const double J = k < f.J.size() ? f.J[k] : 0;  // cut where nothing is left
      EXPECT_NEAR(J, power / sum, 1e-12) << k;
    }
    EXPECT_NEAR(f.total, total, 1e-10 * total);
    EXPECT_NEAR(f.basis_total, 50, 1e-9);
    EXPECT_FALSE(f.is_normal);
    EXPECT_NEAR(f.condition, 1, 1e-12) << "the scale of a unit is no loss of digits";
  }
  EXPECT_ERROR(fisher_memory(eye(2, f64), ones({2}, f64)), "scale W");
  EXPECT_ERROR(fisher_memory(eye(2, f64), ones({3}, f64)), "[3]");
}

TEST(Lyapunov, LinearIsLogOfEigenvalues) {
  Random random(2);
  const Encoder net = reservoir({.kind = ReservoirKind::gaussian, .N = 6, .rho = .8}, random);
  const LyapunovSpectrum l = lyapunov_spectrum(net, random.normal({2000, 1}, 0, 1, f64));
  const auto values = eigenvalues(net.weights()[0].w_hh);
  for (std::size_t i = 0; i < 6; i++)
    EXPECT_NEAR(l.exponents[i], std::log(std::abs(values[i])), 1e-3) << i;
  EXPECT_EQ(l.warning, "");
  EXPECT_EQ(l.rank, 6);
  EXPECT_EQ(l.kaplan_yorke, 0);
  EXPECT_EQ(l.steps, 1800);
}

// The exponents of a whole run add up to log |det| of its step Jacobians, taken by the tape.
TEST(Lyapunov, SumsToTheVolumeOfEveryCell) {
  for (const EncoderSizes& sizes :
       {EncoderSizes{.cell = Cell::tanh, .I = 2, .H = 3, .layers = 2},
        EncoderSizes{.cell = Cell::gru, .I = 1, .H = 4},
        EncoderSizes{.cell = Cell::lstm, .I = 1, .H = 3, .layers = 2}}) {
    Random random(3);
    const Encoder net(sizes, random);
    const std::int64_t T = 12, L = sizes.layers, H = sizes.H, part = L * H;
    const Tensor x = random.normal({T, sizes.I}, 0, 1, f64);
    const bool lstm = sizes.has_cell_state();
    const auto as_state = [&](const Tensor& s, std::int64_t first) {
      return reshape(slice(s, 0, first, first + part), {L, 1, H});
    };
    Tensor state = zeros({part * (lstm ? 2 : 1)}, f64);
    double volume = 0;
    for (std::int64_t t = 0; t < T; t++) {
      const auto step = [&](const Tensor& s) {
        const EncoderState from{as_state(s, 0), lstm ? as_state(s, part) : Tensor()};
        const EncoderState to = net(reshape(select(x, 0, t), {1, 1, sizes.I}), from).last;
        const Tensor h = reshape(to.h, {part});
        return lstm ? cat({h, reshape(to.c, {part})}, 0) : h;
      };
      for (const auto& value : eigenvalues(jacobian(step, state)))
        volume += std::log(std::abs(value));
      state = step(state);
    }
    const LyapunovSpectrum l = lyapunov_spectrum(net, x, 0);
    const double sum = std::accumulate(l.exponents.begin(), l.exponents.end(), 0.0);
    EXPECT_NEAR(sum * static_cast<double>(T), volume, 1e-8 * std::abs(volume)) << net.describe();
    EXPECT_TRUE(std::is_sorted(l.exponents.rbegin(), l.exponents.rend()));
  }
}

TEST(Lyapunov, SaysWhatIsWrong) {
  Random random(4);
  const Encoder net = reservoir({.kind = ReservoirKind::gaussian, .N = 6}, random);
  const LyapunovSpectrum hasty = lyapunov_spectrum(net, ones({2, 1}, f64), 0);
  EXPECT_NE(hasty.warning.find("take more steps"), std::string::npos) << hasty.warning;
  const LyapunovSpectrum delay = lyapunov_spectrum(
      reservoir({.kind = ReservoirKind::delay, .N = 3}, random), ones({20, 1}, f64));
  EXPECT_EQ(delay.rank, 2) << "each step loses a direction";
  EXPECT_EQ(delay.exponents[2], -INFINITY);
  EXPECT_ERROR(lyapunov_spectrum(net, ones({5, 2}, f64)), "[T,1]");
  EXPECT_ERROR(lyapunov_spectrum(net, ones({5, 1}, f64), 5), "warm-up of 5");
  EXPECT_ERROR(lyapunov_spectrum(Encoder({.bidirectional = true}, random), ones({5, 1}, f64)),
               "both directions");
}

// h = tanh(g u): one state without memory, whose capacities are its squared Legendre coefficients.
TEST(InformationCapacity, OfASquashedInputIsItsLegendreSeries) {
  Random random(5);
  const double g = 2;
  const Encoder net = reservoir(
      {.kind = ReservoirKind::ring, .N = 1, .rho = 0, .gain = g, .cell = Cell::tanh}, random);
  const InformationCapacity c =
      information_capacity(net, {.lags = {3, 3, 3, 2, 2}, .steps = 40000}, random);
  double first = 0, third = 0, power = 0;
  const int points = 20000;
  for (int i = 0; i < points; i++) {
    const double u = (2 * i + 1.0) / points - 1, h = std::tanh(g * u);
    first += std::sqrt(3.) * u * h / points;
    third += std::sqrt(7.) * (2.5 * u * u * u - 1.5 * u) * h / points;
    power += h * h / points;
  }
  EXPECT_NEAR(c.degrees[0].capacity, first * first / power, 5e-3);
  EXPECT_NEAR(c.degrees[2].capacity, third * third / power, 5e-3);
  EXPECT_LE(c.degrees[1].capacity, 1e-3) << "tanh is odd";
  EXPECT_NEAR(c.total, 1, 5e-3);
  const std::int64_t tried[] = {3, 6, 10, 5, 6};  // multisets of d lags
  for (std::size_t d = 0; d < 5; d++) EXPECT_EQ(c.degrees[d].targets, tried[d]);
  EXPECT_EQ(c.warning, "");
}

// u_t u_{t-1} from a relu: products of different lags are found, and are of degree 2.
TEST(InformationCapacity, OfADelayLineIsMemoryAloneAndOfAReluNot) {
  Random random(6);
  const InformationOptions options{.lags = {8, 4, 3}, .steps = 20000, .washout = 50};
  const Encoder line = reservoir({.kind = ReservoirKind::delay, .N = 3, .rho = 1}, random);
  const InformationCapacity memory = information_capacity(line, options, random);
  EXPECT_NEAR(memory.degrees[0].capacity, 3, 1e-2);
  EXPECT_EQ(memory.degrees[0].counted, 3);
  EXPECT_LE(memory.degrees[1].capacity + memory.degrees[2].capacity, 5e-3);
  const Encoder bent = reservoir({.N = 3, .rho = .5, .cell = Cell::relu}, random);
  const InformationCapacity products = information_capacity(bent, options, random);
  EXPECT_GT(products.degrees[1].capacity, .2);
  EXPECT_LE(products.total, 3.05);
}

TEST(InformationCapacity, RefusesWhatItCannotMeasure) {
  Random random(7);
  const Encoder two({.I = 2, .H = 3}, random), one({.I = 1, .H = 3}, random);
  EXPECT_ERROR(information_capacity(two, {}, random), "one input");
  EXPECT_ERROR(information_capacity(one, {.lags = {}}, random), "degree");
  EXPECT_ERROR(information_capacity(one, {.lags = {5, 0}}, random), "lag");
  EXPECT_ERROR(information_capacity(one, {.lags = {1, 1, 1, 1, 1, 90}}, random), "2^22");
  EXPECT_ERROR(information_capacity(one, {.steps = 3}, random), "3 steps");
  EXPECT_ERROR(information_capacity(one, {.false_rate = 1}, random), "false rate");
}

}  // namespace
}  // namespace unroll
