// Inversion on another device: what every method finds there is what it finds on the CPU.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "core/view.h"
#include "inversion/certificate.h"
#include "inversion/first_order.h"
#include "inversion/identifiability.h"
#include "inversion/invert.h"
#include "inversion/lyapunov.h"
#include "inversion/matrix_free.h"
#include "inversion/precision.h"
#include "inversion/reservoir.h"
#include "inversion/stepwise.h"
#include "tests/testing.h"

namespace unroll::testing {
namespace {

constexpr Dtype f64 = Dtype::float64;
constexpr double kClose = 1e-5;    // of the largest number
constexpr double kNothing = 1e-9;  // residuals of roots

class InversionOn : public ::testing::TestWithParam<Device> {
 protected:
  void SetUp() override {
    if (!is_available(device()))
      GTEST_SKIP() << name(device()) << " is " << why_unavailable(device());
  }
  Device device() const { return GetParam(); }
};
INSTANTIATE_TEST_SUITE_P(, InversionOn, ::testing::Values(Device::sim(), Device::cuda()),
                         [](const auto& at) {
                           return std::string(at.param == Device::sim() ? "sim" : "cuda");
                         });

// A run whose input is known, seen on the CPU and elsewhere.
struct Both {
  Both(const EncoderSizes& sizes, const Observation& seen, std::int64_t T, std::int64_t N,
       Device device)
      : encoder(drawn(sizes)),
        x(Random(4, 6).normal({T, N, sizes.I}, 0, 1, f64)),
        here(encoder, seen, T),
        there(encoder.on(device), seen, T),
        y_here(here.of_unknowns(here.rows_of(x))),
        y_there(on_device(y_here, device)) {}

  static Encoder drawn(const EncoderSizes& sizes) {
    Random random(4, 5);
    return {sizes, random};
  }
  // As files hold them.
  Tensor outputs() const {
    const std::int64_t N = x.shape()[1], steps = here.steps_seen();
    if (steps == 1) return y_here;
    return contiguous_copy(view::transpose(view::reshape(y_here, {N, steps, here.width()}), 0, 1));
  }

