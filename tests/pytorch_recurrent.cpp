// PyTorch's cases: RNN, LSTM, GRU and their cells.
#include "autograd/gru.h"
#include "autograd/lstm.h"
#include "autograd/rnn.h"
#include "tests/pytorch_case.h"

namespace unroll::testing::pytorch {
namespace {

void require_one_layer_one_direction(const Json& spec) {
  if (spec.value("bidirectional", false)) unsupported("two directions: not in this version");
  if (spec.value("num_layers", 1) != 1) unsupported("several layers: not in this version");
  if (spec.value("proj_size", 0) != 0) unsupported("projection: not in this version");
}

// h_0, c_0 and h_n, c_n of a module have an axis of layers in front.
Tensor without_layer(const Tensor& state) { return state ? squeeze(state, 0) : state; }

Named recurrent(const std::string& module, const File& file, const Json& spec) {
  require_one_layer_one_direction(spec);
  const bool batch_first = spec.value("batch_first", false);
  Tensor x = file.input("x");
  if (batch_first) x = transpose(x, 0, 1);
  Lengths lengths;
  if (const Tensor given = file.input("lengths")) lengths = Lengths(to_vector<std::int64_t>(given));
  const Tensor h0 = without_layer(file.input("h0")), c0 = without_layer(file.input("c0"));
  const Tensor w_ih = file.param("weight_ih_l0"), w_hh = file.param("weight_hh_l0"),
               b_ih = file.param("bias_ih_l0"), b_hh = file.param("bias_hh_l0");
  Named out;
  const auto state = [](const Tensor& t) { return unsqueeze(t, 0); };
  if (module == "LSTM") {
    const LstmOut r = lstm(x, h0, c0, w_ih, w_hh, b_ih, b_hh, lengths);
    out = {{"y", r.y}, {"hn", state(r.h_n)}, {"cn", state(r.c_n)}};
  } else if (module == "GRU") {
    const GruOut r = gru(x, h0, w_ih, w_hh, b_ih, b_hh, lengths);
    out = {{"y", r.y}, {"hn", state(r.h_n)}};
  } else {
    const bool relu = spec.value("nonlinearity", "tanh") == "relu";
    const RnnOut r = rnn(x, h0, w_ih, w_hh, b_ih, b_hh, lengths,
                         relu ? RnnActivation::relu : RnnActivation::tanh);
    out = {{"y", r.y}, {"hn", state(r.h_n)}};
  }
  if (batch_first) out["y"] = transpose(out["y"], 0, 1);
  return out;
}

Named cell(const File& file, const Json& spec) {
  const Tensor x = unsqueeze(file.input("x"), 0), h0 = file.input("h0");
  const Tensor w_ih = file.param("weight_ih"), w_hh = file.param("weight_hh"),
               b_ih = file.param("bias_ih"), b_hh = file.param("bias_hh");
  const std::string kind = spec.at("kind");
  if (kind == "RNNCell") return {{"h1", rnn(x, h0, w_ih, w_hh, b_ih, b_hh).h_n}};
  if (kind == "GRUCell") return {{"h1", gru(x, h0, w_ih, w_hh, b_ih, b_hh).h_n}};
  if (kind != "LSTMCell") unsupported(kind + ": not in this version");
  const LstmOut out = lstm(x, h0, file.input("c0"), w_ih, w_hh, b_ih, b_hh);
  return {{"h1", out.h_n}, {"c1", out.c_n}};
}

conformance::Judge of(const std::string& module) {
  return [module](const Case& c) {
    return judge_function(
        c, [&](const File& f, const Json& spec) { return recurrent(module, f, spec); });
  };
}

}  // namespace

const Judges& recurrent_judges() {
  static const Judges all = {
      {"Cells", [](const Case& c) { return judge_function(c, cell); }},
      {"GRU", of("GRU")},
      {"LSTM", of("LSTM")},
      {"RNN", of("RNN")},
  };
  return all;
}

}  // namespace unroll::testing::pytorch
