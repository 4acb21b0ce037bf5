#include "inversion/claims_certify.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "autograd/ops.h"
#include "inversion/claims_tools.h"
#include "inversion/collision.h"
#include "inversion/tokens.h"

namespace unroll {
namespace {

using namespace claims;

constexpr Dtype f64 = Dtype::float64;

// ---- 4

bool has_second_preimage(Cell cell, std::int64_t I, std::int64_t H, std::uint64_t seed) {
  Random random(seed);
  const Encoder encoder({.cell = cell, .I = I, .H = H}, random);
  Observation seen = observation("final");
  seen.initial = encoder(random.normal({10, 1, I}, 0, 1, f64)).last;
  const Facts step(encoder, seen, 1);
  return second_preimage(step, random.normal({1, I}, 0, 1, f64), {.seed = seed}).found;
}

ClaimRow claim_4(const ClaimContext& context) {
  constexpr std::int64_t kSizes[][2] = {{6, 6}, {6, 8}, {3, 8}};
  std::int64_t found[3] = {};
  for (int i = 0; i < 3; i++)
    for (const Cell cell : {Cell::gru, Cell::lstm})
      for (const bool one : over_seeds(context, 10, [&](std::uint64_t seed) {
             return has_second_preimage(cell, kSizes[i][0], kSizes[i][1], seed);
           }))
        found[i] += one;
  return {4,
          "one step of a GRU and an LSTM from a known state, 60 starts, 10 seeds each",
          "I = H: a second exact preimage in 8-10 of 10; I < H: in none",
          "I6 H6 " + out_of(found[0], 20) + ", I6 H8 " + out_of(found[1], 20) + ", I3 H8 " +
              out_of(found[2], 20),
          "95 % interval reaches .8; none",
          highest_rate(found[0], 20) >= 0.8 && found[0] > 0 && found[1] == 0 && found[2] == 0};
}

// ---- 6

ClaimRow claim_6(const ClaimContext&) {
  bool pass = true;
  std::string measured;
  for (const Dtype dtype : {Dtype::float32, f64}) {
    const TanhQuality library = library_tanh_quality(dtype), engine = engine_tanh_quality(dtype);
    const double point = saturation_point(dtype);
    for (const TanhQuality& q : {library, engine}) {
      pass &= q.bound_ratio <= 1 && q.saturates_at <= point + 0.01 && q.saturates_at > 0.9 * point;
    }
    pass &= std::abs(library.saturates_at - point) <= 0.01 + 0.02 * point * (library.ulps > 0.5);
    char text[160];
    std::snprintf(text, sizeof text,
                  "%s%s: error / bound %.2f (libm, %.2f ulp), %.2f (unroll, %.2f ulp); h = 1 past "
                  "%.2f, %.2f, of %.2f",
                  measured.empty() ? "" : "; ", name(dtype), library.bound_ratio, library.ulps,
                  engine.bound_ratio, engine.ulps, library.saturates_at, engine.saturates_at,
                  point);
    measured += text;
  }
  return {
      6,
      "h = tanh(a) of libm and of unroll against long double, 20000 points up to saturation",
      "|atanh h - a| <= u eps / (1 - h^2) for u ulp; h = 1 past 9.01 (float32), 19.06 (float64)",
      measured,
      "the bound holds; saturation within .01 if correctly rounded, else a little earlier",
      pass};
}

// ---- 24

constexpr std::size_t kRoundingSeeds = 5;

// Medians over seeds of a last state of T steps that is rounded.
T5Rounding rounded_state(const ClaimContext& context, bool orthogonal, std::int64_t T, Dtype dtype,
                         double* worst_ratio = nullptr) {
  const auto losses = over_seeds(context, kRoundingSeeds, [&](std::uint64_t seed) {
    Random random(seed);
    const Encoder encoder({.cell = Cell::tanh, .I = 1, .H = 32}, random,
                          {.orthogonal = orthogonal});
    const Facts facts(encoder, observation("final"), T);
    return rounding_loss(facts, random.normal({1, T}, 0, 1, f64), dtype);
  });
  std::vector<double> predicted, measured, conditions;
  for (const RoundingLoss& loss : losses) {
    predicted.push_back(loss.predicted);
    measured.push_back(loss.measured);
    conditions.push_back(loss.condition);
    if (worst_ratio && loss.predicted < 1e-3)
      *worst_ratio = std::max(*worst_ratio, std::abs(loss.measured / loss.predicted - 1));
  }
  return {orthogonal, T, dtype, median(predicted), median(measured), median(conditions)};
}

bool within_factor(double value, double of, double factor) {
  return value >= of / factor && value <= of * factor;
}

ClaimRow claim_24(const ClaimContext& context) {
  double worst = 0;
  const T5Rounding orth = rounded_state(context, true, 16, Dtype::float32, &worst);
  const T5Rounding torch = rounded_state(context, false, 16, Dtype::float32, &worst);
  const T5Rounding half = rounded_state(context, false, 16, Dtype::float16, &worst);
  return {24,
          "only h_T, rounded; tanh H32 I1 T16, 5 seeds, medians",
          "rms error = first-order J^+ delta while small; float32: orth 7e-8, torch 1.8e-4; "
          "float16: torch 1.3 (lost)",
          "float32: orth " + text_of(orth.measured) + " (predicted " + text_of(orth.predicted) +
              "), torch " + text_of(torch.measured) + " (" + text_of(torch.predicted) +
              "); float16: torch " + text_of(half.measured) + "; worst |measured/predicted - 1| " +
              text_of(worst) + " below 1e-3",
          "5 % of the prediction; orth within a factor 2, torch 10; lost: above .3",
          worst <= 0.05 && within_factor(orth.measured, 7e-8, 2) &&
              within_factor(torch.measured, 1.8e-4, 10) && half.measured > 0.3};
}

// ---- 26

ClaimRow claim_26(const ClaimContext& context) {
  constexpr std::size_t kSeeds = 10;
  std::int64_t found = 0, all = 0;
  double nearest = 1e300;
  std::string measured;
  for (const Cell cell : {Cell::tanh, Cell::gru, Cell::lstm, Cell::linear}) {
    const auto collisions = over_seeds(context, kSeeds, [&](std::uint64_t seed) {
      Random random(seed);
      const Encoder encoder({.cell = cell, .I = 1, .H = 8}, random);
      const Facts facts(encoder, observation("final"), 24);
      return find_collision(facts, random.normal({1, 24}, 0, 1, f64), {.seed = seed});
    });
    double farthest = 0;
    for (const Collision& c : collisions) {
      all++;
      found += c.found && c.input_distance >= 2 && c.output_distance < 1e-10;
      farthest = std::max(farthest, c.output_distance);
      nearest = std::min(nearest, c.input_distance);
    }
    measured += std::string(name(cell)) + " " + text_of(farthest) + ", ";
  }
  return {26,
          "only h_T; T24 H8 I1, two inputs of one output, 10 seeds of each cell",
          "inputs at distance 2, outputs nearer than 1e-10",
          measured + "at distance " + text_of(nearest) + " or more; " + out_of(found, all),
          "all",
          found == all};
}

// ---- 27

bool is_decoded(std::uint64_t seed) {
  constexpr std::int64_t V = 1000, T = 50, I = 16;
  Random random(seed);
  const Encoder encoder({.cell = Cell::lstm, .I = I, .H = 32}, random);
  const Tensor table = random.normal({V, I}, 0, 1, f64), tokens = random.integers({T, 1}, 0, V);
  const Decoded back =
      decode_tokens(encoder, table, run_in_float32(encoder, embedding(table, tokens)));
  return back.is_exact() && to_vector<std::int64_t>(back.tokens) == to_vector<std::int64_t>(tokens);
}

ClaimRow claim_27(const ClaimContext& context) {
  constexpr std::int64_t V = 10, T = 5, I = 8;
  constexpr Cell kCells[] = {Cell::tanh, Cell::gru, Cell::lstm};
  std::string gaps;
  std::int64_t fewest = 1 << 30;
  const auto censuses = over_seeds(context, 3, [&](std::uint64_t seed) {
    Random random(seed);
    const Encoder encoder({.cell = kCells[seed % 3], .I = I, .H = 16}, random);
    TokenCensus census = token_census(encoder, random.normal({V, I}, 0, 1, f64), T);
    census.states = {};
    return census;
  });
  for (const TokenCensus& census : censuses) {
    fewest = std::min(fewest, census.distinct[2].count);
    gaps += (gaps.empty() ? "" : ", ") + text_of(census.smallest_gap);
  }
  std::int64_t decoded = 0;
  constexpr std::size_t kSeeds = 10;
  for (const char one : over_seeds(context, kSeeds, is_decoded)) decoded += one;
  return {27,
          "all 10^5 sequences of V10 T5 (I8 H16; tanh, GRU, LSTM); stepwise from a float32 LSTM, "
          "V1000 T50 I16 H32, 10 seeds",
          "all last states distinct, even in float16; decoding exact 10/10",
          "distinct in float16 " + text_of(fewest) + " of 100000, smallest gaps " + gaps +
              "; decoded " + out_of(decoded, 10),
          "all",
          fewest == 100000 && decoded == 10};
}

// ---- 28

ClaimRow claim_28(const ClaimContext& context) {
  bool pass = true;
  std::string measured;
  for (const std::int64_t V : {2, 4, 8}) {
    measured += "V" + text_of(V);
    for (const Dtype dtype : {Dtype::float32, f64}) {
      const std::int64_t T = base_code_measured(V, dtype, context.seed);
      pass &= T == base_code_capacity(V, dtype);
      measured += (dtype == f64 ? " / " : " ") + text_of(T);
    }
    measured += ", ";
  }
  const std::int64_t three = base_code_measured(3, f64, context.seed);
  return {28,
          "H = 1 linear RNN, h_t = (h_{t-1} + token) / V, read off h_T digit by digit",
          "T = floor(mantissa bits / log2 V): V2 24 / 53, V4 12 / 26 (float32 / float64); V dyadic "
          "only",
          measured + "V3 only " + text_of(three) + " of 33",
          "exact",
          pass && three < 33};
}

using Measure = ClaimRow (*)(const ClaimContext&);
constexpr std::pair<int, Measure> kClaims[] = {{4, claim_4},
                                               {5, claims::noise_gain},
                                               {6, claim_6},
                                               {7, claims::saturated_rows},
                                               {8, claims::active_rows},
                                               {24, claim_24},
                                               {26, claim_26},
                                               {27, claim_27},
                                               {28, claim_28}};

}  // namespace

ClaimRows certify_claims(const ClaimContext& context, const std::vector<int>& claims) {
  ClaimRows rows;
  for (const int wanted : claims) {
    const auto found = std::find_if(std::begin(kClaims), std::end(kClaims),
                                    [&](const auto& each) { return each.first == wanted; });
    if (found == std::end(kClaims))
      fail("certify_claims", "claim " + std::to_string(wanted) + " is none of these");
    if (context.progress) context.progress("claim " + std::to_string(wanted));
    rows.push_back(found->second(context));
  }
  return rows;
}

ClaimRows certify_claims(const ClaimContext& context) {
  std::vector<int> all;
  for (const auto& [claim, measure] : kClaims) all.push_back(claim);
  return certify_claims(context, all);
}

T5 run_t5(const ClaimContext& context) {
  T5 t5;
  for (const Dtype dtype : {Dtype::float32, f64})
    t5.tanh.push_back(
        {dtype, saturation_point(dtype), library_tanh_quality(dtype), engine_tanh_quality(dtype)});
  for (const bool orthogonal : {true, false})
    for (const std::int64_t T : {8, 16, 24}) {
      if (context.progress) context.progress("rounded states, T " + std::to_string(T));
      for (const Dtype dtype : {Dtype::float32, Dtype::float16, Dtype::bfloat16})
        t5.rounding.push_back(rounded_state(context, orthogonal, T, dtype));
    }
  for (const std::int64_t V : {2, 3, 4, 8, 10, 16})
    for (const Dtype dtype : {Dtype::float32, f64})
      t5.digits.push_back(
          {V, dtype, base_code_capacity(V, dtype), base_code_measured(V, dtype, context.seed)});
  return t5;
}

}  // namespace unroll
