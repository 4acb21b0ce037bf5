#include "models/layers.h"

#include <cmath>

#include "autograd/ops.h"
#include "core/view.h"
#include "models/init.h"

namespace unroll {

Linear::Linear(Parameters& parameters, const std::string& prefix, std::int64_t in, std::int64_t out,
               bool bias)
    : weight_(parameters.add(prefix + ".weight", {out, in})),
      bias_(bias ? parameters.add(prefix + ".bias", {out}) : Tensor()) {}

void Linear::reset(Random& random) {
  const double bound = 1 / std::sqrt(static_cast<double>(weight_.shape()[1]));
  init::uniform(weight_, bound, random);
  if (bias_) init::uniform(bias_, bound, random);
}

Tensor Linear::operator()(const Tensor& x) const { return linear(x, weight_, bias_); }

RecurrentWeights::RecurrentWeights(Parameters& parameters, const std::string& prefix,
                                   std::int64_t gates, std::int64_t I, std::int64_t H, bool bias)
    : w_ih(parameters.add(prefix + ".weight_ih_l0", {gates * H, I})),
      w_hh(parameters.add(prefix + ".weight_hh_l0", {gates * H, H})),
      b_ih(bias ? parameters.add(prefix + ".bias_ih_l0", {gates * H}) : Tensor()),
      b_hh(bias ? parameters.add(prefix + ".bias_hh_l0", {gates * H}) : Tensor()) {}

void RecurrentWeights::reset(Random& random, const RecurrentInit& init) {
  const std::int64_t H = hidden();
  const double bound = 1 / std::sqrt(static_cast<double>(H));
  for (Tensor* x : {&w_ih, &w_hh, &b_ih, &b_hh})
    if (*x) init::uniform(*x, bound, random);
  if (!init.orthogonal) return;
  for (std::int64_t row = 0; row < w_hh.shape()[0]; row += H) {
    Tensor gate = view::slice(w_hh, 0, row, row + H);
    init::orthogonal(gate, random);
  }
}

Rnn::Rnn(Parameters& parameters, const std::string& prefix, std::int64_t I, std::int64_t H,
         RnnOptions options)
    : weights_(parameters, prefix, 1, I, H, options.bias), options_(options) {}

RnnOut Rnn::operator()(const Tensor& x, const Lengths& lengths, const Tensor& h_0) const {
  return rnn(x, h_0, weights_.w_ih, weights_.w_hh, weights_.b_ih, weights_.b_hh, lengths,
             options_.activation);
}

Lstm::Lstm(Parameters& parameters, const std::string& prefix, std::int64_t I, std::int64_t H,
           LstmOptions options)
    : weights_(parameters, prefix, 4, I, H, options.bias) {}

void Lstm::reset(Random& random, const RecurrentInit& init) {
  weights_.reset(random, init);
  if (init.forget_bias == 0 || !weights_.b_ih) return;
  const std::int64_t H = weights_.hidden();
  Tensor forget = view::slice(weights_.b_ih, 0, H, 2 * H);
  copy_into(forget, cast_copy(add(forget, init.forget_bias), forget.dtype()));
}

LstmOut Lstm::operator()(const Tensor& x, const Lengths& lengths, const LstmState* state) const {
  return lstm(x, state ? state->h : Tensor(), state ? state->c : Tensor(), weights_.w_ih,
              weights_.w_hh, weights_.b_ih, weights_.b_hh, lengths);
}

Gru::Gru(Parameters& parameters, const std::string& prefix, std::int64_t I, std::int64_t H,
         GruOptions options)
    : weights_(parameters, prefix, 3, I, H, options.bias) {}

GruOut Gru::operator()(const Tensor& x, const Lengths& lengths, const Tensor& h_0) const {
  return gru(x, h_0, weights_.w_ih, weights_.w_hh, weights_.b_ih, weights_.b_hh, lengths);
}

}  // namespace unroll
