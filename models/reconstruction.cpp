#include "models/reconstruction.h"

#include <algorithm>
#include <utility>

#include "autograd/attention.h"
#include "autograd/ops.h"
#include "autograd/tape.h"
#include "core/view.h"
#include "models/names.h"
#include "models/weights.h"

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
  if (options.given && options.given->encoder.sizes().I != options.inputs)
    fail("model", "the given encoder (" + options.given->encoder.describe() + ") does not read " +
                      std::to_string(options.inputs) + " numbers a step");
  return options;
}

Cell cell_of(const ModelOptions& options) {
  return options.cell.value_or(default_cell(options.kind));
}

std::int64_t code_size(const ModelOptions& options) {
  return options.code ? options.code : options.hidden;
}

EncoderSizes encoder_sizes(const ModelOptions& options) {
  if (options.given) return options.given->encoder.sizes();
  return {.cell = cell_of(options), .I = options.inputs, .H = options.hidden};
}

// The decoder starts from the encoder's state; else at zero.
bool starts_from_state(ModelKind kind) {
  return kind == ModelKind::decoder || kind == ModelKind::decoder_reversed ||
         kind == ModelKind::attention;
}

// The decoder reads every output of the encoder.
bool needs_outputs(ModelKind kind) {
  return kind == ModelKind::autoencoder_all || kind == ModelKind::attention;
}

// The decoder reads the encoder's last output alone.
bool needs_last(ModelKind kind) { return !starts_from_state(kind) && !needs_outputs(kind); }

// What a decoder step reads: one zero, the code, or an encoder output.
std::int64_t decoder_inputs(const ModelOptions& options) {
  if (starts_from_state(options.kind)) return 1;
  if (options.kind == ModelKind::autoencoder_last) return options.hidden;
  return encoder_sizes(options).output_width();
}

// Numbers in the states of all runs of an encoder.
std::int64_t state_size(const EncoderSizes& s) {
  return s.layers * s.directions() * (s.state_width() + (s.has_cell_state() ? s.H : 0));
}

EncoderSizes decoder_sizes(const ModelOptions& options) {
  return {.cell = cell_of(options), .I = decoder_inputs(options), .H = options.hidden};
}

bool needs_from_state(const ModelOptions& options) {
  if (!starts_from_state(options.kind)) return false;
  const EncoderSizes from = encoder_sizes(options), to = decoder_sizes(options);
  return from.layers > 1 || from.bidirectional || from.projection || from.H != to.H ||
         from.has_cell_state() != to.has_cell_state();
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

template <class Layer, class Options>
Layer layer_of(Parameters& parameters, const std::string& prefix, const EncoderSizes& s,
               Options options) {
  options.bias = s.bias;
  options.num_layers = s.layers;
  options.bidirectional = s.bidirectional;
  return Layer(parameters, prefix, s.I, s.H, options);
}

std::variant<Rnn, Lstm, Gru> make_layer(Parameters& parameters, const std::string& prefix,
                                        const EncoderSizes& s) {
  if (s.cell == Cell::lstm)
    return layer_of<Lstm>(parameters, prefix, s, LstmOptions{.proj_size = s.projection});
  if (s.cell == Cell::gru) return layer_of<Gru>(parameters, prefix, s, GruOptions{});
  return layer_of<Rnn>(parameters, prefix, s, RnnOptions{.activation = activation_of(s.cell)});
}

std::shared_ptr<Parameters> frozen_parameters(const ModelOptions& options, Dtype dtype) {
  if (!options.given || !options.given->frozen) return nullptr;
  return std::make_shared<Parameters>(dtype);
}

// [I], or undefined where there are no numbers.
Tensor scale(const std::vector<double>& numbers, Dtype dtype) {
  if (numbers.empty()) return {};
  const auto count = static_cast<std::int64_t>(numbers.size());
  return cast_copy(from_values<double>(numbers, {count}), dtype);
}

}  // namespace

const char* name(ModelKind kind) noexcept { return detail::name_in(kKinds, kind); }
ModelKind model_kind(const std::string& name) { return detail::value_in(kKinds, "model", name); }

