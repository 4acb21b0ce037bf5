#include "models/layers.h"

#include <cmath>
#include <utility>

#include "autograd/ops.h"
#include "core/view.h"
#include "models/init.h"

namespace unroll {
Linear::Linear(Parameters& parameters, const std::string& prefix, std::int64_t in, std::int64_t out,
               bool bias)
    : weight_(parameters.add(name_under(prefix, "weight"), {out, in})),
      bias_(bias ? parameters.add(name_under(prefix, "bias"), {out}) : Tensor()) {}

void Linear::reset(Random& random) {
  const double bound = 1 / std::sqrt(static_cast<double>(weight_.shape()[1]));
  init::uniform(weight_, bound, random);
  if (bias_) init::uniform(bias_, bound, random);
}

Tensor Linear::operator()(const Tensor& x) const { return linear(x, weight_, bias_); }

LayerNorm::LayerNorm(Parameters& parameters, const std::string& prefix, const Shape& shape,
                     LayerNormOptions options)
    : shape_(shape),
      options_(options),
      weight_(options.elementwise_affine ? parameters.add(name_under(prefix, "weight"), shape)
                                         : Tensor()),
      bias_(options.elementwise_affine ? parameters.add(name_under(prefix, "bias"), shape)
                                       : Tensor()) {}

void LayerNorm::reset() {
  if (weight_) fill(weight_, 1);
  if (bias_) fill(bias_, 0);
}

Tensor LayerNorm::operator()(const Tensor& x) const {
  return layer_norm(x, shape_, weight_, bias_, options_.eps);
}

Embedding::Embedding(Parameters& parameters, const std::string& prefix, std::int64_t count,
                     std::int64_t size, std::optional<std::int64_t> padding_idx)
    : padding_(padding_idx) {
  if (padding_ && *padding_ < 0) *padding_ += count;
  if (padding_ && (*padding_ < 0 || *padding_ >= count))
    fail("Embedding", "padding_idx " + std::to_string(*padding_idx) + " is out of range for " +
                          std::to_string(count) + " rows");
  weight_ = parameters.add(name_under(prefix, "weight"), {count, size});
}

void Embedding::reset(Random& random) {
  copy_into(weight_, random.normal(weight_.shape(), 0, 1, weight_.dtype()));
  if (!padding_) return;
  Tensor row = view::select(weight_, 0, *padding_);
  fill(row, 0);
}

Tensor Embedding::operator()(const Tensor& index) const {
  return embedding(weight_, index, padding_);
}

namespace {

void require_sizes(const std::string& prefix, std::int64_t I, std::int64_t H) {
  if (I < 1 || H < 1)
    fail(prefix.c_str(),
         "inputs " + std::to_string(I) + " and hidden " + std::to_string(H) + " must be positive");
}

RecurrentWeights add_weights(Parameters& parameters, const std::string& prefix,
                             const std::string& suffix, const RecurrentLayers::Sizes& s) {
  const auto add = [&](const char* name, const Shape& shape) {
    return parameters.add(name_under(prefix, name) + suffix, shape);
  };
  const std::int64_t rows = s.gates * s.H;
  RecurrentWeights w;
  w.w_ih = add("weight_ih", {rows, s.I});
  w.w_hh = add("weight_hh", {rows, s.proj_size ? s.proj_size : s.H});
  if (s.bias) w.b_ih = add("bias_ih", {rows}), w.b_hh = add("bias_hh", {rows});
  if (s.proj_size) w.w_hr = add("weight_hr", {s.proj_size, s.H});
  if (s.peephole) w.peephole = add("weight_peephole", {3, s.H});
  if (s.layer_norm) {
    w.norm_ih = add("norm_ih", {rows}), w.norm_hh = add("norm_hh", {rows});
    w.norm_c = add("norm_c", {s.H}), w.norm_c_bias = add("norm_c_bias", {s.H});
  }
  return w;
}

void reset_weights(RecurrentWeights& w, Random& random, const RecurrentInit& init) {
  const std::int64_t P = w.w_hh.shape()[1], rows = w.w_hh.shape()[0];
  const std::int64_t H = w.w_hr ? w.w_hr.shape()[1] : P;
  const double bound = 1 / std::sqrt(static_cast<double>(H));
  for (Tensor* x : {&w.w_ih, &w.w_hh, &w.b_ih, &w.b_hh, &w.w_hr, &w.peephole})
    if (*x) init::uniform(*x, bound, random);
  for (Tensor* gain : {&w.norm_ih, &w.norm_hh, &w.norm_c})
    if (*gain) fill(*gain, 1);
  if (w.norm_c_bias) fill(w.norm_c_bias, 0);
  for (std::int64_t row = 0; init.orthogonal && row < rows; row += H) {
    Tensor gate = view::slice(w.w_hh, 0, row, row + H);
    init::orthogonal(gate, random);
  }
  const bool has_forget_gate = rows == 4 * H;
  if (init.forget_bias == 0 || !w.b_ih || !has_forget_gate) return;
  Tensor forget = view::slice(w.b_ih, 0, H, 2 * H);
  copy_into(forget, cast_copy(add(forget, init.forget_bias), forget.dtype()));
}

template <class Options>
RecurrentStack stack_of(const Options& options) {
  return {.weights = {},
          .bidirectional = options.bidirectional,
          .batch_first = options.batch_first,
          .dropout = options.dropout,
          .variational = options.variational,
          .cell = options.cell};
}

// One step of x [N,I] or [I] from the state s [N,H] or [H]: both with the axes of [1,N,*].
Tensor as_steps(const Tensor& x) {
  return x.rank() == 1 ? unsqueeze(unsqueeze(x, 0), 0) : unsqueeze(x, 0);
}
Tensor as_batch(const Tensor& s) { return s && s.rank() == 1 ? unsqueeze(s, 0) : s; }
Tensor like(const Tensor& x, const Tensor& s) { return x.rank() == 1 ? squeeze(s, 0) : s; }

}  // namespace

RecurrentLayers::RecurrentLayers(Parameters& parameters, const std::string& prefix,
                                 const Sizes& sizes, RecurrentStack stack)
    : stack_(std::move(stack)) {
  require_sizes(prefix, sizes.I, sizes.H);
  if (sizes.num_layers < 1)
    fail(prefix.c_str(), std::to_string(sizes.num_layers) + " layers: must be positive");
  if (sizes.proj_size < 0)
    fail(prefix.c_str(), "proj_size is " + std::to_string(sizes.proj_size) + ", not at least 0");
  if (!(stack_.dropout >= 0 && stack_.dropout <= 1))
    fail(prefix.c_str(), "dropout is " + std::to_string(stack_.dropout) + ", not in [0,1]");
  const std::int64_t directions = stack_.bidirectional ? 2 : 1;
  Sizes own = sizes;
  for (std::int64_t at = 0; at < sizes.num_layers * directions; at++) {
    const std::int64_t layer = at / directions;
    const std::string suffix =
        sizes.one_step ? ""
                       : "_l" + std::to_string(layer) + (at % directions == 1 ? "_reverse" : "");
    if (layer > 0) own.I = directions * (sizes.proj_size ? sizes.proj_size : sizes.H);
    stack_.weights.push_back(add_weights(parameters, prefix, suffix, own));
  }
}

void RecurrentLayers::reset(Random& random, const RecurrentInit& init) {
  for (RecurrentWeights& w : stack_.weights) reset_weights(w, random, init);
}

Random* RecurrentLayers::source(const char* module, Random* random) const {
  const bool several = stack_.weights.size() > (stack_.bidirectional ? 2 : 1);
  const CellOptions& cell = stack_.cell;
  const bool between = several && stack_.dropout != 0;
  const bool in_cell = cell.zoneout_h != 0 || cell.zoneout_c != 0 || cell.dropout != 0;
  if (!training_ || !(between || in_cell)) return nullptr;
  if (!random)
    fail(module,
         std::string(in_cell ? "dropout and zoneout need" : "dropout between layers needs") +
             " a Random in the call; train(false) turns it off");
  return random;
}

Rnn::Rnn(Parameters& parameters, const std::string& prefix, std::int64_t I, std::int64_t H,
         RnnOptions options)
    : layers_(parameters, prefix, {1, I, H, options.num_layers, options.bias}, stack_of(options)),
      activation_(options.activation) {}

RnnOut Rnn::operator()(const Tensor& x, const Lengths& lengths, const Tensor& h_0,
                       Random* random) const {
  return rnn_stack(x, h_0, layers_.stack(), lengths, layers_.source("Rnn", random), activation_);
}

Lstm::Lstm(Parameters& parameters, const std::string& prefix, std::int64_t I, std::int64_t H,
           LstmOptions options)
    : layers_(parameters, prefix,
              {4, I, H, options.num_layers, options.bias, options.proj_size, options.peephole,
               options.layer_norm},
              stack_of(options)) {}

LstmOut Lstm::operator()(const Tensor& x, const Lengths& lengths, const LstmState* state,
                         Random* random) const {
  return lstm_stack(x, state ? state->h : Tensor(), state ? state->c : Tensor(), layers_.stack(),
                    lengths, layers_.source("Lstm", random));
}

Gru::Gru(Parameters& parameters, const std::string& prefix, std::int64_t I, std::int64_t H,
         GruOptions options)
    : layers_(parameters, prefix, {3, I, H, options.num_layers, options.bias}, stack_of(options)) {}

GruOut Gru::operator()(const Tensor& x, const Lengths& lengths, const Tensor& h_0,
                       Random* random) const {
  return gru_stack(x, h_0, layers_.stack(), lengths, layers_.source("Gru", random));
}

RnnCell::RnnCell(Parameters& parameters, const std::string& prefix, std::int64_t I, std::int64_t H,
                 RnnCellOptions options)
    : layers_(parameters, prefix,
              {.gates = 1, .I = I, .H = H, .num_layers = 1, .bias = options.bias, .one_step = true},
              {.weights = {}, .cell = options.cell}),
      activation_(options.activation) {}

Tensor RnnCell::operator()(const Tensor& x, const Tensor& h, Random* random) const {
  const RecurrentStack& s = layers_.stack();
  return like(x, rnn_layer(as_steps(x), as_batch(h), s.weights[0], s.cell, {},
                           layers_.source("RnnCell", random), activation_)
                     .h_n);
}

LstmCell::LstmCell(Parameters& parameters, const std::string& prefix, std::int64_t I,
                   std::int64_t H, LstmCellOptions options)
    : layers_(parameters, prefix,
              {4, I, H, 1, options.bias, options.proj_size, options.peephole, options.layer_norm,
               /*one_step=*/true},
              {.weights = {}, .cell = options.cell}) {}

LstmState LstmCell::operator()(const Tensor& x, const LstmState& state, Random* random) const {
  const RecurrentStack& s = layers_.stack();
  const LstmOut out = lstm_layer(as_steps(x), as_batch(state.h), as_batch(state.c), s.weights[0],
                                 s.cell, {}, layers_.source("LstmCell", random));
  return {like(x, out.h_n), like(x, out.c_n)};
}

GruCell::GruCell(Parameters& parameters, const std::string& prefix, std::int64_t I, std::int64_t H,
                 GruCellOptions options)
    : layers_(parameters, prefix,
              {.gates = 3, .I = I, .H = H, .num_layers = 1, .bias = options.bias, .one_step = true},
              {.weights = {}, .cell = options.cell}) {}

Tensor GruCell::operator()(const Tensor& x, const Tensor& h, Random* random) const {
  const RecurrentStack& s = layers_.stack();
  return like(x, gru_layer(as_steps(x), as_batch(h), s.weights[0], s.cell, {},
                           layers_.source("GruCell", random))
                     .h_n);
}

}  // namespace unroll
