#include "inversion/reservoir.h"

#include <cmath>
#include <utility>

#include "autograd/ops.h"
#include "autograd/tape.h"
#include "core/view.h"
#include "inversion/linear_algebra.h"
#include "inversion/numbers.h"
#include "models/init.h"

namespace unroll {
namespace {

constexpr std::pair<ReservoirKind, const char*> kKinds[] = {{ReservoirKind::orthogonal, "orth"},
                                                            {ReservoirKind::ring, "ring"},
                                                            {ReservoirKind::gaussian, "gaussian"},
                                                            {ReservoirKind::delay, "delay"}};

void check(const ReservoirOptions& o) {
  constexpr std::int64_t most = 1 << 14;  // beyond, one W takes gigabytes
  if (o.N < 1 || o.N > most)
    fail("reservoir", "N " + std::to_string(o.N) + " is not in 1.." + std::to_string(most));
  for (const auto& [value, what] : {std::pair(o.rho, "rho"), std::pair(o.gain, "gain")})
    if (!std::isfinite(value) || value < 0)
      fail("reservoir", std::string(what) + " must be a finite number of at least 0");
  if (o.cell == Cell::lstm || o.cell == Cell::gru)
    fail("reservoir", "the cell must be linear, tanh or relu, not " + std::string(name(o.cell)));
}

bool is_chain(ReservoirKind kind) {
  return kind == ReservoirKind::ring || kind == ReservoirKind::delay;
}

Tensor chain(const ReservoirOptions& o) {
  Tensor W = zeros({o.N, o.N}, Dtype::float64);
  double* values = W.mutable_data<double>();
  for (std::int64_t i = 1; i < o.N; i++) values[i * o.N + i - 1] = o.rho;
  if (o.kind == ReservoirKind::ring) values[o.N - 1] = o.rho;
  return W;
}

Tensor recurrent_weights(const ReservoirOptions& o, Random& random) {
  if (is_chain(o.kind)) return chain(o);
  if (o.kind == ReservoirKind::orthogonal) {
    Tensor W = empty({o.N, o.N}, Dtype::float64);
    init::orthogonal(W, random, o.rho);
    return W;
  }
  const Tensor W = random.normal({o.N, o.N}, 0, 1, Dtype::float64);
  return W * (o.rho / spectral_radius(W));
}

Tensor input_weights(const ReservoirOptions& o, Random& random) {
  if (!is_chain(o.kind))
    return random.normal({o.N, 1}, 0, o.gain / std::sqrt(static_cast<double>(o.N)), Dtype::float64);
  Tensor w = zeros({o.N, 1}, Dtype::float64);
  w.mutable_data<double>()[0] = o.gain;
  return w;
}

}  // namespace

const char* name(ReservoirKind kind) noexcept {
  for (const auto& [value, text] : kKinds)
    if (value == kind) return text;
  return "?";
}

std::vector<std::string> reservoir_kinds() {
  std::vector<std::string> all;
  for (const auto& [value, text] : kKinds) all.emplace_back(text);
  return all;
}

ReservoirKind reservoir_kind(const std::string& name) {
  std::string all;
  for (const auto& [value, text] : kKinds) {
    if (name == text) return value;
    all += (all.empty() ? "" : ", ") + std::string(text);
  }
  fail("reservoir", "there is no " + name + "; there are: " + all);
}

Encoder reservoir(const ReservoirOptions& options, Random& random) {
  check(options);
  const NoTape none;
  const Tensor W = recurrent_weights(options, random);
  const Tensor w = input_weights(options, random);
  return Encoder::from_tensors("reservoir", {{"weight_ih_l0", w}, {"weight_hh_l0", W}},
                               {.prefix = "", .cell = options.cell});
}

LinearNetwork linear_network(const Encoder& encoder) {
  const EncoderSizes& s = encoder.sizes();
  if (s.cell != Cell::linear || s.layers != 1 || s.bidirectional || s.I != 1)
    fail("linear_network", "one linear layer of one direction with one input is wanted, not " +
                               encoder.describe() + "; sample the memory of other networks");
  const RecurrentWeights& weights = encoder.weights()[0];
  return {detail::on_host(weights.w_hh), detail::on_host(view::squeeze(weights.w_ih, 1))};
}

}  // namespace unroll
