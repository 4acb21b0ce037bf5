#include "models/reconstruction.h"

#include <algorithm>
#include <utility>

#include "autograd/attention.h"
#include "autograd/ops.h"
#include "core/view.h"

namespace unroll {
namespace {

constexpr std::pair<ModelKind, const char*> kKinds[] = {
    {ModelKind::autoencoder_last, "autoencoder-last"},
    {ModelKind::autoencoder, "autoencoder"},
    {ModelKind::autoencoder_all, "autoencoder-all"},
    {ModelKind::decoder, "decoder"},
    {ModelKind::decoder_repeat, "decoder-repeat"},
    {ModelKind::decoder_reversed, "decoder-reversed"},
    {ModelKind::attention, "attention"}};
constexpr std::pair<Cell, const char*> kCells[] = {{Cell::linear, "linear"},
                                                   {Cell::tanh, "tanh"},
                                                   {Cell::relu, "relu"},
                                                   {Cell::lstm, "lstm"},
                                                   {Cell::gru, "gru"}};

template <class Value, std::size_t count>
const char* name_in(const std::pair<Value, const char*> (&table)[count], Value value) noexcept {
  for (const auto& [v, text] : table)
    if (v == value) return text;
  return "?";
}

template <class Value, std::size_t count>
Value value_in(const std::pair<Value, const char*> (&table)[count], const char* what,
               const std::string& name) {
  std::string all;
  for (const auto& [value, text] : table) {
    if (name == text) return value;
    all += (all.empty() ? "" : ", ") + std::string(text);
  }
  fail(what, "there is no " + name + "; there are: " + all);
}

const ModelOptions& checked(const ModelOptions& options) {
  constexpr std::int64_t most = 1 << 20;  // beyond, weights would need terabytes
  const std::int64_t largest = std::max({options.inputs, options.hidden, options.code});
  if (largest > most)
    fail("model",
         "a size of " + std::to_string(largest) + " is above the limit of " + std::to_string(most));
  if (options.inputs < 1 || options.hidden < 1 || options.code < 0)
    fail("model", "inputs " + std::to_string(options.inputs) + ", hidden " +
                      std::to_string(options.hidden) + " and code " + std::to_string(options.code) +
                      " must be positive");
  return options;
}

Cell cell_of(const ModelOptions& options) {
  return options.cell.value_or(default_cell(options.kind));
}

std::int64_t code_size(const ModelOptions& options) {
  return options.code ? options.code : options.hidden;
}

// What a decoder step reads: the code, an encoder output, or one zero.
std::int64_t decoder_inputs(const ModelOptions& options) {
  switch (options.kind) {
    case ModelKind::decoder:
    case ModelKind::decoder_reversed:
    case ModelKind::attention: return 1;
    default: return options.hidden;
  }
}

using MaybeLinear = std::optional<Linear>;

MaybeLinear linear_if(bool wanted, Parameters& parameters, const char* prefix, std::int64_t in,
                      std::int64_t out, bool bias = true) {
  return wanted ? MaybeLinear(std::in_place, parameters, prefix, in, out, bias) : MaybeLinear();
}

RnnActivation activation_of(Cell cell) {
  return cell == Cell::linear ? RnnActivation::identity
         : cell == Cell::relu ? RnnActivation::relu
                              : RnnActivation::tanh;
}

std::variant<Rnn, Lstm, Gru> make_layer(Parameters& parameters, const std::string& prefix,
                                        Cell cell, std::int64_t I, std::int64_t H) {
  if (cell == Cell::lstm) return Lstm(parameters, prefix, I, H);
  if (cell == Cell::gru) return Gru(parameters, prefix, I, H);
  return Rnn(parameters, prefix, I, H, {.activation = activation_of(cell)});
}

}  // namespace

const char* name(ModelKind kind) noexcept { return name_in(kKinds, kind); }
const char* name(Cell cell) noexcept { return name_in(kCells, cell); }
ModelKind model_kind(const std::string& name) { return value_in(kKinds, "model", name); }
Cell cell_type(const std::string& name) { return value_in(kCells, "cell", name); }

const std::vector<ModelKind>& all_model_kinds() {
  static const std::vector<ModelKind> kinds = [] {
    std::vector<ModelKind> all;
    for (const auto& [kind, text] : kKinds) all.push_back(kind);
    return all;
  }();
  return kinds;
}

Cell default_cell(ModelKind kind) noexcept {
  switch (kind) {
    case ModelKind::autoencoder_last:
    case ModelKind::autoencoder:
    case ModelKind::autoencoder_all: return Cell::tanh;
    default: return Cell::lstm;
  }
}

Recurrent::Recurrent(Parameters& parameters, const std::string& prefix, Cell cell, std::int64_t I,
                     std::int64_t H)
    : layer_(make_layer(parameters, prefix, cell, I, H)) {}

void Recurrent::reset(Random& random, const RecurrentInit& init) {
  std::visit([&](auto& layer) { layer.reset(random, init); }, layer_);
}

Recurrent::Out Recurrent::operator()(const Tensor& x, const Lengths& lengths,
                                     const LstmState& state) const {
  if (const Lstm* layer = std::get_if<Lstm>(&layer_)) {
    const LstmOut out = (*layer)(x, lengths, &state);
    return {out.y, {out.h_n, out.c_n}};
  }
  if (const Gru* layer = std::get_if<Gru>(&layer_)) {
    const GruOut out = (*layer)(x, lengths, state.h);
    return {out.y, {out.h_n, {}}};
  }
  const RnnOut out = std::get<Rnn>(layer_)(x, lengths, state.h);
  return {out.y, {out.h_n, {}}};
}

Tensor reverse_steps(const Tensor& x, const Lengths& lengths) {
  if (!lengths) return flip(x, 0);
  const std::int64_t T = x.shape()[0], N = x.shape()[1];
  const LengthsView view = lengths.view("reverse_steps", T, N);
  Tensor from = empty({T * N}, Dtype::int64);
  std::int64_t* at = from.mutable_data<std::int64_t>();
  for (std::int64_t t = 0; t < T; t++)
    for (std::int64_t n = 0; n < N; n++) {
      const std::int64_t length = view.length[n];
      *at++ = (t < length ? length - 1 - t : t) * N + n;
    }
  Shape rows = x.shape();
  rows.erase(0);
  rows[0] = T * N;
  return reshape(index_select(reshape(x, rows), 0, from), x.shape());
}

Reconstruction::Reconstruction(Parameters& parameters, const ModelOptions& options)
    : options_(checked(options)),
      encoder_(parameters, "encoder", cell_of(options), options.inputs, options.hidden),
      to_code_(
          linear_if(predicts_last(), parameters, "to_code", options.hidden, code_size(options))),
      from_code_(
          linear_if(predicts_last(), parameters, "from_code", code_size(options), options.hidden)),
      decoder_(parameters, "decoder", cell_of(options), decoder_inputs(options), options.hidden),
      score_(linear_if(options.kind == ModelKind::attention, parameters, "attention.score",
                       options.hidden, options.hidden, false)),
      combine_(linear_if(options.kind == ModelKind::attention, parameters, "attention.combine",
                         2 * options.hidden, options.hidden)),
      head_(parameters, "head", options.hidden, options.inputs) {}

void Reconstruction::reset(Random& random) {
  encoder_.reset(random, options_.init);
  decoder_.reset(random, options_.init);
  for (MaybeLinear* layer : {&to_code_, &from_code_, &score_, &combine_})
    if (*layer) (*layer)->reset(random);
  head_.reset(random);
}

Tensor Reconstruction::decode_last(const Recurrent::Out& encoded) const {
  const Tensor code = (*to_code_)(encoded.state.h);
  return head_(decoder_((*from_code_)(code), {}).y);
}

Tensor Reconstruction::decode(const Tensor& x, const Lengths& lengths,
                              const Recurrent::Out& encoded) const {
  const std::int64_t T = x.shape()[0], N = x.shape()[1];
  switch (options_.kind) {
    case ModelKind::autoencoder:
    case ModelKind::decoder_repeat: {
      const Tensor repeated = expand(encoded.state.h, {T, N, options_.hidden});
      return decoder_(repeated, lengths).y;
    }
    case ModelKind::autoencoder_all: return decoder_(encoded.y, lengths).y;
    default: return decoder_(zeros({T, N, 1}, x.dtype()), lengths, encoded.state).y;
  }
}

void Reconstruction::require_attention(const char* op) const {
  if (options_.kind != ModelKind::attention)
    fail(op, "the model is " + std::string(name(options_.kind)) + ", not attention");
}

Reconstruction::Glimpse Reconstruction::glimpse(const Tensor& x, const Lengths& lengths) const {
  require_attention("glimpse");
  const Recurrent::Out encoded = encoder_(x, lengths);
  const Tensor q = decode(x, lengths, encoded);
  const Tensor context = luong_attention((*score_)(q), encoded.y, encoded.y,
                                         {.key_lengths = lengths, .query_lengths = lengths})
                             .context;
  return {context, q};
}

Tensor Reconstruction::from_glimpse(const Glimpse& seen) const {
  require_attention("from_glimpse");
  return head_(tanh((*combine_)(cat({seen.context, seen.query}, -1))));
}

Tensor Reconstruction::operator()(const Tensor& x, const Lengths& lengths) const {
  if (options_.kind == ModelKind::attention) return from_glimpse(glimpse(x, lengths));
  const Recurrent::Out encoded = encoder_(x, lengths);
  if (predicts_last()) return decode_last(encoded);
  const Tensor y = head_(decode(x, lengths, encoded));
  return options_.kind == ModelKind::decoder_reversed ? reverse_steps(y, lengths) : y;
}

Tensor Reconstruction::target(const Tensor& x, const Lengths& lengths) const {
  if (!predicts_last()) return x;
  const std::int64_t T = x.shape()[0];
  // The last valid step comes first when time is reversed; a sequence without steps has none.
  return lengths ? slice(reverse_steps(x, lengths), 0, 0, 1) : slice(x, 0, T - 1, T);
}

Tensor Reconstruction::loss(const Tensor& x, const Lengths& lengths) const {
  const Tensor y = (*this)(x, lengths);
  if (predicts_last()) return mse_loss(y, target(x, lengths));
  return masked_mse(y, x, lengths);
}

std::int64_t Reconstruction::bottleneck() const noexcept {
  switch (options_.kind) {
    case ModelKind::autoencoder_all:
    case ModelKind::attention: return -1;
    case ModelKind::autoencoder_last: return code_size(options_);
    case ModelKind::autoencoder:
    case ModelKind::decoder_repeat: return options_.hidden;
    default: return cell_of(options_) == Cell::lstm ? 2 * options_.hidden : options_.hidden;
  }
}

}  // namespace unroll
