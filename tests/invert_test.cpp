// invert: verdicts that are right, bounds that hold, and one line for what cannot be inverted.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <tuple>

#include "autograd/ops.h"
#include "core/parallel.h"
#include "core/view.h"
#include "inversion/invert.h"
#include "io/npy.h"
#include "tests/inversion_suite.h"

namespace unroll {
namespace {

using testing::InversionCase;
using testing::Kind;

constexpr Dtype f64 = Dtype::float64;

double largest(const Tensor& x) {
  double most = 0;
  for (double v : to_vector<double>(x)) most = std::max(most, std::abs(v));
  return most;
}

// ---- What PyTorch wrote (scripts/make_pytorch_runs.py)

TEST(Invert, RecoversTheInputOfPyTorchsNetworks) {
  for (const char* kind : {"lstm", "gru", "rnn"}) {
    const std::string run = std::string(UNROLL_SOURCE_DIR "/examples/data/pytorch/") + kind;
    const Encoder encoder = Encoder::load(run + ".safetensors");
    const Tensor x = cast_copy(read_npy(run + "_x.npy"), f64);
    for (const auto& [file, dtype, most] :
         {std::tuple{"_y64.npy", f64, 1e-10}, {"_y32.npy", Dtype::float32, 1e-4}}) {
      Observation seen = observation("all");
      seen.dtype = dtype;
      const Inversion found = invert(encoder, read_npy(run + file), seen);
      EXPECT_EQ(found.verdict(), Verdict::recovered) << run << found.sequences[0].reason;
      const double error = largest(found.x - x);
      EXPECT_LT(error, most) << run << file;
      EXPECT_LE(error, found.error_bound()) << run << file;
      EXPECT_LT(found.error_bound(), 1e3 * error) << run << file;
    }
  }
}

// ---- A suite of random cases

struct Tally {
  std::int64_t solvable = 0, recovered = 0, deficient = 0, ambiguous = 0;
  std::vector<double> ratios;
};

void judge(const InversionCase& the, const Inversion& found, Tally& tally) {
  for (std::int64_t n = 0; n < found.x.shape()[1]; n++) {
    const SequenceInversion& s = found.sequences[static_cast<std::size_t>(n)];
    EXPECT_EQ(testing::wrong_verdict(the, found, n), "")
        << the.what << "; " << name(s.verdict) << ": " << s.reason;
    tally.solvable += the.kind == Kind::solvable;
    tally.recovered += the.kind == Kind::solvable && s.verdict == Verdict::recovered;
    tally.deficient += the.kind == Kind::deficient;
    tally.ambiguous += the.kind == Kind::deficient && s.verdict == Verdict::ambiguous;
    const double error = largest(view::select(found.x, 1, n) - view::select(the.x, 1, n));
    if (s.verdict == Verdict::recovered && error > 0) tally.ratios.push_back(s.error_bound / error);
  }
}

// UNROLL_SUITE_SEED gives other cases; UNROLL_SUITE_CASES more.
std::uint64_t setting(const char* variable, std::uint64_t usual) {
  const char* text = std::getenv(variable);
  return text ? std::strtoull(text, nullptr, 10) : usual;
}

#ifdef UNROLL_SANITIZED
constexpr std::uint64_t kCases = 60;  // what is slow there is not what differs
#else
constexpr std::uint64_t kCases = 300;
#endif

TEST(Invert, NoVerdictOfTheSuiteIsWrong) {
  const std::uint64_t seed = setting("UNROLL_SUITE_SEED", 1),
                      count = setting("UNROLL_SUITE_CASES", kCases);
  std::vector<Inversion> found(count);
  run_jobs(count, [&](std::size_t i) {
    const InversionCase the = testing::inversion_case(seed, static_cast<std::int64_t>(i));
    found[i] =
        invert(the.encoder, the.outputs, the.observation, {.steps = the.steps, .restarts = 20});
  });
  Tally tally;
  for (std::size_t i = 0; i < count; i++)
    judge(testing::inversion_case(seed, static_cast<std::int64_t>(i)), found[i], tally);
  EXPECT_GE(10 * tally.recovered, 9 * tally.solvable);
  EXPECT_EQ(tally.ambiguous, tally.deficient);
  ASSERT_FALSE(tally.ratios.empty());
  std::sort(tally.ratios.begin(), tally.ratios.end());
  EXPECT_LE(tally.ratios[tally.ratios.size() / 2], 1e3);
  RecordProperty("recovered",
                 std::to_string(tally.recovered) + " of " + std::to_string(tally.solvable));
  RecordProperty("median bound / error", std::to_string(tally.ratios[tally.ratios.size() / 2]));
}

// The suite's own check can fail.
TEST(Invert, TheSuiteNoticesAWrongVerdict) {
  const InversionCase the = testing::inversion_case(1, 0);
  Inversion found = invert(the.encoder, the.outputs, the.observation, {.steps = the.steps});
  ASSERT_EQ(testing::wrong_verdict(the, found, 0), "");
  Inversion off = found;
  off.x = found.x + 0.1;
  EXPECT_NE(testing::wrong_verdict(the, off, 0), "");
  found.sequences[0].verdict = Verdict::ambiguous;
  EXPECT_NE(testing::wrong_verdict(the, found, 0), "");
}

// ---- Single properties

TEST(Invert, SequencesOfManyLengthsComeBackTogether) {
  Random random(4);
  const Encoder encoder({.cell = Cell::lstm, .I = 2, .H = 9}, random);
  const Tensor x = random.normal({7, 4, 2}, 0, 1, f64);
  const Lengths lengths{7, 3, 0, 5};
  const Inversion found =
      invert(encoder, encoder(x, {}, lengths).y, observation("all"), {.lengths = lengths});
  EXPECT_EQ(found.verdict(), Verdict::recovered);
  for (std::int64_t n = 0; n < 4; n++)
    for (std::int64_t t = 0; t < 7; t++)
      EXPECT_NEAR(found.x.item({t, n, 1}),
                  t < lengths.values()[static_cast<std::size_t>(n)] ? x.item({t, n, 1}) : 0, 1e-10);
}

TEST(Invert, EverySequenceHasItsOwnKnownStart) {
  Random random(23);
  const Encoder encoder({.cell = Cell::lstm, .I = 2, .H = 6}, random);
  const Tensor x = random.normal({5, 3, 2}, 0, 1, f64);
  const auto state = [&](std::int64_t N) { return random.normal({1, N, 6}, 0, 0.5, f64); };
  for (const EncoderState& start : {EncoderState{state(3), state(3)}, EncoderState{state(3), {}},
                                    EncoderState{state(1), state(3)}}) {
    Observation seen = observation("all");
    seen.initial = start;
    const Facts facts(encoder, seen, 5);
    const Tensor y = facts.of_unknowns(facts.rows_of(x));
    const Tensor outputs = transpose(reshape(y, {3, 5, 6}), 0, 1);
    const Inversion found = invert(encoder, outputs, seen);
    EXPECT_EQ(found.verdict(), Verdict::recovered) << found.sequences[0].reason;
    EXPECT_LE(largest(found.x - x), found.error_bound());
  }
}

TEST(Invert, AnUnknownStartCostsTheFirstStepAndNoOther) {
  Random random(5);
  const Encoder encoder({.cell = Cell::lstm, .I = 3, .H = 12}, random);
  const Tensor x = random.normal({6, 1, 3}, 0, 1, f64);
  const EncoderState start{random.normal({1, 1, 12}, 0, 0.3, f64),
                           random.normal({1, 1, 12}, 0, 0.3, f64)};
  Observation seen = observation("all");
  seen.initial_known = false;
  const Inversion found = invert(encoder, encoder(x, start).y, seen);
  const SequenceInversion& s = found.sequences[0];
  EXPECT_EQ(s.verdict, Verdict::ambiguous) << s.reason;
  EXPECT_EQ(s.rank, s.unknowns - 3);
  for (std::int64_t i = 0; i < 3; i++) {
    EXPECT_TRUE(std::isinf(s.bound.item({0, i})));
    for (std::int64_t t = 1; t < 6; t++) {
      EXPECT_LT(s.bound.item({t, i}), 1e-6);
      EXPECT_NEAR(found.x.item({t, 0, i}), x.item({t, 0, i}), s.bound.item({t, i}));
    }
  }
}

TEST(Invert, LostDigitsAreIllConditionedNotRecovered) {
  Random random(6);
  const Encoder encoder({.cell = Cell::tanh, .I = 1, .H = 32}, random);  // torch: cond 1e7 at T 20
  const Tensor x = random.normal({20, 1, 1}, 0, 1, f64);
  Observation seen = observation("final");
  seen.dtype = Dtype::float16;
  const Tensor last = cast_copy(view::select(encoder(x).last.h, 0, 0), Dtype::float16);
  EXPECT_EQ(invert(encoder, last, seen, {.steps = 20}).verdict(), Verdict::ill_conditioned);
}

TEST(Invert, OutputsOfOtherWeightsAreNoProofOfAnything) {
  Random random(7);
  const Encoder encoder({.cell = Cell::gru, .I = 1, .H = 12}, random),
      other({.cell = Cell::gru, .I = 1, .H = 12}, random);
  const Tensor y = other(random.normal({5, 1, 1}, 0, 1, f64)).y;
  const Inversion found = invert(encoder, y, observation("all"), {.restarts = 4});
  EXPECT_EQ(found.verdict(), Verdict::local_minimum);
  EXPECT_NE(found.sequences[0].reason.find("does not say that the input is lost"),
            std::string::npos);
}

TEST(Invert, AStartNearTheInputIsEnough) {
  Random random(8);
  const Encoder encoder({.cell = Cell::lstm, .I = 1, .H = 32}, random);
  const Tensor x = random.normal({14, 1, 1}, 0, 1, f64);
  const Tensor last = view::select(encoder(x).last.h, 0, 0);
  const Inversion found =
      invert(encoder, last, observation("final"),
             {.steps = 14, .start = x + random.normal(x.shape(), 0, 0.05, f64), .restarts = 0});
  EXPECT_EQ(found.verdict(), Verdict::recovered) << found.sequences[0].reason;
  EXPECT_EQ(found.sequences[0].method, Method::given_start);
}

TEST(Invert, IsTheSameForAnyNumberOfThreads) {
  const InversionCase the = testing::inversion_case(2, 2);
  const Inversion two = invert(the.encoder, the.outputs, the.observation);
  set_num_threads(1);
  const Inversion one = invert(the.encoder, the.outputs, the.observation);
  set_num_threads(2);
  EXPECT_EQ(to_vector<double>(one.x), to_vector<double>(two.x));
  EXPECT_EQ(one.error_bound(), two.error_bound());
}

TEST(Invert, RefusesWhatDoesNotFit) {
  Random random(9);
  const Encoder encoder({.cell = Cell::gru, .I = 2, .H = 6}, random);
  const Tensor y = encoder(random.normal({4, 2, 2}, 0, 1, f64)).y;
  const auto refusal = [&](const Tensor& outputs, const Observation& seen,
                           const InvertOptions& options) {
    try {
      invert(encoder, outputs, seen, options);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  const Observation all = observation("all"), final = observation("final");
  EXPECT_NE(
      refusal(zeros({4, 2, 5}, f64), all, {}).find("but GRU, I 2, H 6 seen as all gives [4,N,6]"),
      std::string::npos);
  EXPECT_NE(refusal(full({4, 2, 6}, NAN, f64), all, {}).find("NaN"), std::string::npos);
  EXPECT_NE(refusal(zeros({2, 6}, f64), final, {}).find("how many steps"), std::string::npos);
  EXPECT_NE(refusal(y, all, {.lengths = Lengths({4, 5})}).find("invert"), std::string::npos);
  EXPECT_NE(refusal(y, all, {.start = zeros({4, 2, 3}, f64)}).find("the start is [4,2,3]"),
            std::string::npos);
  EXPECT_NE(refusal({}, all, {}).find("no outputs"), std::string::npos);
}

}  // namespace
}  // namespace unroll
