// Discrete tokens: decoded from every output, counted and found by their last states.
#include "inversion/tokens.h"

#include <cmath>
#include <set>

#include "core/view.h"
#include "tests/testing.h"

namespace unroll {
namespace {

constexpr Dtype f64 = Dtype::float64;
constexpr Cell kCells[] = {Cell::linear, Cell::tanh, Cell::relu, Cell::lstm, Cell::gru};

struct Case {
  Encoder encoder;
  Tensor table, tokens, y;

  Case(const EncoderSizes& sizes, std::int64_t V, std::int64_t T, std::int64_t N,
       std::uint64_t seed)
      : Case(sizes, V, T, N, Random(seed)) {}

 private:
  Case(const EncoderSizes& sizes, std::int64_t V, std::int64_t T, std::int64_t N, Random random)
      : encoder(sizes, random),
        table(random.normal({V, sizes.I}, 0, 1, f64)),
        tokens(random.integers({T, N}, 0, V)),
        y(encoder(embedding(table, tokens)).y) {}
};

TEST(Tokens, AreDecodedFromEveryOutput) {
  for (const Cell cell : kCells) {
    const Case one({.cell = cell, .I = 6, .H = 12}, 50, 30, 3, 1);
    const Decoded back = decode_tokens(one.encoder, one.table, one.y);
    EXPECT_EQ(to_vector<std::int64_t>(back.tokens), to_vector<std::int64_t>(one.tokens))
        << name(cell);
    EXPECT_TRUE(back.is_exact()) << name(cell);
    for (const double margin : back.margin) EXPECT_GT(margin, 1e-3) << name(cell);
  }
}

TEST(Tokens, OfStacksDirectionsAndProjections) {
  const EncoderSizes all[] = {{.cell = Cell::lstm, .I = 4, .H = 9, .layers = 3},
                              {.cell = Cell::gru, .I = 4, .H = 9, .bidirectional = true},
                              {.cell = Cell::lstm, .I = 4, .H = 9, .layers = 2, .projection = 5}};
  for (const EncoderSizes& sizes : all) {
    const Case one(sizes, 20, 15, 2, 2);
    const Decoded back = decode_tokens(one.encoder, one.table, one.y, {.batch = 30});
    EXPECT_EQ(to_vector<std::int64_t>(back.tokens), to_vector<std::int64_t>(one.tokens))
        << one.encoder.describe();
  }
}

TEST(Tokens, OfRoundedOutputs) {
  const Case one({.cell = Cell::lstm, .I = 8, .H = 24}, 40, 20, 4, 3);
  for (const Dtype dtype : {Dtype::float32, Dtype::float16, Dtype::bfloat16}) {
    const Decoded back = decode_tokens(one.encoder, one.table, cast_copy(one.y, dtype));
    EXPECT_EQ(to_vector<std::int64_t>(back.tokens), to_vector<std::int64_t>(one.tokens))
        << name(dtype);
  }
}

// One LSTM unit whose output gate is shut for tokens 0 and 1, which write +1 and -1 into its cell,
// and open for token 2, which writes nothing: the first output says nothing, the second decides.
TEST(Tokens, LaterStepsDecideWhereOneStepCannot) {
  const Tensor w_ih = from_values<double>({0, 0, 0, 0, 3, 0, 0, 20}, {4, 2});
  const Tensor bias = from_values<double>({20, 20, 0, 0}, {4});
  const Encoder gated = Encoder::from_tensors("gated", {{"weight_ih_l0", w_ih},
                                                        {"weight_hh_l0", zeros({4, 1}, f64)},
                                                        {"bias_ih_l0", bias},
                                                        {"bias_hh_l0", zeros({4}, f64)}});
  const Tensor table = from_values<double>({1, -1, -1, -1, 0, 1}, {3, 2});
  for (const std::int64_t first : {0, 1}) {
    const Tensor tokens = from_values<std::int64_t>({first, 2}, {2, 1});
    const Tensor seen = round(gated(embedding(table, tokens)).y * 1e6) / 1e6;
    EXPECT_EQ(seen.item({0, 0, 0}), 0);
    const Decoded back = decode_tokens(gated, table, seen, {.tolerance = 1e-6});
    EXPECT_EQ(to_vector<std::int64_t>(back.tokens), to_vector<std::int64_t>(tokens)) << first;
    EXPECT_TRUE(back.is_exact());
    const Decoded greedy = decode_tokens(gated, table, seen, {.tolerance = 1e-6, .beam = 1});
    EXPECT_FALSE(greedy.is_exact());
  }
}

TEST(Tokens, WithOneEmbeddingAreAlternatives) {
  Case one({.cell = Cell::gru, .I = 3, .H = 8}, 5, 6, 1, 4);
  Tensor twice = view::slice(one.table, 0, 4, 5);
  copy_into(twice, view::slice(one.table, 0, 2, 3));  // token 4 is token 2
  const Tensor tokens = from_values<std::int64_t>({0, 2, 1, 4, 3, 0}, {6, 1});
  const Decoded back =
      decode_tokens(one.encoder, one.table, one.encoder(embedding(one.table, tokens)).y);
  EXPECT_EQ(back.alternatives[0], 3);
  EXPECT_FALSE(back.is_exact());
  EXPECT_EQ(to_vector<std::int64_t>(back.tokens), (std::vector<std::int64_t>{0, 2, 1, 2, 3, 0}));
}

TEST(Tokens, OutputsOfOtherTokensDoNotFit) {
  const Case one({.cell = Cell::lstm, .I = 3, .H = 8}, 9, 6, 2, 5);
  const Decoded back = decode_tokens(one.encoder, one.table, one.y + 1e-3);
  EXPECT_FALSE(back.is_exact());
  EXPECT_GE(back.distance[0], 1e-4);
}

TEST(Tokens, FromAKnownStart) {
  const Case one({.cell = Cell::lstm, .I = 3, .H = 8}, 9, 6, 2, 6);
  Random random(7);
  const EncoderState start = {random.normal({1, 1, 8}, 0, 0.5, f64), {}};
  const EncoderState both = {view::expand(start.h, {1, 2, 8}), {}};
  const Tensor y = one.encoder(embedding(one.table, one.tokens), both).y;
  const Decoded back = decode_tokens(one.encoder, one.table, y, {.initial = start});
  EXPECT_TRUE(back.is_exact());
  EXPECT_EQ(to_vector<std::int64_t>(back.tokens), to_vector<std::int64_t>(one.tokens));
}

TEST(Tokens, RefusesWhatDoesNotFit) {
  const Case one({.cell = Cell::gru, .I = 3, .H = 4}, 5, 6, 2, 8);
  EXPECT_ERROR(decode_tokens(one.encoder, ones({5, 2}, f64), one.y), "[5,2]", "[V,3]");
  EXPECT_ERROR(decode_tokens(one.encoder, one.table, ones({6, 4}, f64)), "[6,4]", "[T,N,4]");
  EXPECT_ERROR(decode_tokens(one.encoder, one.table, one.y * NAN), "NaN");
  const Case deep({.cell = Cell::gru, .I = 3, .H = 4, .layers = 2, .bidirectional = true}, 5, 6, 1,
                  9);
  EXPECT_ERROR(decode_tokens(deep.encoder, deep.table, deep.y), "no order");
}

TEST(TokenCensus, HoldsEverySequence) {
  const Case one({.cell = Cell::lstm, .I = 3, .H = 6}, 4, 5, 1, 10);
  const TokenCensus census = token_census(one.encoder, one.table, 5);
  ASSERT_EQ(census.sequences(), 1024);
  const Tensor tokens = unsqueeze(census.tokens_of(777), 1);
  EXPECT_EQ(to_vector<std::int64_t>(tokens), (std::vector<std::int64_t>{3, 0, 0, 2, 1}));
  const Tensor last = select(one.encoder(embedding(one.table, tokens)).y, 0, 4);
  EXPECT_LE(testing::difference(slice(census.states, 0, 777, 778), last), 1e-14);

  double gap = INFINITY;
  const double* x = census.states.data<double>();
  std::set<std::vector<float>> different;
  for (std::int64_t i = 0; i < 1024; i++) {
    different.insert(std::vector<float>(x + i * 6, x + i * 6 + 6));
    for (std::int64_t j = 0; j < i; j++) {
      double squares = 0;
      for (std::int64_t p = 0; p < 6; p++) squares += std::pow(x[i * 6 + p] - x[j * 6 + p], 2);
      gap = std::min(gap, std::sqrt(squares));
    }
  }
  EXPECT_NEAR(census.smallest_gap, gap, 1e-15);
  EXPECT_EQ(census.distinct[0].count, 1024);
  EXPECT_EQ(census.distinct[1].count, static_cast<std::int64_t>(different.size()));
  EXPECT_LE(census.distinct[3].count, census.distinct[2].count);
}

TEST(TokenCensus, FindsWhoseLastStateItIs) {
  const Case one({.cell = Cell::gru, .I = 3, .H = 6}, 5, 5, 7, 11);
  const TokenCensus census = token_census(one.encoder, one.table, 5);
  const NearestSequences found = nearest_sequences(census, select(one.y, 0, 4));
  EXPECT_EQ(to_vector<std::int64_t>(found.tokens), to_vector<std::int64_t>(one.tokens));
  for (std::size_t n = 0; n < 7; n++) {
    EXPECT_LT(found.distance[n], 1e-14);
    EXPECT_GE(found.margin[n], census.smallest_gap * (1 - 1e-9));
  }
  EXPECT_ERROR(nearest_sequences(census, ones({2, 5}, f64)), "[2,5]", "[N,6]");
}

TEST(TokenCensus, CountsCollisions) {
  // A unit that cannot tell the order: h_t = h_{t-1} + token.
  const Encoder sum = Encoder::from_tensors(
      "sum", {{"weight_ih_l0", ones({1, 1}, f64)}, {"weight_hh_l0", ones({1, 1}, f64)}},
      {.cell = Cell::linear});
  const TokenCensus census = token_census(sum, from_values<double>({0, 1}, {2, 1}), 10);
  EXPECT_EQ(census.distinct[0].count, 11);
  EXPECT_EQ(census.smallest_gap, 0);
  EXPECT_ERROR(token_census(sum, ones({2, 1}, f64), 40, {.most = 1000}), "at most 9 steps");
}

}  // namespace
}  // namespace unroll
