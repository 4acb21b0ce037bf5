// The saturation map of identifiability.h: each layer and direction by itself, as a batch of single
// steps from the states of the run.
#include <algorithm>
#include <cmath>

#include "autograd/ops.h"
#include "autograd/tape.h"
#include "core/view.h"
#include "inversion/identifiability.h"
#include "inversion/numbers.h"

namespace unroll {
namespace {

constexpr Dtype f64 = Dtype::float64;

// One layer in one direction, with biases: their derivatives are those by the pre-activations.
Encoder single(const Encoder& encoder, std::size_t run) {
  const RecurrentWeights& w = encoder.weights()[run];
  const Tensor zero = zeros({w.w_ih.shape()[0]}, f64);
  std::vector<NamedTensor> tensors = {{"weight_ih_l0", w.w_ih},
                                      {"weight_hh_l0", w.w_hh},
                                      {"bias_ih_l0", w.b_ih ? w.b_ih : zero},
                                      {"bias_hh_l0", w.b_hh ? w.b_hh : zero}};
  if (w.w_hr) tensors.push_back({"weight_hr_l0", w.w_hr});
  const EncoderHints hints{.prefix = "", .cell = encoder.sizes().cell};
  return Encoder::from_tensors("encoder", tensors, hints).on(encoder.device());
}

// Of a run over u [T,N,*]: outputs [T,N,P], and the states before each step as one batch [1,T*N,*].
struct States {
  Tensor y;
  EncoderState before;
};

States run(const Encoder& one, const Tensor& u, EncoderState state) {
  const EncoderSizes& s = one.sizes();
  const std::int64_t N = u.shape()[1];
  if (!state.h) state.h = zeros({1, N, s.state_width()}, f64, u.device());
  if (!state.c && s.has_cell_state()) state.c = zeros({1, N, s.H}, f64, u.device());
  Tensors y, h, c;
  for (std::int64_t t = 0; t < u.shape()[0]; t++) {
    h.push_back(state.h);
    if (state.c) c.push_back(state.c);
    const EncoderOut out = one(contiguous_copy(view::slice(u, 0, t, t + 1)), state);
    y.push_back(out.y);
    state = out.last;
  }
  return {cat(y, 0), {cat(h, 1), c.empty() ? Tensor() : cat(c, 1)}};
}

// [T] on the CPU: share of saturated units at each step, over the batch.
Tensor shares(const Encoder& one, const Tensor& u, const EncoderState& before, double threshold) {
  const std::int64_t T = u.shape()[0], N = u.shape()[1], H = one.sizes().H;
  const Tensor& bias = one.weights()[0].b_ih;
  const std::int64_t gates = bias.numel() / H;
  Tensor directions = zeros({gates, gates * H}, f64);
  double* values = directions.mutable_data<double>();
  for (std::int64_t g = 0; g < gates; g++) std::fill_n(values + g * gates * H + g * H, H, 1.0);
  Tape tape;
  const EncoderOut out = one(view::reshape(contiguous_copy(u), {1, T * N, u.shape()[2]}), before);
  // Of its own unit alone: a bias moves no other within a step.
  const Tensor& unit = one.sizes().projection ? out.last.c : out.last.h;
  const Tensor along = on_device(directions, u.device());
  const Tensor slopes = contiguous_copy(tape.push({bias}, {along}, unit));  // [gates,1,T*N,H]
  const NoTape none;
  const Tensor most = detail::on_host(amax(abs(slopes), {0, 1}));
  const double* slope = most.data<double>();
  Tensor share = zeros({T}, f64);
  double* counts = share.mutable_data<double>();
  for (std::int64_t i = 0; i < T * N * H; i++)
    if (slope[i] < threshold) counts[i / (N * H)] += 1.0 / static_cast<double>(N * H);
  return share;
}

// Of a run: where its N sequences start, or where the first of another batch does.
Tensor start_of(const Tensor& state, std::int64_t run, std::int64_t N) {
  if (!state) return state;
  const Tensor own = view::slice(state, 0, run, run + 1);
  if (own.shape()[1] == N) return contiguous_copy(own);
  return contiguous_copy(view::expand(view::slice(own, 1, 0, 1), {1, N, own.shape()[2]}));
}

}  // namespace

Tensor saturation_map(const Facts& facts, const Tensor& x, double threshold) {
  const NoTape none;
  const Encoder& encoder = facts.encoder();
  const EncoderState& start = facts.observation().initial;
  const std::int64_t D = encoder.sizes().directions(), N = x.shape()[1];
  Tensor u = on_device(x, facts.device());
  Tensors columns;
  for (std::int64_t layer = 0; layer < encoder.sizes().layers; layer++) {
    Tensors outputs;
    for (std::int64_t d = 0; d < D; d++) {
      const std::int64_t at = layer * D + d;
      const Encoder one = single(encoder, static_cast<std::size_t>(at));
      const auto in_time = [&](const Tensor& t) { return d == 1 ? flip(t, 0) : t; };
      const Tensor v = in_time(u);
      const States states = run(one, v, {start_of(start.h, at, N), start_of(start.c, at, N)});
      columns.push_back(in_time(shares(one, v, states.before, threshold)));
      outputs.push_back(in_time(states.y));
    }
    u = D == 1 ? outputs[0] : cat(outputs, 2);
  }
  return contiguous_copy(stack(columns, 1));
}

}  // namespace unroll