const std::vector<ModelKind>& all_model_kinds() {
  static const std::vector<ModelKind> kinds = detail::values_in(kKinds);
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
    : Recurrent(parameters, prefix, {.cell = cell, .I = I, .H = H}) {}

Recurrent::Recurrent(Parameters& parameters, const std::string& prefix, const EncoderSizes& sizes)
    : layer_(make_layer(parameters, prefix, sizes)) {}

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
  return reshape(index_select(reshape(x, rows), 0, on_device(from, x.device())), x.shape());
}

Reconstruction::Reconstruction(Parameters& parameters, const ModelOptions& options)
    : options_(checked(options)),
      sizes_(encoder_sizes(options)),
      frozen_(frozen_parameters(options, parameters.dtype())),
      encoder_(frozen_ ? *frozen_ : parameters, "encoder", sizes_),
      to_code_(linear_if(predicts_last(), parameters, "to_code", sizes_.output_width(),
                         code_size(options))),
      from_code_(
          linear_if(predicts_last(), parameters, "from_code", code_size(options), options.hidden)),
      from_state_(linear_if(needs_from_state(options), parameters, "from_state", state_size(sizes_),
                            state_size(decoder_sizes(options)))),
      decoder_(parameters, "decoder", decoder_sizes(options)),
      score_(linear_if(options.kind == ModelKind::attention, parameters, "attention.score",
                       options.hidden, sizes_.output_width(), false)),
      combine_(linear_if(options.kind == ModelKind::attention, parameters, "attention.combine",
                         sizes_.output_width() + options.hidden, options.hidden)),
      head_(parameters, "head", options.hidden, options.inputs) {
  if (!options.given) return;
  mean_ = scale(options.given->mean, parameters.dtype());
  sd_ = scale(options.given->sd, parameters.dtype());
  assign_weights("the given encoder", options.given->encoder.tensors(),
                 frozen_ ? *frozen_ : parameters, "encoder.");
}

void Reconstruction::reset(Random& random) {
  if (!options_.given) encoder_.reset(random, options_.init);
  decoder_.reset(random, options_.init);
  for (MaybeLinear* layer : {&to_code_, &from_code_, &from_state_, &score_, &combine_})
    if (*layer) (*layer)->reset(random);
  head_.reset(random);
}

void Reconstruction::move_constants(Device device) {
  for (Tensor* t : {&mean_, &sd_})
    if (*t) *t = on_device(*t, device);
  if (frozen_) frozen_->move_to(device);
}

std::vector<NamedTensor> Reconstruction::constants() const {
  std::vector<NamedTensor> all;
  if (!frozen_) return all;
  for (std::size_t i = 0; i < frozen_->names().size(); i++)
    all.push_back({frozen_->names()[i], frozen_->tensors()[i]});
  return all;
}

Encoded Reconstruction::encode(const Tensor& x, const Lengths& lengths) const {
  std::optional<NoTape> none;
  if (frozen_) none.emplace();
  const Recurrent::Out out = encoder_(mean_ ? x * sd_ + mean_ : x, lengths);
  return {out.y, out.state, {}};
}

void Reconstruction::check(const Encoded& encoded, std::int64_t steps) const {
  const auto require = [&](const char* what, const Tensor& t, const Shape& shape) {
    // A size of -1 is any: the batch. No text is made unless it is needed: training allocates
    // nothing.
    bool fits = t && t.rank() == shape.rank();
    for (int i = 0; fits && i < shape.rank(); i++) fits = shape[i] < 0 || shape[i] == t.shape()[i];
    if (fits) return;
    const std::string need = std::string(name(options_.kind)) + " needs " + what + " " +
                             to_string(shape) + " of its encoder, ";
    fail("decode", need + (t ? "not " + to_string(t.shape()) : "which is not given"));
  };
  const std::int64_t runs = sizes_.layers * sizes_.directions(), W = sizes_.output_width();
  if (starts_from_state(options_.kind) || (needs_last(options_.kind) && !encoded.last))
    require("the state h", encoded.state.h, {runs, -1, sizes_.state_width()});
  if (starts_from_state(options_.kind) && sizes_.has_cell_state())
    require("the state c", encoded.state.c, {runs, -1, sizes_.H});
  if (needs_last(options_.kind) && encoded.last) require("the last output", encoded.last, {-1, W});
  if (needs_outputs(options_.kind)) require("every output y", encoded.y, {steps, -1, W});
}