  Encoder encoder;
  Tensor x;
  Facts here, there;
  Tensor y_here, y_there;
};

// Rounding far above that of either device, so that what is measured of it is equal.
Observation in_float32(Seen outputs) { return {.outputs = outputs, .dtype = Dtype::float32}; }

void expect_equal(const SequenceInversion& there, const SequenceInversion& here) {
  EXPECT_EQ(there.verdict, here.verdict) << there.reason << "; on the CPU: " << here.reason;
  EXPECT_EQ(there.method, here.method);
  EXPECT_EQ(there.rank, here.rank);
  EXPECT_LE(difference(there.bound, here.bound), kClose);
  EXPECT_LE(difference(number(there.fact_error), number(here.fact_error)), kClose);
  EXPECT_LE(difference(number(there.condition), number(here.condition)), kClose);
  EXPECT_LE(std::abs(there.residual - here.residual), kNothing);
  EXPECT_EQ(static_cast<bool>(there.other), static_cast<bool>(here.other));
  for (const Tensor& t : {there.bound, there.other}) EXPECT_TRUE(!t || t.device().is_cpu());
}

void expect_equal(const Inversion& there, const Inversion& here) {
  EXPECT_LE(difference(there.x, here.x), kClose);
  EXPECT_EQ(there.x.device(), Device::cpu());
  for (const auto& [a, b] :
       {std::pair(there.initial.h, here.initial.h), std::pair(there.initial.c, here.initial.c)}) {
    ASSERT_EQ(static_cast<bool>(a), static_cast<bool>(b));
    if (!a) continue;
    EXPECT_EQ(a.device(), Device::cpu());
    EXPECT_LE(difference(a, b), kClose);
  }
  ASSERT_EQ(there.sequences.size(), here.sequences.size());
  for (std::size_t n = 0; n < here.sequences.size(); n++)
    expect_equal(there.sequences[n], here.sequences[n]);
}

void expect_equal(const Stepwise& there, const Stepwise& here) {
  EXPECT_LE(difference(there.x, here.x), kClose);
  EXPECT_LE(amax(abs(there.residual - here.residual), {0, 1}).item(), kNothing);
  EXPECT_LE(difference(there.gain, here.gain), kClose);
  for (const Tensor& t : {there.x, there.residual, there.gain, there.rank})
    EXPECT_EQ(t.device(), Device::cpu());
  EXPECT_EQ(to_vector<std::int64_t>(there.rank), to_vector<std::int64_t>(here.rank));
  EXPECT_EQ(there.failed, here.failed);
}

// ---- Block by block

TEST_P(InversionOn, BlocksOfEveryCell) {
  for (const Cell cell : {Cell::linear, Cell::tanh, Cell::relu, Cell::lstm, Cell::gru}) {
    SCOPED_TRACE(name(cell));
    const Both run({.cell = cell, .I = 2, .H = 6}, {}, 3, 2, device());
    const Stepwise there = invert_stepwise(run.there, run.y_there);
    expect_equal(there, invert_stepwise(run.here, run.y_here));
    EXPECT_TRUE(cell == Cell::relu || difference(there.x, run.x) <= kClose) << "the input itself";
  }
}

// Random starts, and the way back to other roots of earlier blocks.
TEST_P(InversionOn, BlocksWithoutARoot) {
  const Both run({.cell = Cell::lstm, .I = 1, .H = 2}, {}, 2, 1, device());
  const Tensor y_here = run.y_here * 1.5;
  const StepwiseOptions how{.restarts = 1};
  const Stepwise here = invert_stepwise(run.here, y_here, how);
  EXPECT_GE(*std::max_element(here.failed.begin(), here.failed.end()), 0);
  expect_equal(invert_stepwise(run.there, on_device(y_here, device()), how), here);
}

// ---- All at once

void expect_equal(const AllAtOnce& there, const AllAtOnce& here, Device device) {
  EXPECT_EQ(there.row.device(), device);
  EXPECT_LE(difference(there.row, here.row), kClose);
  EXPECT_EQ(there.method, here.method);
  EXPECT_EQ(there.roots.size(), here.roots.size());
  EXPECT_EQ(there.starts, here.starts);
  EXPECT_EQ(there.stalled, here.stalled);
}

TEST_P(InversionOn, AllAtOnceFromAStartAndFromZero) {
  const Both run({.cell = Cell::lstm, .I = 1, .H = 6}, {.outputs = Seen::final}, 3, 1, device());
  expect_equal(invert_all_at_once(run.there, run.y_there), invert_all_at_once(run.here, run.y_here),
               device());
  const AllAtOnceOptions given{.start = run.here.rows_of(run.x) * 0.9};
  const AllAtOnce there = invert_all_at_once(run.there, run.y_there, given);
  EXPECT_EQ(there.method, Method::given_start);
  expect_equal(there, invert_all_at_once(run.here, run.y_here, given), device());
}

TEST_P(InversionOn, ContinuationAndRandomStarts) {
  const Both run({.cell = Cell::tanh, .I = 1, .H = 4}, {.outputs = Seen::final}, 3, 1, device());
  const AllAtOnceOptions every{.starts = 2, .all_roots = true, .iterations = 60};
  expect_equal(invert_all_at_once(run.there, run.y_there, every),
               invert_all_at_once(run.here, run.y_here, every), device());
}

TEST_P(InversionOn, TheMostProbableInput) {
  const Both run({.cell = Cell::lstm, .I = 1, .H = 2}, {.outputs = Seen::final}, 3, 1, device());
  const Prior prior = Prior::of_samples(Random(8).normal({20, 3}, 0, 1, f64));
  const Tensor there = map_estimate(run.there, run.y_there, prior, 1e-2);
  EXPECT_EQ(there.device(), device());
  EXPECT_LE(difference(there, map_estimate(run.here, run.y_here, prior, 1e-2)), kClose);
}

TEST_P(InversionOn, GradientsAlone) {
  const Both run({.cell = Cell::tanh, .I = 1, .H = 6}, {.outputs = Seen::final}, 3, 1, device());
  const Tensor here = zeros({1, 3}, f64), there = zeros({1, 3}, f64, device());
  EXPECT_LE(difference(lbfgs(run.there, run.y_there, there, {.iterations = 8}),
                       lbfgs(run.here, run.y_here, here, {.iterations = 8})),
            kClose);
  EXPECT_LE(difference(adam_descent(run.there, run.y_there, there, {.iterations = 8}),
                       adam_descent(run.here, run.y_here, here, {.iterations = 8})),
            kClose);
}

// ---- Without the Jacobian

TEST_P(InversionOn, ProductsWithTheJacobian) {
  const Both run({.cell = Cell::lstm, .I = 1, .H = 6}, {.outputs = Seen::final}, 3, 1, device());
  const MatrixFreeResult here =
      levenberg_marquardt_matrix_free(run.here, run.y_here, zeros({1, 3}, f64));
  const MatrixFreeResult there =
      levenberg_marquardt_matrix_free(run.there, run.y_there, zeros({1, 3}, f64, device()));
  EXPECT_EQ(there.row.device(), device());
  EXPECT_LE(difference(there.row, here.row), kClose);
  EXPECT_LE(there.residual, kNothing);

  JacobianAt at_here(run.here, here.row), at_there(run.there, there.row);
  const ExtremeValues ends = extreme_singular_values(at_here.map());
  EXPECT_LE(difference(extreme_singular_values(at_there.map()).values, ends.values), kClose);
  const auto samples = [&](JacobianAt& at, const Tensor& residual) {
    return analyse_by_samples(at.map(), ends.largest, 1, residual, 3);
  };
  const SampledAnalysis a = samples(at_there, run.y_there * 0.5);
  const SampledAnalysis b = samples(at_here, run.y_here * 0.5);
  EXPECT_LE(difference(a.gain, b.gain), kClose);
  EXPECT_LE(difference(a.correction, b.correction), kClose);
}

// More unknowns than a dense Jacobian should have.
TEST_P(InversionOn, ManyUnknowns) {
  const Both run({.cell = Cell::linear, .I = 601, .H = 1}, in_float32(Seen::final), 2, 1, device());
  const InvertOptions options{.steps = 2};
  const Inversion found =
      invert(run.there.encoder(), run.outputs(), run.there.observation(), options);
  EXPECT_EQ(found.verdict(), Verdict::ambiguous);
  expect_equal(found, invert(run.encoder, run.outputs(), run.here.observation(), options));
}

// ---- What the facts do not say

TEST_P(InversionOn, Collisions) {
  const Both run({.cell = Cell::lstm, .I = 1, .H = 2}, {.outputs = Seen::final}, 3, 1, device());
  const Tensor here = run.here.rows_of(run.x), there = run.there.rows_of(run.x);
  EXPECT_EQ(there.device(), device());
  const CollisionOptions near{.distance = 0.5};
  const Collision a = find_collision(run.there, there, near),
                  b = find_collision(run.here, here, near);
  EXPECT_TRUE(a.found);
  EXPECT_LE(difference(a.other, b.other), kClose);
  EXPECT_LE(difference(null_basis(run.there, there), null_basis(run.here, here)), kClose);
  const TemporaryFolder folder;
  write_certificate(folder / "c.npz", run.there, a);
  EXPECT_TRUE(check_certificate(folder / "c.npz").found) << "it is checked on the CPU";
}

TEST_P(InversionOn, SecondPreimages) {
  const Both run({.cell = Cell::relu, .I = 1, .H = 3}, {.outputs = Seen::final}, 2, 1, device());
  const PreimageOptions few{.starts = 6};
  const Collision a = second_preimage(run.there, run.there.rows_of(run.x), few);
  const Collision b = second_preimage(run.here, run.here.rows_of(run.x), few);
  EXPECT_EQ(a.found, b.found);
  EXPECT_LE(difference(a.other, b.other), kClose);
}

TEST_P(InversionOn, Identifiability) {
  for (const auto& [cell, dense] : {std::pair(Cell::tanh, 4000000), std::pair(Cell::lstm, 0)}) {
    SCOPED_TRACE(name(cell));
    const Both run({.cell = cell, .I = 1, .H = 4}, in_float32(Seen::all), 2, 1, device());
    const IdentifyOptions options{.inputs = 1, .dense = dense};
    const unroll::Identifiability a = identify(run.there, options), b = identify(run.here, options);
    EXPECT_EQ(a.rank, b.rank);
    EXPECT_LE(difference(a.singular_values, b.singular_values), kClose);
    EXPECT_LE(difference(a.gain, b.gain), kClose);
    EXPECT_LE(difference(a.saturation, b.saturation), kClose);
    EXPECT_LE(difference(number(a.inverse_radius), number(b.inverse_radius)), kClose);
    EXPECT_LE(difference(number(a.digits[1].error), number(b.digits[1].error)), kClose);
  }
}

TEST_P(InversionOn, RoundedOutputs) {
  const Both run({.cell = Cell::tanh, .I = 1, .H = 6}, {.outputs = Seen::final}, 3, 1, device());
  const auto lost = [&](const Facts& facts) {
    return rounding_loss(facts, facts.rows_of(run.x), Dtype::float16).measured;
  };
  EXPECT_LE(difference(number(lost(run.there)), number(lost(run.here))), kClose);
}

// ---- Verdicts

TEST_P(InversionOn, VerdictsAreTheCpus) {
  struct Case {
    EncoderSizes sizes;
    Observation seen;
    std::int64_t T, N;
  };
  Observation sought = in_float32(Seen::state), read = in_float32(Seen::all), started = read;
  sought.initial_known = false;
  read.readout = random_normal({4, 6}, 3);
  started.initial = {random_normal({1, 2, 6}, 4, 0.3), random_normal({1, 1, 6}, 5, 0.3)};
  const Case cases[] = {
      {{.cell = Cell::lstm, .I = 2, .H = 6}, started, 2, 2},
      {{.cell = Cell::tanh, .I = 2, .H = 6}, read, 2, 1},
      {{.cell = Cell::tanh, .I = 1, .H = 6}, in_float32(Seen::final), 3, 2},
      {{.cell = Cell::gru, .I = 1, .H = 3, .bidirectional = true}, in_float32(Seen::all), 2, 1},
      {{.cell = Cell::tanh, .I = 1, .H = 2}, in_float32(Seen::final), 3, 1},
      {{.cell = Cell::lstm, .I = 1, .H = 2}, sought, 1, 1}};
  for (const Case& the : cases) {
    const Both run(the.sizes, the.seen, the.T, the.N, device());
    SCOPED_TRACE(run.encoder.describe() + ", " + name(the.seen));
    const InvertOptions options{.steps = the.T, .restarts = 1};
    expect_equal(invert(run.there.encoder(), on_device(run.outputs(), device()), the.seen, options),
                 invert(run.encoder, run.outputs(), the.seen, options));
  }
}

TEST_P(InversionOn, LengthsStartsAndPriors) {
  const Both all({.cell = Cell::gru, .I = 1, .H = 4}, in_float32(Seen::all), 3, 2, device());
  const InvertOptions lengths{.lengths = {3, 1}};
  expect_equal(invert(all.there.encoder(), all.outputs(), all.there.observation(), lengths),
               invert(all.encoder, all.outputs(), all.here.observation(), lengths));
  const Both last({.cell = Cell::tanh, .I = 1, .H = 2}, in_float32(Seen::final), 3, 1, device());
  InvertOptions guess{.steps = 3, .start = last.x};
  guess.prior = Prior::of_samples(Random(8).normal({20, 3}, 0, 1, f64));
  expect_equal(invert(last.there.encoder(), last.outputs(), last.there.observation(), guess),
               invert(last.encoder, last.outputs(), last.here.observation(), guess));
}

// ---- Devices that do not fit

TEST_P(InversionOn, RowsOfAnotherDeviceAreRefused) {
  const Both run({.cell = Cell::tanh, .I = 1, .H = 4}, {}, 2, 1, device());
  const Tensor row = run.here.rows_of(run.x), &y = run.y_here;
  const std::string here = "on cpu", there = "on " + name(device());
  EXPECT_ERROR(run.there(run.x, {}), "Facts: the input is", here, there, "Encoder::on");
  EXPECT_ERROR(run.there.of_unknowns(row), "Facts", here, there);
  EXPECT_ERROR(invert_stepwise(run.there, y), "invert_stepwise", here, there, "from_outputs");
  EXPECT_ERROR(invert_all_at_once(run.there, y), "invert_all_at_once", here, there);
  EXPECT_ERROR(map_estimate(run.there, y, Prior{zeros({2}, f64), eye(2, f64)}), "map_estimate",
               here, there);
  EXPECT_ERROR(lbfgs(run.there, run.y_there, row), "lbfgs", here, there);
  EXPECT_ERROR(adam_descent(run.there, y, row), "adam_descent", here, there);
  EXPECT_ERROR(levenberg_marquardt_matrix_free(run.there, run.y_there, row),
               "levenberg_marquardt_matrix_free", here, there);
  EXPECT_ERROR(find_collision(run.there, row), "find_collision", here, there);
  EXPECT_ERROR(null_basis(run.there, row), "null_basis", here, there);
  EXPECT_ERROR(run.here.of_unknowns(run.there.rows_of(run.x)), "Facts", here, there);
  EXPECT_ERROR(run.encoder.on(device())(run.x), name(device()), "cpu");
  EXPECT_ERROR(lyapunov_spectrum(run.encoder.on(device()), zeros({4, 1}, f64)), name(device()),
               "cpu");
}

TEST_P(InversionOn, EncodersMove) {
  const Encoder here = Both::drawn({.cell = Cell::lstm, .I = 2, .H = 3, .projection = 2});
  const Encoder there = here.on(device());
  EXPECT_EQ(here.device(), Device::cpu());
  EXPECT_EQ(there.device(), device());
  EXPECT_EQ(there.first_layers(1).device(), device());
  EXPECT_EQ(there.in(Dtype::float32).device(), device());
  EXPECT_ERROR(here.on(Device::cuda(100)), "cuda:100");
  const Encoder back = Encoder::from_tensors("there", there.tensors());
  EXPECT_EQ(back.device(), Device::cpu());
  Random one(3), other(3);
  const std::vector<NamedTensor> a = there.perturbed(1e-3, one).tensors();
  const std::vector<NamedTensor> b = back.perturbed(1e-3, other).tensors();
  for (std::size_t i = 0; i < a.size(); i++) {
    EXPECT_EQ(a[i].tensor.device(), device());
    EXPECT_LE(difference(a[i].tensor, b[i].tensor), 1e-15) << a[i].name;
  }
  const Encoder line = Both::drawn({.cell = Cell::linear, .I = 1, .H = 3});
  EXPECT_TRUE(same_bits(linear_network(line.on(device())).W, linear_network(line).W));
}

}  // namespace
}  // namespace unroll::testing
