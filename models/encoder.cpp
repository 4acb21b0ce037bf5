#include "models/encoder.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <utility>

#include "autograd/ops.h"
#include "autograd/tape.h"
#include "core/view.h"
#include "models/weights.h"

namespace unroll {
namespace {

constexpr const char* kFirst = "weight_ih_l0";

// ---- The tensors of a file

class Source {
 public:
  Source(const std::string& name, const std::vector<NamedTensor>& tensors,
         const EncoderHints& hints)
      : name_(name), tensors_(tensors), prefix_(hints.prefix ? *hints.prefix : only_prefix()) {
    if (!find(kFirst)) fail("load", missing(kFirst));
  }

  // float64, or undefined where there is none.
  Tensor find(const std::string& parameter) const {
    for (auto it = tensors_.rbegin(); it != tensors_.rend(); ++it)
      if (it->name == prefix_ + parameter) return checked(*it);
    return {};
  }
  Tensor get(const std::string& parameter) const {
    const Tensor found = find(parameter);
    if (!found) fail("load", missing(parameter));
    return found;
  }
  [[noreturn]] void refuse(const std::string& parameter, const std::string& why) const {
    fail("load", name_ + ": " + prefix_ + parameter + " " + why);
  }

 private:
  std::string missing(const std::string& parameter) const {
    return name_ + " has no tensor " + prefix_ + parameter +
           "; the weights of a torch.nn.RNN, LSTM or GRU are wanted (give their prefix)";
  }

  std::string only_prefix() const {
    std::set<std::string> found;
    for (const NamedTensor& each : tensors_)
      if (each.name.ends_with(kFirst))
        found.insert(each.name.substr(0, each.name.size() - std::string(kFirst).size()));
    if (found.size() > 1) {
      std::string all;
      for (const std::string& prefix : found) all += (all.empty() ? "'" : ", '") + prefix + "'";
      fail("load", name_ + " has several recurrent layers: give one prefix of " + all);
    }
    return found.empty() ? "" : *found.begin();
  }

  Tensor checked(const NamedTensor& found) const {
    const Dtype dtype = found.tensor.dtype();
    if (!is_real(dtype) && !is_half(dtype))
      fail("load", name_ + ": " + found.name + " holds no real numbers");
    const Tensor wide = cast_copy(on_device(found.tensor, Device::cpu()), Dtype::float64);
    const double* values = wide.data<double>();
    for (std::int64_t i = 0; i < wide.numel(); i++)
      if (!std::isfinite(values[i]))
        fail("load", name_ + ": " + found.name + " holds NaN or infinity");
    return wide;
  }

