// Encoder and Facts: what is deduced from weights, what is seen of a run, and what is refused.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "autograd/ops.h"
#include "autograd/transforms.h"
#include "core/view.h"
#include "inversion/observation.h"
#include "tests/testing.h"

namespace unroll {
namespace {

constexpr Dtype f64 = Dtype::float64;

const EncoderSizes kSizes[] = {
    {.cell = Cell::tanh, .I = 3, .H = 5},
    {.cell = Cell::gru, .I = 2, .H = 4, .layers = 2, .bias = false},
    {.cell = Cell::lstm, .I = 3, .H = 6, .layers = 2, .bidirectional = true, .projection = 2},
    {.cell = Cell::lstm, .I = 1, .H = 1, .bidirectional = true},
};

TEST(Encoder, ReadsSizesFromTheTensorsItWrites) {
  for (const EncoderSizes& sizes : kSizes) {
    Random random(3);
    const Encoder drawn(sizes, random);
    std::vector<NamedTensor> tensors = drawn.tensors();
    for (NamedTensor& t : tensors) t.name = "encoder.rnn." + t.name;
    tensors.push_back({"head.weight", ones({2, 2})});
    const Encoder read = Encoder::from_tensors("memory", tensors);
    EXPECT_EQ(read.describe(), drawn.describe());
    EXPECT_EQ(read.sizes().bias, sizes.bias);
    const Tensor x = random.normal({4, 2, sizes.I}, 0, 1, f64);
    EXPECT_EQ(to_vector<double>(read(x).y), to_vector<double>(drawn(x).y));
  }
}

std::string refusal(const std::vector<NamedTensor>& tensors, const EncoderHints& hints = {}) {
  try {
    Encoder::from_tensors("w", tensors, hints);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(Encoder, RefusesTensorsThatFitNoCell) {
  Random random(1);
  const std::vector<NamedTensor> lstm =
      Encoder({.cell = Cell::lstm, .I = 2, .H = 3}, random).tensors();
  EXPECT_NE(refusal({}).find("has no tensor weight_ih_l0"), std::string::npos);
  EXPECT_NE(refusal(lstm, {.cell = Cell::gru}).find("no gru"), std::string::npos);

  std::vector<NamedTensor> twice = lstm;
  for (const NamedTensor& t : lstm) twice.push_back({"b." + t.name, t.tensor});
  EXPECT_NE(refusal(twice).find("several recurrent layers"), std::string::npos);
  EXPECT_EQ(refusal(twice, {.prefix = "b."}), "");

  std::vector<NamedTensor> wrong = lstm;
  wrong[1].tensor = ones({12, 5}, f64);  // 12 rows are no multiple of 5
  EXPECT_NE(refusal(wrong).find("that is no RNN"), std::string::npos);
  wrong = lstm;
  wrong[2].tensor = ones({3}, f64);
  EXPECT_NE(refusal(wrong).find("bias_ih_l0 is [3]"), std::string::npos);
  wrong = lstm;
  wrong[0].tensor = full({12, 2}, std::numeric_limits<double>::quiet_NaN(), f64);
  EXPECT_NE(refusal(wrong).find("NaN"), std::string::npos);
  wrong = lstm;
  wrong.erase(wrong.begin() + 1);
  EXPECT_NE(refusal(wrong).find("weight_hh_l0"), std::string::npos);
}

TEST(Facts, AreTheOutputsThatWereSeen) {
  Random random(5);
  const Encoder encoder({.cell = Cell::lstm, .I = 2, .H = 3, .layers = 2, .bidirectional = true},
                        random);
  const Tensor x = random.normal({6, 2, 2}, 0, 1, f64);
  const EncoderOut out = encoder(x);
  const auto seen = [&](const char* text) { return Facts(encoder, observation(text), 6)(x, {}); };
  EXPECT_EQ(seen("all").shape(), (Shape{2, 36}));
  EXPECT_EQ(seen("all").item({1, 6 * 2 + 4}), out.y.item({2, 1, 4}));
  EXPECT_EQ(seen("every:2").shape(), (Shape{2, 18}));
  EXPECT_EQ(seen("every:2").item({0, 6}), out.y.item({3, 0, 0}));
  EXPECT_EQ(seen("final").shape(), (Shape{2, 6}));
  EXPECT_EQ(seen("final").item({1, 0}), out.y.item({5, 1, 0}));
  EXPECT_EQ(seen("final").item({1, 3}), out.y.item({0, 1, 3}));
  EXPECT_EQ(seen("final-cell").item({1, 6}), out.last.c.item({2, 1, 0}));
  EXPECT_EQ(seen("state").shape(), (Shape{2, 24}));
  EXPECT_EQ(seen("state").item({0, 23}), out.last.c.item({3, 0, 2}));

  const Tensor C = random.normal({2, 6}, 0, 1, f64);
  Observation read = observation("all");
  read.readout = C;
  const Tensor y = Facts(encoder, read, 6)(x, {});
  EXPECT_NEAR(y.item({1, 2 * 2 + 1}),
              matmul(C, reshape(view::select(view::select(out.y, 0, 2), 0, 1), {6})).item({1}),
              1e-15);
}

TEST(Facts, RowsOfUnknownsHoldTheInputAndTheStatesThatAreSought) {
  Random random(6);
  const Encoder encoder({.cell = Cell::lstm, .I = 2, .H = 3}, random);
  Observation seen = observation("all");
  seen.initial_known = false;
  const Facts facts(encoder, seen, 4);
  EXPECT_EQ(facts.unknowns(), 8 + 6);
  const Tensor x = random.normal({4, 2, 2}, 0, 1, f64);
  const EncoderState state{random.normal({1, 2, 3}, 0, 1, f64),
                           random.normal({1, 2, 3}, 0, 1, f64)};
  const Tensor rows = facts.rows_of(x, state);
  EXPECT_EQ(to_vector<double>(facts.input_of(rows)), to_vector<double>(x));
  EXPECT_EQ(to_vector<double>(facts.state_of(rows).c), to_vector<double>(state.c));
  EXPECT_EQ(to_vector<double>(facts.of_unknowns(rows)), to_vector<double>(facts(x, state)));
}

TEST(Facts, AKnownStateMustFit) {
  Random random(8);
  const Encoder encoder({.cell = Cell::gru, .I = 2, .H = 3, .layers = 2}, random);
  const auto with = [&](const Tensor& h, const Tensor& c = {}) {
    Observation seen = observation("all");
    seen.initial = {h, c};
    return Facts(encoder, seen, 4);
  };
  for (const Shape& bad : {Shape{2, 3}, Shape{1, 1, 3}, Shape{2, 1, 2}})
    EXPECT_THROW(with(zeros(bad, f64)), Error) << to_string(bad);
  EXPECT_THROW(with(full({2, 1, 3}, INFINITY, f64)), Error);
  EXPECT_THROW(with({}, zeros({2, 1, 3}, f64)), Error);
  const Tensor x = random.normal({4, 1, 2}, 0, 1, f64);
  const Facts facts = with(ones({2, 1, 3}, Dtype::float32));
  EXPECT_EQ(to_vector<double>(facts.of_unknowns(facts.rows_of(x))),
            to_vector<double>(facts(x, {ones({2, 1, 3}, f64), {}})));
}

TEST(Facts, ReadOutputsAsFilesHoldThem) {
  Random random(7);
  const Encoder encoder({.cell = Cell::gru, .I = 2, .H = 3}, random);
  const Tensor x = random.normal({5, 1, 2}, 0, 1, f64);
  const Tensor y = encoder(x).y;
  const Facts facts(encoder, observation("all"), 5);
  const auto want = to_vector<double>(facts(x, {}));
  EXPECT_EQ(to_vector<double>(facts.from_outputs(y)), want);
  EXPECT_EQ(to_vector<double>(facts.from_outputs(view::squeeze(y, 1))), want);
  EXPECT_THROW(facts.from_outputs(zeros({4, 1, 3})), Error);
  EXPECT_THROW(facts.from_outputs(full({5, 1, 3}, INFINITY)), Error);
  Tensor bad_place = zeros({5, 2, 3}, f64);
  bad_place.mutable_data<double>()[7] = INFINITY;
  try {
    facts.from_outputs(bad_place);
    FAIL() << "an infinite output was taken";
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("at place 7"), std::string::npos) << e.what();
  }
  for (const char* bad : {"al", "every", "every:0", "every:x", "final:2", "every:3x"})
    EXPECT_THROW(observation(bad), Error) << bad;
}

}  // namespace
}  // namespace unroll
