#include "capi/handles.h"

using namespace unroll;
using namespace unroll::capi;

namespace {

using Layer = decltype(unroll_layer::layer);

constexpr const char* kCreate = "layer_create";

struct Request {
  Parameters& parameters;
  std::string kind, prefix;
  std::int64_t inputs, hidden;
  const unroll_option* options;
  int count;

  void require_positive(const char* what, std::int64_t value) const {
    if (value < 1)
      fail(kCreate, kind + ": " + what + " is " + std::to_string(value) + ": it must be positive");
  }
};

// ---- Makers of the kinds

Layer make_linear(const Request& r) {
  bool bias = true;
  set_options(kCreate, r.options, r.count, {{"bias", &bias}});
  r.require_positive("inputs", r.inputs);
  r.require_positive("hidden", r.hidden);
  return Linear(r.parameters, r.prefix, r.inputs, r.hidden, bias);
}

// The options of a recurrent layer or cell: those that its struct has.
template <class Options>
Options options_of(const Request& r) {
  Options o;
  std::vector<Setting> all{{"bias", &o.bias}};
  const auto add = [&all](std::initializer_list<Setting> more) {
    for (const Setting& each : more) all.push_back(each);
  };
  if constexpr (requires { o.num_layers; })
    add({{"num_layers", &o.num_layers},
         {"bidirectional", &o.bidirectional},
         {"batch_first", &o.batch_first},
         {"dropout", &o.dropout},
         {"variational", &o.variational},
         {"recompute", &o.cell.recompute}});
  add({{"clip", &o.cell.clip},
       {"zoneout_h", &o.cell.zoneout_h},
       {"recurrent_dropout", &o.cell.dropout}});
  if constexpr (requires { o.proj_size; })
    add({{"zoneout_c", &o.cell.zoneout_c},
         {"coupled", &o.cell.coupled},
         {"proj_size", &o.proj_size},
         {"peephole", &o.peephole},
         {"layer_norm", &o.layer_norm}});
  if constexpr (std::is_same_v<Options, GruOptions> || std::is_same_v<Options, GruCellOptions>)
    add({{"reset_first", &o.cell.reset_first}});
  set_options(kCreate, r.options, r.count, all);
  return o;
}

template <class Module, class Options>
Layer make(const Request& r) {
  return Module(r.parameters, r.prefix, r.inputs, r.hidden, options_of<Options>(r));
}

template <class Module, class Options, RnnActivation activation>
Layer make_rnn(const Request& r) {
  Options options = options_of<Options>(r);
  options.activation = activation;
  return Module(r.parameters, r.prefix, r.inputs, r.hidden, options);
}

Layer make_multihead(const Request& r) {
  MultiheadOptions o;
  set_options(kCreate, r.options, r.count,
              {{"bias", &o.bias},
               {"add_bias_kv", &o.add_bias_kv},
               {"add_zero_attn", &o.add_zero_attn},
               {"kdim", &o.kdim},
               {"vdim", &o.vdim},
               {"batch_first", &o.batch_first},
               {"dropout", &o.dropout}});
  r.require_positive("inputs", r.inputs);
  return MultiheadAttention(r.parameters, r.prefix, r.inputs, r.hidden, o);
}

// Bahdanau's and Luong's have one option.
std::int64_t key_size(const Request& r) {
  std::int64_t keys = r.inputs;
  set_options(kCreate, r.options, r.count, {{"keys", &keys}});
  r.require_positive("inputs", r.inputs);
  r.require_positive("keys", keys);
  return keys;
}

Layer make_bahdanau(const Request& r) {
  const std::int64_t keys = key_size(r);
  r.require_positive("hidden", r.hidden);
  return AdditiveAttention(r.parameters, r.prefix, r.inputs, keys, r.hidden);
}

template <LuongScore score>
Layer make_luong(const Request& r) {
  const std::int64_t keys = key_size(r);
  if (score == LuongScore::concat) r.require_positive("hidden", r.hidden);
  return LuongAttention(r.parameters, r.prefix, score, r.inputs, keys, r.hidden);
}

constexpr std::pair<const char*, Layer (*)(const Request&)> kKinds[] = {
    {"linear", make_linear},
    {"rnn_tanh", make_rnn<Rnn, RnnOptions, RnnActivation::tanh>},
    {"rnn_relu", make_rnn<Rnn, RnnOptions, RnnActivation::relu>},
    {"rnn_identity", make_rnn<Rnn, RnnOptions, RnnActivation::identity>},
    {"lstm", make<Lstm, LstmOptions>},
    {"gru", make<Gru, GruOptions>},
    {"rnn_tanh_cell", make_rnn<RnnCell, RnnCellOptions, RnnActivation::tanh>},
    {"rnn_relu_cell", make_rnn<RnnCell, RnnCellOptions, RnnActivation::relu>},
    {"rnn_identity_cell", make_rnn<RnnCell, RnnCellOptions, RnnActivation::identity>},
    {"lstm_cell", make<LstmCell, LstmCellOptions>},
    {"gru_cell", make<GruCell, GruCellOptions>},
    {"multihead", make_multihead},
    {"bahdanau", make_bahdanau},
    {"luong_dot", make_luong<LuongScore::dot>},
    {"luong_general", make_luong<LuongScore::general>},
    {"luong_concat", make_luong<LuongScore::concat>}};

// ---- Calls

struct Call {
  const Tensor& x;
  Lengths lengths;
  Tensor h_0, c_0;
  Random* random;
};
struct Out {
  Tensor y, h_n, c_n;
};

template <class Attention>
Out run(const Attention&, const Call&) {
  fail("layer_forward", "an attention layer reads q, k and v: call unroll_layer_attend");
}

Out run(const Linear& layer, const Call& call) {
  if (call.h_0 || call.lengths) fail("layer_forward", "a linear layer has no state and no lengths");
  return {layer(call.x), {}, {}};
}

Out run(const Lstm& layer, const Call& call) {
  const LstmState state{call.h_0, call.c_0};
  const LstmOut out = layer(call.x, call.lengths, &state, call.random);
  return {out.y, out.h_n, out.c_n};
}

template <class Recurrent>
requires std::is_same_v<Recurrent, Rnn> || std::is_same_v<Recurrent, Gru> Out
run(const Recurrent& layer, const Call& call) {
  const auto out = layer(call.x, call.lengths, call.h_0, call.random);
  return {out.y, out.h_n, {}};
}

void require_one_step(const Call& call) {
  if (call.lengths) fail("layer_forward", "a cell makes one step and has no lengths");
}

Out run(const LstmCell& cell, const Call& call) {
  require_one_step(call);
  const LstmState next = cell(call.x, {call.h_0, call.c_0}, call.random);
  return {{}, next.h, next.c};
}

template <class Cell>
requires std::is_same_v<Cell, RnnCell> || std::is_same_v<Cell, GruCell> Out run(const Cell& cell,
                                                                                const Call& call) {
  require_one_step(call);
  return {{}, cell(call.x, call.h_0, call.random), {}};
}

// Layers begin in evaluation: they have no random numbers.
void train(Layer& layer, bool on) {
  std::visit(
      [&](auto& each) {
        if constexpr (requires { each.train(on); }) each.train(on);
      },
      layer);
}

bool has_cell_state(const Layer& layer) {
  return std::holds_alternative<Lstm>(layer) || std::holds_alternative<LstmCell>(layer);
}

}  // namespace