  const std::string& name_;
  const std::vector<NamedTensor>& tensors_;
  std::string prefix_;
};

std::string suffix(std::int64_t layer, std::int64_t direction) {
  return "_l" + std::to_string(layer) + (direction ? "_reverse" : "");
}

// ---- What the tensors say

void require_shape(const Source& source, const std::string& name, const Tensor& t,
                   const Shape& shape) {
  if (t && !(t.shape() == shape))
    source.refuse(
        name, "is " + to_string(t.shape()) + " but the other tensors ask for " + to_string(shape));
}

std::int64_t gates(Cell cell) { return cell == Cell::lstm ? 4 : cell == Cell::gru ? 3 : 1; }

Cell deduced_cell(const Source& source, std::int64_t count, const EncoderHints& hints) {
  const Cell found = count == 4 ? Cell::lstm : count == 3 ? Cell::gru : Cell::tanh;
  if (!hints.cell) return found;
  if (gates(*hints.cell) != count)
    source.refuse(kFirst, "has " + std::to_string(count) + " gates, which is no " +
                              std::string(name(*hints.cell)));
  return *hints.cell;
}

EncoderSizes deduced_sizes(const Source& source, const EncoderHints& hints) {
  const Tensor w_ih = source.get(kFirst), w_hh = source.get("weight_hh_l0");
  const Tensor w_hr = source.find("weight_hr_l0");
  if (w_ih.rank() != 2) source.refuse(kFirst, "is " + to_string(w_ih.shape()) + ", not [G*H,I]");
  if (w_hh.rank() != 2 || w_hh.shape()[0] != w_ih.shape()[0])
    source.refuse("weight_hh_l0", "is " + to_string(w_hh.shape()) + " but weight_ih_l0 is " +
                                      to_string(w_ih.shape()));
  EncoderSizes s{.I = w_ih.shape()[1], .H = w_hh.shape()[1]};
  if (w_hr && w_hr.rank() == 2) {
    s.projection = w_hr.shape()[0];
    s.H = w_hr.shape()[1];
  }
  const std::int64_t rows = w_ih.shape()[0], count = s.H ? rows / s.H : 0;
  if (s.I < 1 || s.H < 1 || count * s.H != rows || (count != 1 && count != 3 && count != 4))
    source.refuse(kFirst, "is " + to_string(w_ih.shape()) + " and weight_hh_l0 " +
                              to_string(w_hh.shape()) +
                              ": that is no RNN (H rows), GRU (3H) or LSTM (4H)");
  s.cell = deduced_cell(source, count, hints);
  if (s.projection && s.cell != Cell::lstm)
    source.refuse("weight_hr_l0", "belongs to an LSTM only");
  s.bias = static_cast<bool>(source.find("bias_ih_l0"));
  s.bidirectional = static_cast<bool>(source.find("weight_ih_l0_reverse"));
  while (source.find("weight_ih" + suffix(s.layers, 0))) s.layers++;
  return s;
}

RecurrentWeights weights_of(const Source& source, const EncoderSizes& s, std::int64_t layer,
                            std::int64_t direction) {
  const std::string end = suffix(layer, direction);
  const std::int64_t G = gates(s.cell) * s.H, P = s.state_width();
  const auto take = [&](const char* stem, bool wanted, const Shape& shape) {
    const std::string name = stem + end;
    const Tensor t = wanted ? source.get(name) : Tensor();
    require_shape(source, name, t, shape);
    return t;
  };
  return {.w_ih = take("weight_ih", true, {G, layer ? s.output_width() : s.I}),
          .w_hh = take("weight_hh", true, {G, P}),
          .b_ih = take("bias_ih", s.bias, {G}),
          .b_hh = take("bias_hh", s.bias, {G}),
          .w_hr = take("weight_hr", s.projection > 0, {P, s.H})};
}

void refuse_options(const Source& source) {
  for (const char* option : {"weight_peephole_l0", "norm_ih_l0"})
    if (source.find(option)) source.refuse(option, "belongs to a cell that cannot be inverted yet");
}

// ---- Drawn weights

template <class Layer, class Options>
void draw(Parameters& parameters, const EncoderSizes& s, Options options, Random& random,
          const RecurrentInit& init) {
  options.bias = s.bias;
  options.num_layers = s.layers;
  options.bidirectional = s.bidirectional;
  Layer(parameters, "", s.I, s.H, options).reset(random, init);
}

std::vector<NamedTensor> drawn(const EncoderSizes& s, Random& random, const RecurrentInit& init) {
  if (s.projection && s.cell != Cell::lstm) fail("Encoder", "only an LSTM has a projection");
  Parameters parameters(Dtype::float64);
  if (s.cell == Cell::lstm)
    draw<Lstm>(parameters, s, LstmOptions{.proj_size = s.projection}, random, init);
  else if (s.cell == Cell::gru)
    draw<Gru>(parameters, s, GruOptions{}, random, init);
  else
    draw<Rnn>(parameters, s, RnnOptions{}, random, init);
  std::vector<NamedTensor> tensors;
  for (std::size_t i = 0; i < parameters.names().size(); i++)
    tensors.push_back({parameters.names()[i], parameters.tensors()[i]});
  return tensors;
}

RnnActivation activation(Cell cell) {
  return cell == Cell::linear ? RnnActivation::identity
         : cell == Cell::relu ? RnnActivation::relu
                              : RnnActivation::tanh;
}

// The tensors of a layer that are there, with the stems of their names.
template <class Weights, class F>
void for_each_weight(Weights& weights, F&& f) {
  f("weight_ih", weights.w_ih);
  f("weight_hh", weights.w_hh);
  if (weights.b_ih) f("bias_ih", weights.b_ih);
  if (weights.b_hh) f("bias_hh", weights.b_hh);
  if (weights.w_hr) f("weight_hr", weights.w_hr);
}

}  // namespace

Encoder Encoder::load(const std::string& path, const EncoderHints& hints) {
  return from_tensors(path, read_weights(path), hints);
}

Encoder Encoder::from_tensors(const std::string& name, const std::vector<NamedTensor>& tensors,
                              const EncoderHints& hints) {
  const Source source(name, tensors, hints);
  refuse_options(source);
  const EncoderSizes sizes = deduced_sizes(source, hints);
  RecurrentStack stack{.bidirectional = sizes.bidirectional};
  for (std::int64_t l = 0; l < sizes.layers; l++)
    for (std::int64_t d = 0; d < sizes.directions(); d++)
      stack.weights.push_back(weights_of(source, sizes, l, d));
  return {sizes, std::move(stack)};
}

Encoder::Encoder(const EncoderSizes& sizes, Random& random, const RecurrentInit& init)
    : Encoder(from_tensors("Encoder", drawn(sizes, random, init), {.cell = sizes.cell})) {}

EncoderOut Encoder::operator()(const Tensor& x, const EncoderState& state,
                               const Lengths& lengths) const {
  if (sizes_.cell == Cell::lstm) {
    const LstmOut out = lstm_stack(x, state.h, state.c, stack_, lengths);
    return {out.y, {out.h_n, out.c_n}};
  }
  if (sizes_.cell == Cell::gru) {
    const GruOut out = gru_stack(x, state.h, stack_, lengths);
    return {out.y, {out.h_n, {}}};
  }
  const RnnOut out = rnn_stack(x, state.h, stack_, lengths, nullptr, activation(sizes_.cell));
  return {out.y, {out.h_n, {}}};
}

std::vector<NamedTensor> Encoder::tensors() const {
  std::vector<NamedTensor> all;
  const std::int64_t D = sizes_.directions();
  for (std::size_t r = 0; r < stack_.weights.size(); r++) {
    const std::int64_t run = static_cast<std::int64_t>(r);
    for_each_weight(stack_.weights[r], [&](const char* stem, const Tensor& t) {
      all.push_back({stem + suffix(run / D, run % D), t});
    });
  }
  return all;
}

std::string Encoder::describe() const {
  std::string text = sizes_.cell == Cell::lstm  ? "LSTM"
                     : sizes_.cell == Cell::gru ? "GRU"
                                                : std::string(name(sizes_.cell)) + " RNN";
  if (sizes_.layers > 1) text += ", " + std::to_string(sizes_.layers) + " layers";
  if (sizes_.bidirectional) text += ", both directions";
  text += ", I " + std::to_string(sizes_.I) + ", H " + std::to_string(sizes_.H);
  if (sizes_.projection) text += ", projected to " + std::to_string(sizes_.projection);
  return text;
}

Encoder Encoder::in(Dtype dtype) const {
  if (!is_real(dtype))
    fail("Encoder", std::string("it runs in float32 or float64, not ") + unroll::name(dtype));
  Encoder other = *this;
  for (RecurrentWeights& weights : other.stack_.weights)
    for_each_weight(weights, [&](const char*, Tensor& t) { t = cast_copy(t, dtype); });
  return other;
}

Encoder Encoder::on(Device device) const {
  Encoder other = *this;
  for (RecurrentWeights& weights : other.stack_.weights)
    for_each_weight(weights, [&](const char*, Tensor& t) { t = on_device(t, device); });
  return other;
}

Encoder Encoder::first_layers(std::int64_t count) const {
  if (count < 1 || count > sizes_.layers)
    fail("Encoder",
         std::to_string(count) + " of " + std::to_string(sizes_.layers) + " layers are no network");
  Encoder part = *this;
  part.sizes_.layers = count;
  part.stack_.weights.resize(static_cast<std::size_t>(count * sizes_.directions()));
  return part;
}

Encoder Encoder::perturbed(double relative, Random& random) const {
  const NoTape none;
  Encoder other = *this;
  for (RecurrentWeights& weights : other.stack_.weights)
    for_each_weight(weights, [&](const char*, Tensor& t) {
      const Tensor u = sign(random.uniform(t.shape(), -1, 1, Dtype::float64, t.device()));
      t = t * (u * relative + 1);
    });
  return other;
}

}  // namespace unroll