Tensor Reconstruction::last_output(const Encoded& encoded) const {
  if (encoded.last) return unsqueeze(encoded.last, 0);
  const Tensor& h = encoded.state.h;
  const std::int64_t runs = sizes_.layers * sizes_.directions();
  if (!sizes_.bidirectional) return runs == 1 ? h : slice(h, 0, runs - 1, runs);
  return cat({slice(h, 0, runs - 2, runs - 1), slice(h, 0, runs - 1, runs)}, -1);
}

LstmState Reconstruction::decoder_start(const LstmState& state) const {
  if (!from_state_) return state;
  const std::int64_t N = state.h.shape()[1], H = options_.hidden;
  const auto in_a_row = [&](const Tensor& runs) {
    return reshape(transpose(runs, 0, 1), {1, N, runs.numel() / std::max<std::int64_t>(1, N)});
  };
  Tensor all = in_a_row(state.h);
  if (sizes_.has_cell_state()) all = cat({all, in_a_row(state.c)}, -1);
  const Tensor start = (*from_state_)(all);
  if (cell_of(options_) != Cell::lstm) return {start, {}};
  return {slice(start, -1, 0, H), slice(start, -1, H, 2 * H)};
}

Tensor Reconstruction::run_decoder(const Encoded& encoded, std::int64_t steps,
                                   const Lengths& lengths) const {
  if (starts_from_state(options_.kind)) {
    const Tensor& h = encoded.state.h;
    const Tensor nothing = zeros({steps, h.shape()[1], 1}, h.dtype(), h.device());
    return decoder_(nothing, lengths, decoder_start(encoded.state)).y;
  }
  if (options_.kind == ModelKind::autoencoder_all) return decoder_(encoded.y, lengths).y;
  const Tensor last = last_output(encoded);
  if (predicts_last()) return decoder_((*from_code_)((*to_code_)(last)), {}).y;
  return decoder_(expand(last, {steps, last.shape()[1], last.shape()[2]}), lengths).y;
}

void Reconstruction::require_attention(const char* op) const {
  if (options_.kind != ModelKind::attention)
    fail(op, "the model is " + std::string(name(options_.kind)) + ", not attention");
}

Reconstruction::Glimpse Reconstruction::attend(const Encoded& encoded, std::int64_t steps,
                                               const Lengths& lengths) const {
  const Tensor q = run_decoder(encoded, steps, lengths);
  const Tensor context = luong_attention((*score_)(q), encoded.y, encoded.y,
                                         {.key_lengths = lengths, .query_lengths = lengths})
                             .context;
  return {context, q};
}

Reconstruction::Glimpse Reconstruction::glimpse(const Tensor& x, const Lengths& lengths) const {
  require_attention("glimpse");
  return attend(encode(x, lengths), x.shape()[0], lengths);
}

Tensor Reconstruction::from_glimpse(const Glimpse& seen) const {
  require_attention("from_glimpse");
  return head_(tanh((*combine_)(cat({seen.context, seen.query}, -1))));
}

Tensor Reconstruction::decode(const Encoded& encoded, std::int64_t steps,
                              const Lengths& lengths) const {
  check(encoded, steps);
  if (options_.kind == ModelKind::attention) return from_glimpse(attend(encoded, steps, lengths));
  const Tensor y = head_(run_decoder(encoded, steps, lengths));
  return options_.kind == ModelKind::decoder_reversed ? reverse_steps(y, lengths) : y;
}

Tensor Reconstruction::operator()(const Tensor& x, const Lengths& lengths) const {
  return decode(encode(x, lengths), x.shape()[0], lengths);
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
  if (needs_outputs(options_.kind)) return -1;
  if (predicts_last()) return code_size(options_);
  if (!starts_from_state(options_.kind)) return sizes_.output_width();
  return std::min(state_size(sizes_), state_size(decoder_sizes(options_)));
}

}  // namespace unroll
