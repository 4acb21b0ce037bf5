// PyTorch's cases: RNN, LSTM, GRU and their cells.
#include "autograd/gru.h"
#include "autograd/lstm.h"
#include "autograd/recurrent_stack.h"
#include "autograd/rnn.h"
#include "tests/pytorch_case.h"

namespace unroll::testing::pytorch {
namespace {

RecurrentStack stack_of(const File& file, const Json& spec) {
  RecurrentStack stack{.weights = {},
                       .bidirectional = spec.value("bidirectional", false),
                       .batch_first = spec.value("batch_first", false)};
  for (int layer = 0; layer < spec.value("num_layers", 1); layer++)
    for (int d = 0; d < (stack.bidirectional ? 2 : 1); d++) {
      const std::string suffix = "_l" + std::to_string(layer) + (d == 1 ? "_reverse" : "");
      stack.weights.push_back({file.param("weight_ih" + suffix), file.param("weight_hh" + suffix),
                               file.param("bias_ih" + suffix), file.param("bias_hh" + suffix),
                               file.param("weight_hr" + suffix)});
    }
  return stack;
}

Named recurrent(const std::string& module, const File& file, const Json& spec) {
  Lengths lengths;
  if (const Tensor given = file.input("lengths")) lengths = Lengths(to_vector<std::int64_t>(given));
  const Tensor x = file.input("x"), h0 = file.input("h0"), c0 = file.input("c0");
  const RecurrentStack stack = stack_of(file, spec);
  if (module == "LSTM") {
    const LstmOut r = lstm_stack(x, h0, c0, stack, lengths);
    return {{"y", r.y}, {"hn", r.h_n}, {"cn", r.c_n}};
  }
  if (module == "GRU") {
    const GruOut r = gru_stack(x, h0, stack, lengths);
    return {{"y", r.y}, {"hn", r.h_n}};
  }
  const bool relu = spec.value("nonlinearity", "tanh") == "relu";
  const RnnOut r =
      rnn_stack(x, h0, stack, lengths, nullptr, relu ? RnnActivation::relu : RnnActivation::tanh);
  return {{"y", r.y}, {"hn", r.h_n}};
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

Judge of(const std::string& module) {
  return judge_of([module](const File& f, const Json& spec) { return recurrent(module, f, spec); });
}

}  // namespace

const Judges& recurrent_judges() {
  static const Judges all = {
      {"Cells", judge_of(cell)},
      {"GRU", of("GRU")},
      {"LSTM", of("LSTM")},
      {"RNN", of("RNN")},
  };
  return all;
}

}  // namespace unroll::testing::pytorch
