#include "tests/inversion_suite.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "autograd/ops.h"
#include "core/view.h"
#include "inversion/collision.h"

namespace unroll::testing {
namespace {

constexpr Dtype f64 = Dtype::float64;
constexpr Cell kCells[] = {Cell::tanh, Cell::gru, Cell::lstm, Cell::linear};

std::int64_t between(Random& random, std::int64_t low, std::int64_t high) {
  return random.integer(low, high + 1);
}

// The parts of a case that a family chooses.
struct Draft {
  Kind kind;
  EncoderSizes sizes;
  Observation observation;
  std::int64_t T, N = 1;
  RecurrentInit init = {};
  double scale = 1;
};

// CLAIMS.md 1, 2, 3, 9: every output, I well below H.
Draft all_seen(Random& r) {
  Draft d{.kind = Kind::solvable, .observation = observation("all")};
  d.sizes = {.cell = kCells[between(r, 0, 3)], .I = between(r, 1, 5)};
  d.sizes.layers = between(r, 1, 2);
  d.sizes.H = between(r, d.sizes.I + (d.sizes.layers > 1 ? 8 : 3), 24);
  d.sizes.bias = between(r, 0, 3) > 0;
  d.T = between(r, 1, 40);
  d.N = between(r, 1, 3);
  const double noises[] = {0, 0, 1e-6, 1e-9};
  d.observation.noise = noises[between(r, 0, 3)];
  if (between(r, 0, 2) == 0) d.observation.dtype = Dtype::float32;
  d.init.orthogonal = between(r, 0, 1);
  return d;
}

// Both directions of one layer.
Draft both_directions(Random& r) {
  Draft d = all_seen(r);
  d.sizes.layers = 1;
  d.sizes.bidirectional = true;
  d.N = 1;
  if (between(r, 0, 3) == 0) {  // each direction alone has other roots
    d.sizes.H = d.sizes.I;
    d.T = std::min<std::int64_t>(d.T, 8);
    d.observation.noise = 0;
  }
  return d;
}

// CLAIMS.md 25, below k*I = H.
Draft every_kth(Random& r) {
  Draft d{.kind = Kind::solvable, .sizes = {.cell = Cell::tanh, .I = 2, .H = 16}};
  const std::int64_t k = between(r, 2, 6);
  d.observation = observation("every:" + std::to_string(k));
  d.T = k * between(r, 1, 4);
  d.init.orthogonal = true;
  return d;
}

// CLAIMS.md 12: a readout of at least as many numbers as inputs, all T at once.
Draft readout(Random& r) {
  Draft d{.kind = Kind::solvable, .observation = observation("all")};
  d.sizes = {.cell = kCells[between(r, 0, 3)], .I = between(r, 1, 3), .H = between(r, 12, 20)};
  const std::int64_t width = d.sizes.I + between(r, 2, 6);
  d.observation.readout = r.normal({width, d.sizes.H}, 0, 1 / std::sqrt(double(d.sizes.H)), f64);
  d.T = between(r, 2, 16);
  return d;
}

// CLAIMS.md 20 and 21: only the last state of a tanh RNN.
Draft last_state(Random& r) {
  Draft d{.kind = Kind::solvable, .sizes = {.cell = Cell::tanh, .I = 1, .H = 32}};
  d.init.orthogonal = between(r, 0, 1);
  d.observation = observation("final");
  d.T = d.init.orthogonal ? between(r, 4, 26) : between(r, 4, 12);
  return d;
}

// CLAIMS.md 13, 26: more inputs than numbers in the last state.
Draft too_long(Random& r) {
  Draft d{.kind = Kind::deficient};
  d.sizes = {.cell = kCells[between(r, 0, 3)], .I = between(r, 1, 2), .H = between(r, 4, 10)};
  d.sizes.layers = between(r, 1, 2);
  d.init.orthogonal = between(r, 0, 1);
  d.observation = observation("final");
  d.T = d.sizes.H / d.sizes.I + between(r, 2, 8);
  return d;
}

// CLAIMS.md 12: fewer numbers seen at a step than there are inputs.
Draft thin_readout(Random& r) {
  Draft d{.kind = Kind::deficient, .observation = observation("all")};
  d.sizes = {.cell = kCells[between(r, 0, 2)], .I = between(r, 2, 4), .H = 12};
  d.observation.readout = r.normal({d.sizes.I - 1, d.sizes.H}, 0, 0.3, f64);
  d.T = between(r, 2, 8);
  return d;
}

// CLAIMS.md 10: where the run started is not known.
Draft unknown_start(Random& r) {
  Draft d{.kind = Kind::deficient, .observation = observation("all")};
  d.sizes = {.cell = kCells[between(r, 0, 2)], .I = between(r, 1, 3), .H = between(r, 8, 12)};
  d.observation.initial_known = false;
  d.T = between(r, 4, 10);
  return d;
}

// CLAIMS.md 22, and square blocks: nobody knows beforehand.
Draft hard(Random& r) {
  Draft d{.kind = Kind::open};
  if (between(r, 0, 1)) {
    d.sizes = {.cell = kCells[between(r, 1, 2)], .I = 1, .H = between(r, 16, 32)};
    d.observation = observation("final");
    d.T = between(r, 6, 16);
  } else {
    d.sizes = {.cell = kCells[between(r, 0, 2)], .I = between(r, 3, 6)};
    d.sizes.H = d.sizes.I;
    d.observation = observation("all");
    d.T = between(r, 4, 12);
  }
  d.scale = between(r, 0, 1) ? 1 : 3;
  return d;
}

// Rows of a readout that say the same: as many facts as inputs, or fewer, though more numbers.
Draft dependent_readout(Random& r) {
  Draft d{.kind = Kind::open, .observation = observation("all")};
  d.sizes = {.cell = kCells[between(r, 0, 2)], .I = between(r, 1, 3)};
  d.sizes.H = d.sizes.I + between(r, 0, 1);
  const Tensor C = r.normal({d.sizes.H, d.sizes.H}, 0, 1, f64);
  d.observation.readout = cat({C, C * 2.0}, 0);
  d.T = between(r, 1, 5);
  return d;
}

// Pieces of linear maps, which may meet again, and units at their kink.
Draft relu_network(Random& r) {
  Draft d{.kind = Kind::open, .sizes = {.cell = Cell::relu, .I = between(r, 1, 3)}};
  d.sizes.layers = between(r, 1, 3);
  d.sizes.H = between(r, d.sizes.I + 1, 12);
  d.sizes.bidirectional = between(r, 0, 2) == 0;
  const char* seen[] = {"all", "final", "state"};
  d.observation = observation(seen[between(r, 0, 2)]);
  d.T = between(r, 1, 4);
  return d;
}

// As many numbers in the last state as inputs.
Draft square_state(Random& r) {
  Draft d{.kind = Kind::open, .observation = observation("final")};
  d.T = between(r, 2, 5);
  d.sizes = {.cell = kCells[between(r, 0, 2)], .I = between(r, 1, 3)};
  d.sizes.H = d.T * d.sizes.I;
  return d;
}

// Noise that is not small beside what a step tells.
Draft noisy(Random& r) {
  Draft d{.kind = Kind::open, .observation = observation("all")};
  d.sizes = {.cell = kCells[between(r, 0, 2)], .I = between(r, 1, 5)};
  d.sizes.H = d.sizes.I + between(r, 1, 4);
  d.T = between(r, 1, 6);
  const double noises[] = {1e-6, 1e-4, 1e-3};
  d.observation.noise = noises[between(r, 0, 2)];
  return d;
}

using Family = Draft (*)(Random&);
constexpr Family kFamilies[] = {all_seen,     all_seen,      all_seen,   both_directions,
                                every_kth,    readout,       last_state, too_long,
                                thin_readout, unknown_start, hard,       dependent_readout,
                                relu_network, square_state,  noisy};

std::string described(const Draft& d, const Encoder& encoder) {
  char text[160];
  std::snprintf(text, sizeof text, "%s, seen %s%s, T %lld, noise %g, %s",
                encoder.describe().c_str(), name(d.observation).c_str(),
                d.observation.readout ? " through a readout" : "", static_cast<long long>(d.T),
                d.observation.noise, name(d.observation.dtype));
  return text;
}

// As files hold it: [N,m] back to [T,N,width] or [N,width], rounded and with its noise.
Tensor as_outputs(const Facts& facts, const Tensor& y, Random& random) {
  const Observation& seen = facts.observation();
  Tensor out = y;
  if (seen.noise > 0) out = out + random.normal(y.shape(), 0, seen.noise, f64);
  const bool sequence = seen.outputs == Seen::all || seen.outputs == Seen::every;
  if (sequence)
    out = view::transpose(view::reshape(out, {y.shape()[0], facts.steps_seen(), facts.width()}), 0,
                          1);
  return cast_copy(out, seen.dtype);
}

double largest(const Tensor& x) {
  double most = 0;
  for (double v : to_vector<double>(x)) most = std::max(most, std::abs(v));
  return most;
}

std::string text(double value) {
  char buffer[32];
  std::snprintf(buffer, sizeof buffer, "%.3g", value);
  return buffer;
}

// A second input with the facts of the first, to what their errors explain.
bool is_collision(const InversionCase& the, const Inversion& found, std::int64_t n) {
  const SequenceInversion& s = found.sequences[static_cast<std::size_t>(n)];
  return s.other && s.other_distance > 1e-3 &&
         s.other_difference <= 1e-9 * (1 + largest(the.outputs)) + 20 * s.fact_error;
}

}  // namespace

InversionCase inversion_case(std::uint64_t seed, std::int64_t index) {
  Random random(seed, 1000 + static_cast<std::uint64_t>(index));
  const Draft d = kFamilies[static_cast<std::size_t>(index) % std::size(kFamilies)](random);
  const Encoder encoder(d.sizes, random, d.init);
  const Facts facts(encoder, d.observation, d.T);
  const Tensor x = random.normal({d.T, d.N, d.sizes.I}, 0, d.scale, f64);
  EncoderState initial;
  if (!d.observation.initial_known) {
    initial.h = random.normal({d.sizes.layers, d.N, d.sizes.H}, 0, 0.3, f64);
    if (d.sizes.has_cell_state())
      initial.c = random.normal({d.sizes.layers, d.N, d.sizes.H}, 0, 0.3, f64);
  }
  return {described(d, encoder),
          d.kind,
          encoder,
          d.observation,
          x,
          initial,
          as_outputs(facts, facts(x, initial), random),
          d.T};
}

std::string wrong_verdict(const InversionCase& the, const Inversion& found, std::int64_t n) {
  const SequenceInversion& s = found.sequences[static_cast<std::size_t>(n)];
  const Tensor error = view::select(found.x, 1, n) - view::select(the.x, 1, n);
  if (s.verdict == Verdict::recovered) {
    if (!(largest(error) <= s.error_bound))
      return "recovered, but off by " + text(largest(error)) + ", bound " + text(s.error_bound);
    if (the.kind == Kind::deficient) return "recovered, but it is rank-deficient";
  }
  if (s.verdict == Verdict::ambiguous && !is_collision(the, found, n) && s.facts >= s.unknowns &&
      s.rank >= s.unknowns)
    return "ambiguous without a proof";
  const std::vector<double> off = to_vector<double>(error), bound = to_vector<double>(s.bound);
  for (std::size_t i = 0; i < off.size(); i++)
    if (!(std::abs(off[i]) <= bound[i]))
      return "number " + std::to_string(i) + " is off by " + text(off[i]) + ", bound " +
             text(bound[i]);
  return "";
}

}  // namespace unroll::testing
