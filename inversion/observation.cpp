#include "inversion/observation.h"

#include <charconv>
#include <cmath>
#include <limits>

#include "autograd/ops.h"
#include "core/view.h"
#include "inversion/linear_algebra.h"
#include "inversion/numbers.h"

namespace unroll {
namespace {

constexpr std::pair<Seen, const char*> kNames[] = {{Seen::all, "all"},
                                                   {Seen::every, "every"},
                                                   {Seen::final, "final"},
                                                   {Seen::final_cell, "final-cell"},
                                                   {Seen::state, "state"}};

bool is_sequence(Seen seen) { return seen == Seen::all || seen == Seen::every; }

// Numbers seen at a step, before a readout.
std::int64_t plain_width(const EncoderSizes& s, Seen seen) {
  const std::int64_t cells = s.has_cell_state() ? s.H : 0;
  switch (seen) {
    case Seen::all:
    case Seen::every:
    case Seen::final: return s.output_width();
    case Seen::final_cell: return s.output_width() + s.directions() * s.H;
    case Seen::state: return s.layers * s.directions() * (s.state_width() + cells);
  }
  return 0;
}

// [L*D,N,W] -> [N,L*D*W]
Tensor side_by_side(const Tensor& states) {
  const Shape& s = states.shape();
  return reshape(transpose(states, 0, 1), {s[1], s[0] * s[2]});
}

// The rows of the last layer's directions.
Tensor of_last_layer(const Tensor& states, const EncoderSizes& sizes) {
  const std::int64_t runs = states.shape()[0];
  return slice(states, 0, runs - sizes.directions(), runs);
}

void require_finite(const char* what, const Tensor& x) {
  const double* values = x.data<double>();
  for (std::int64_t i = 0; i < x.numel(); i++)
    if (!std::isfinite(values[i]))
      fail("observation",
           std::string(what) + " hold NaN or infinity at place " + std::to_string(i));
}

// A known state at the start as float64 on the encoder's device, or undefined.
Tensor checked_state(const std::string& what, const Encoder& encoder, const Tensor& state,
                     std::int64_t width) {
  if (!state) return state;
  const EncoderSizes& s = encoder.sizes();
  const std::int64_t runs = s.layers * s.directions();
  if (state.rank() != 3 || state.shape()[0] != runs || state.shape()[2] != width)
    fail("observation", what + " is " + to_string(state.shape()) + " but must be [" +
                            std::to_string(runs) + ",N," + std::to_string(width) + "]");
  const Tensor wide = cast_copy(detail::on_host(state), Dtype::float64);
  require_finite((what + "'s numbers").c_str(), wide);
  return on_device(wide, encoder.device());
}

}  // namespace

std::string name(const Observation& observation) {
  for (const auto& [seen, text] : kNames)
    if (seen == observation.outputs)
      return seen == Seen::every ? text + (":" + std::to_string(observation.every)) : text;
  return "?";
}

Observation observation(const std::string& text) {
  const std::size_t colon = text.find(':');
  for (const auto& [seen, known] : kNames) {
    if (text.substr(0, colon) != known || (colon != std::string::npos) != (seen == Seen::every))
      continue;
    Observation result{.outputs = seen};
    if (seen != Seen::every) return result;
    const char *first = text.data() + colon + 1, *last = text.data() + text.size();
    const auto [end, error] = std::from_chars(first, last, result.every);
    if (error == std::errc() && end == last && result.every >= 1) return result;
  }
  fail("observation", "'" + text + "' is none of all, every:K, final, final-cell, state");
}

Facts::Facts(const Encoder& encoder, const Observation& observation, std::int64_t T)
    : encoder_(encoder), observation_(observation), T_(T) {
  const EncoderSizes& s = encoder.sizes();
  if (T < 1) fail("observation", "a run of " + std::to_string(T) + " steps says nothing");
  if (observation.outputs == Seen::every && (observation.every < 1 || observation.every > T))
    fail("observation", "every " + std::to_string(observation.every) + "th of " +
                            std::to_string(T) + " steps are no steps");
  if (observation.outputs == Seen::final_cell && !s.has_cell_state())
    fail("observation", "final-cell asks for a cell state, which only an LSTM has: use final");
  if (observation.initial.c && !s.has_cell_state())
    fail("observation", "c_0 is an LSTM's, and this is a " + encoder.describe());
  observation_.initial = {checked_state("h_0", encoder, observation.initial.h, s.state_width()),
                          checked_state("c_0", encoder, observation.initial.c, s.H)};
  independent_width_ = plain_width(s, observation.outputs);
  if (!observation.readout) return;
  const Tensor& C = observation.readout;
  const std::int64_t width = plain_width(s, observation.outputs);
  if (C.rank() != 2 || C.shape()[1] != width || C.shape()[0] < 1)
    fail("observation", "the readout is " + to_string(C.shape()) + " but must be [M," +
                            std::to_string(width) + "]");
  const Tensor wide = cast_copy(detail::on_host(C), Dtype::float64);
  require_finite("the readout's numbers", wide);
  independent_width_ = numerical_rank(singular_values(wide), C.shape()[0], width);
  observation_.readout = on_device(wide, device());
}

std::int64_t Facts::steps_seen() const noexcept {
  return observation_.outputs == Seen::all     ? T_
         : observation_.outputs == Seen::every ? T_ / observation_.every
                                               : 1;
}

std::int64_t Facts::width() const noexcept {
  return observation_.readout ? observation_.readout.shape()[0]
                              : plain_width(encoder_.sizes(), observation_.outputs);
}

std::int64_t Facts::state_size() const noexcept {
  return plain_width(encoder_.sizes(), Seen::state);
}

std::int64_t Facts::unknowns() const noexcept {
  return T_ * encoder_.sizes().I + (observation_.initial_known ? 0 : state_size());
}

Tensor Facts::seen_of(const EncoderOut& out) const {
  const EncoderSizes& s = encoder_.sizes();
  switch (observation_.outputs) {
    case Seen::all: return transpose(out.y, 0, 1);
    case Seen::every: {
      const std::int64_t k = observation_.every;
      return transpose(slice(out.y, 0, k - 1, T_, k), 0, 1);
    }
    case Seen::final: return side_by_side(of_last_layer(out.last.h, s));
    case Seen::final_cell:
      return cat(
          {side_by_side(of_last_layer(out.last.h, s)), side_by_side(of_last_layer(out.last.c, s))},
          1);
    case Seen::state:
      return s.has_cell_state() ? cat({side_by_side(out.last.h), side_by_side(out.last.c)}, 1)
                                : side_by_side(out.last.h);
  }
  return {};
}

void Facts::require_here(const char* op, const std::string& what, const Tensor& t) const {
  if (!(t.device() == device()))
    fail(op, what + " is on " + unroll::name(t.device()) + " but the encoder is on " +
                 unroll::name(device()) +
                 ": take it from Facts::rows_of or from_outputs, or move one by on_device or "
                 "Encoder::on");
}

Tensor Facts::operator()(const Tensor& x, const EncoderState& initial) const {
  require_here("Facts", "the input", x);
  Tensor seen = seen_of(encoder_(x, initial));
  if (observation_.readout) seen = linear(seen, observation_.readout);
  return reshape(seen, {x.shape()[1], count()});
}

Tensor Facts::input_of(const Tensor& rows) const {
  const std::int64_t N = rows.shape()[0], I = encoder_.sizes().I;
  const Tensor x = unknowns() == T_ * I ? rows : slice(rows, 1, 0, T_ * I);
  return transpose(reshape(x, {N, T_, I}), 0, 1);
}

EncoderState Facts::state_of(const Tensor& rows) const {
  const EncoderSizes& s = encoder_.sizes();
  const std::int64_t N = rows.shape()[0], runs = s.layers * s.directions();
  if (observation_.initial_known) {
    const auto spread = [&](const Tensor& state) {
      return state && state.shape()[1] != N ? expand(state, {runs, N, state.shape()[2]}) : state;
    };
    return {spread(observation_.initial.h), spread(observation_.initial.c)};
  }
  const auto part = [&](std::int64_t from, std::int64_t width) {
    const Tensor flat = slice(rows, 1, from, from + runs * width);
    return transpose(reshape(flat, {N, runs, width}), 0, 1);
  };
  const std::int64_t at = T_ * s.I;
  return {part(at, s.state_width()),
          s.has_cell_state() ? part(at + runs * s.state_width(), s.H) : Tensor()};
}

Tensor Facts::of_unknowns(const Tensor& rows) const {
  return (*this)(input_of(rows), state_of(rows));
}

Tensor Facts::rows_of(const Tensor& x, const EncoderState& initial) const {
  const EncoderSizes& s = encoder_.sizes();
  const std::int64_t N = x.shape()[1];
  const Tensor inputs = reshape(transpose(to(x, device()), 0, 1), {N, T_ * s.I});
  if (observation_.initial_known) return inputs;
  const auto part = [&](const Tensor& state, std::int64_t width) {
    return state ? side_by_side(to(state, device()))
                 : zeros({N, s.layers * s.directions() * width}, Dtype::float64, device());
  };
  const Tensor h = part(initial.h, s.state_width());
  return s.has_cell_state() ? cat({inputs, h, part(initial.c, s.H)}, 1) : cat({inputs, h}, 1);
}

Tensor Facts::from_outputs(const Tensor& outputs) const {
  const bool sequence = is_sequence(observation_.outputs);
  const int batched = sequence ? 3 : 2;
  const auto refuse = [&] {
    const std::string steps = sequence ? std::to_string(steps_seen()) + "," : "";
    fail("observation", "outputs are " + to_string(outputs.shape()) + " but " +
                            encoder_.describe() + " seen as " + name(observation_) + " gives [" +
                            steps + "N," + std::to_string(width()) + "]");
  };
  if (outputs.rank() != batched && outputs.rank() != batched - 1) refuse();
  Tensor y = outputs.rank() == batched ? outputs : view::unsqueeze(outputs, sequence ? 1 : 0);
  if (y.shape()[batched - 1] != width() || (sequence && y.shape()[0] != steps_seen())) refuse();
  y = cast_copy(detail::on_host(y), Dtype::float64);
  require_finite("the outputs", y);
  if (sequence) y = contiguous_copy(view::transpose(y, 0, 1));
  return on_device(view::reshape(y, {y.shape()[0], count()}), device());
}

std::int64_t steps_of_outputs(const Tensor& outputs, const Observation& observation) {
  if (!is_sequence(observation.outputs))
    fail("observation", name(observation) + " does not say how many steps the run had: give them");
  if (outputs.rank() < 2 || outputs.shape()[0] < 1)
    fail("observation", "outputs are " + to_string(outputs.shape()) + ", not [T,N,width]");
  const std::int64_t looks = outputs.shape()[0];
  const std::int64_t k = observation.outputs == Seen::every ? observation.every : 1;
  if (k > std::numeric_limits<std::int64_t>::max() / looks)
    fail("observation", "every " + std::to_string(k) + "th step of that many looks is no step");
  return looks * k;
}

}  // namespace unroll
