// Inversions with more unknowns than a dense Jacobian should have.
#include <gtest/gtest.h>

#include "autograd/ops.h"
#include "core/view.h"
#include "inversion/invert.h"
#include "tests/temporary.h"

namespace unroll {
namespace {

constexpr Dtype f64 = Dtype::float64;

struct Case {
  Encoder encoder;
  Observation seen;
  Tensor x, outputs;
};

Case run_of(const EncoderSizes& sizes, const Observation& seen, std::int64_t T) {
  Random random(6);
  const Encoder encoder(sizes, random);
  const Tensor x = random.normal({T, 1, sizes.I}, 0, 1, f64);
  const Facts facts(encoder, seen, T);
  const Tensor y = view::reshape(facts(x, {}), {facts.steps_seen(), 1, facts.width()});
  return {encoder, seen, x, cast_copy(y, seen.dtype)};
}

TEST(InvertLarge, BothDirectionsOfTwoLayersAreRecoveredWithinTheBound) {
  for (const Dtype dtype : {f64, Dtype::float32}) {
    Observation seen;
    seen.dtype = dtype;
    const std::int64_t T = dtype == f64 ? 300 : 210;
    const Case run =
        run_of({.cell = Cell::gru, .I = 6, .H = 16, .layers = 2, .bidirectional = true}, seen, T);
    const Inversion found = invert(run.encoder, run.outputs, seen);
    const SequenceInversion& s = found.sequences[0];
    EXPECT_EQ(s.verdict, Verdict::recovered) << s.reason;
    EXPECT_EQ(s.rank, 6 * T);
    const Tensor error = view::select(abs(found.x - run.x), 1, 0);
    EXPECT_LE(amax(contiguous_copy(error - s.bound), {0, 1}).item(), 0);
    const double most = amax(contiguous_copy(error), {0, 1}).item();
    EXPECT_LT(most, dtype == f64 ? 1e-10 : 1e-3);
    EXPECT_LT(s.error_bound, 1e5 * most) << "a bound that says something";
  }
}

TEST(InvertLarge, FewerFactsThanUnknownsAreAmbiguous) {
  const Observation seen{.outputs = Seen::every, .every = 8};
  const Case run =
      run_of({.cell = Cell::gru, .I = 3, .H = 6, .layers = 2, .bidirectional = true}, seen, 408);
  const Inversion found = invert(run.encoder, run.outputs, seen);
  EXPECT_EQ(found.verdict(), Verdict::ambiguous);
  EXPECT_NE(found.sequences[0].reason.find("612 facts of 1224"), std::string::npos)
      << found.sequences[0].reason;
  EXPECT_LT(found.sequences[0].residual, 1e-12) << "but it is an input of these outputs";
}

// Two of the inputs' directions reach no unit.
TEST(InvertLarge, ARankThatIsTooLowIsProved) {
  Random random(6);
  const Encoder drawn({.cell = Cell::gru, .I = 5, .H = 8, .layers = 1, .bidirectional = true},
                      random);
  std::vector<NamedTensor> tensors = drawn.tensors();
  for (NamedTensor& t : tensors)
    if (t.name.find("weight_ih") == 0) {
      Tensor w = contiguous_copy(t.tensor);
      for (std::int64_t i = 0; i < w.shape()[0]; i++)
        w.mutable_data<double>()[i * 5 + 4] = 0.5 * w.data<double>()[i * 5];
      t.tensor = w;
    }
  const Encoder encoder = Encoder::from_tensors("test", tensors);
  Observation seen;
  seen.initial_known = false;
  const Facts facts(encoder, seen, 250);
  const Tensor x = random.normal({250, 1, 5}, 0, 1, f64);
  const Tensor y = view::reshape(facts(x, {}), {250, 1, 16});
  const Inversion found = invert(encoder, y, seen);
  const SequenceInversion& s = found.sequences[0];
  EXPECT_EQ(s.verdict, Verdict::ambiguous) << s.reason;
  EXPECT_NEAR(static_cast<double>(s.rank), 1016, 60) << "1250 + 16 less 250, from samples";
  EXPECT_NE(s.reason.find("change no output"), std::string::npos);
}

}  // namespace
}  // namespace unroll
