#include "capi/handles.h"

using namespace unroll;
using namespace unroll::capi;

namespace {

using Layer = decltype(unroll_layer::layer);

struct Request {
  Parameters& parameters;
  std::string kind, prefix;
  std::int64_t inputs, hidden;
};

// The options of a recurrent layer. Dropout is not among them: a call has no random numbers.
struct Options {
  bool bias = true, bidirectional = false, batch_first = false;
  std::int64_t num_layers = 1;
};

template <class Of>
Of options_of(const Options& o) {
  Of of;
  of.bias = o.bias;
  of.num_layers = o.num_layers;
  of.bidirectional = o.bidirectional;
  of.batch_first = o.batch_first;
  return of;
}

Layer make_layer(const Request& r, const Options& o) {
  if (r.inputs < 1 || r.hidden < 1)
    fail("layer_create", "inputs " + std::to_string(r.inputs) + " and hidden " +
                             std::to_string(r.hidden) + " must be positive");
  const auto rnn = [&](RnnActivation activation) {
    RnnOptions options = options_of<RnnOptions>(o);
    options.activation = activation;
    return Rnn(r.parameters, r.prefix, r.inputs, r.hidden, options);
  };
  if (r.kind == "linear") return Linear(r.parameters, r.prefix, r.inputs, r.hidden, o.bias);
  if (r.kind == "rnn_tanh") return rnn(RnnActivation::tanh);
  if (r.kind == "rnn_relu") return rnn(RnnActivation::relu);
  if (r.kind == "rnn_identity") return rnn(RnnActivation::identity);
  if (r.kind == "lstm")
    return Lstm(r.parameters, r.prefix, r.inputs, r.hidden, options_of<LstmOptions>(o));
  if (r.kind == "gru")
    return Gru(r.parameters, r.prefix, r.inputs, r.hidden, options_of<GruOptions>(o));
  fail("layer_create", "there is no " + r.kind +
                           "; there are: linear, rnn_tanh, rnn_relu, rnn_identity, lstm, gru");
}

struct Call {
  const Tensor& x;
  Lengths lengths;
  Tensor h_0, c_0;
};
struct Out {
  Tensor y, h_n, c_n;
};

Out run(const Linear& layer, const Call& call) {
  if (call.h_0 || call.lengths) fail("layer_forward", "a linear layer has no state and no lengths");
  return {layer(call.x), {}, {}};
}

Out run(const Lstm& layer, const Call& call) {
  const LstmState state{call.h_0, call.c_0};
  const LstmOut out = layer(call.x, call.lengths, &state);
  return {out.y, out.h_n, out.c_n};
}

template <class Recurrent>
Out run(const Recurrent& layer, const Call& call) {
  const auto out = layer(call.x, call.lengths, call.h_0);
  return {out.y, out.h_n, {}};
}

// All or none: a handle that could not be made leaves no other behind.
void hand_out(const Out& out, unroll_tensor** y, unroll_tensor** h_n, unroll_tensor** c_n) {
  const std::pair<const Tensor*, unroll_tensor**> wanted[] = {
      {&out.y, y}, {&out.h_n, h_n}, {&out.c_n, c_n}};
  std::unique_ptr<unroll_tensor> made[3];
  for (int i = 0; i < 3; i++)
    if (wanted[i].second) made[i].reset(handle(*wanted[i].first));
  for (int i = 0; i < 3; i++)
    if (wanted[i].second) *wanted[i].second = made[i].release();
}

}  // namespace

unroll_status unroll_layer_create(unroll_parameters* parameters, const char* kind,
                                  const char* prefix, int64_t inputs, int64_t hidden,
                                  const unroll_option* options, int count, unroll_layer** out) {
  return guarded([&] {
    constexpr const char* op = "layer_create";
    const auto& set = the(op, parameters).parameters;
    const Request request{*set, &the(op, kind), &the(op, prefix), inputs, hidden};
    Options o;
    if (request.kind == "linear")
      set_options(op, options, count, {{"bias", &o.bias}});
    else
      set_options(op, options, count,
                  {{"bias", &o.bias},
                   {"num_layers", &o.num_layers},
                   {"bidirectional", &o.bidirectional},
                   {"batch_first", &o.batch_first}});
    *out = new unroll_layer{set, make_layer(request, o)};
  });
}

void unroll_layer_release(unroll_layer* layer) { delete layer; }

unroll_status unroll_layer_reset(unroll_layer* layer, uint64_t seed, const unroll_option* options,
                                 int count) {
  return guarded([&] {
    constexpr const char* op = "layer_reset";
    the(op, layer);
    RecurrentInit init;
    Random random(seed);
    if (Linear* linear = std::get_if<Linear>(&layer->layer)) {
      set_options(op, options, count, {});
      return linear->reset(random);
    }
    set_options(op, options, count,
                {{"orthogonal", &init.orthogonal}, {"forget_bias", &init.forget_bias}});
    std::visit(
        [&](auto& each) {
          if constexpr (!std::is_same_v<decltype(each), Linear&>) each.reset(random, init);
        },
        layer->layer);
  });
}

unroll_status unroll_layer_forward(const unroll_layer* layer, const unroll_tensor* x,
                                   const int64_t* lengths, int64_t lengths_count,
                                   const unroll_tensor* h_0, const unroll_tensor* c_0,
                                   unroll_tensor** y, unroll_tensor** h_n, unroll_tensor** c_n) {
  return guarded([&] {
    constexpr const char* op = "layer_forward";
    const auto& which = the(op, layer).layer;
    if (c_0 && !std::holds_alternative<Lstm>(which)) fail(op, "only an LSTM has a c_0");
    const Call call{the(op, x), lengths_from(op, lengths, lengths_count), optional(h_0),
                    optional(c_0)};
    hand_out(std::visit([&](const auto& each) { return run(each, call); }, which), y, h_n, c_n);
  });
}