unroll_status unroll_layer_create(unroll_parameters* parameters, const char* kind,
                                  const char* prefix, int64_t inputs, int64_t hidden,
                                  const unroll_option* options, int count, unroll_layer** out) {
  return guarded([&] {
    const auto& set = the(kCreate, parameters).parameters;
    const Request request{*set, &the(kCreate, kind), &the(kCreate, prefix), inputs, hidden, options,
                          count};
    std::string all;
    for (const auto& [name, make] : kKinds) {
      if (request.kind == name) {
        Layer layer = make(request);
        train(layer, false);
        *out = new unroll_layer{set, std::move(layer), nullptr};
        return;
      }
      all += (all.empty() ? "" : ", ") + std::string(name);
    }
    fail(kCreate, "there is no " + request.kind + "; there are: " + all);
  });
}

void unroll_layer_release(unroll_layer* layer) { delete layer; }

unroll_status unroll_layer_reset(unroll_layer* layer, uint64_t seed, const unroll_option* options,
                                 int count) {
  return guarded([&] {
    constexpr const char* op = "layer_reset";
    RecurrentInit init;
    Random random(seed);
    std::visit(
        [&](auto& each) {
          if constexpr (requires { each.reset(random, init); }) {
            set_options(op, options, count,
                        {{"orthogonal", &init.orthogonal}, {"forget_bias", &init.forget_bias}});
            each.reset(random, init);
          } else {
            set_options(op, options, count, {});
            each.reset(random);
          }
        },
        the(op, layer).layer);
  });
}

unroll_status unroll_layer_train(unroll_layer* layer, unroll_random* random) {
  return guarded([&] {
    the("layer_train", layer);
    layer->random = random ? random->random : nullptr;
    train(layer->layer, random != nullptr);
  });
}

unroll_status unroll_layer_forward(const unroll_layer* layer, const unroll_tensor* x,
                                   const int64_t* lengths, int64_t lengths_count,
                                   const unroll_tensor* h_0, const unroll_tensor* c_0,
                                   unroll_tensor** y, unroll_tensor** h_n, unroll_tensor** c_n) {
  return guarded([&] {
    constexpr const char* op = "layer_forward";
    const Layer& which = the(op, layer).layer;
    if (c_0 && !has_cell_state(which)) fail(op, "only an LSTM has a c_0");
    const Call call{the(op, x), lengths_from(op, lengths, lengths_count), optional(h_0),
                    optional(c_0), layer->random.get()};
    const Out out = std::visit([&](const auto& each) { return run(each, call); }, which);
    hand_out({{out.y, y}, {out.h_n, h_n}, {out.c_n, c_n}});
  });
}
