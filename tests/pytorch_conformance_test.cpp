// Values and gradients against PyTorch's, in float64. Each file holds param.*, input.*, output.*,
// cot.* (the cotangent of that output), grad.input.* and grad.param.*.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <map>
#include <string>

#include "autograd/gru.h"
#include "autograd/lstm.h"
#include "autograd/ops.h"
#include "autograd/optimizers.h"
#include "autograd/rnn.h"
#include "autograd/tape.h"
#include "io/safetensors.h"
#include "tests/conformance.h"
#include "tests/testing.h"

namespace unroll::testing {
namespace {

using conformance::Case;
using conformance::Outcome;
using Named = std::map<std::string, Tensor>;
using Json = nlohmann::json;

struct Unsupported {
  std::string reason;
};
[[noreturn]] void unsupported(const std::string& reason) { throw Unsupported{reason}; }

// 1e-12 of the largest reference entry; 1e-15 where all are zero.
std::string compare(const std::string& what, const Tensor& ours, const Tensor& expected) {
  if (!(ours.shape() == expected.shape()))
    return what + " is " + to_string(ours.shape()) + ", not " + to_string(expected.shape()) + "; ";
  const std::vector<double> a = to_vector<double>(ours), b = to_vector<double>(expected);
  double worst = 0, largest = 0;
  for (std::size_t i = 0; i < a.size(); i++) {
    const double error = std::abs(a[i] - b[i]);
    worst = std::isnan(error) ? INFINITY : std::max(worst, error);
    largest = std::max(largest, std::abs(b[i]));
  }
  const double bar = largest > 0 ? 1e-12 * largest : 1e-15;
  if (worst <= bar) return "";
  return what + " differs by " + std::to_string(worst / (largest > 0 ? largest : 1)) + "; ";
}

// What a file says, by name; `at` of something absent is undefined.
class File {
 public:
  explicit File(const Case& c) : content_(read_safetensors(c.path.string())) {
    for (const NamedTensor& t : content_.tensors) tensors_[t.name] = t.tensor;
  }
  Tensor at(const std::string& name) const {
    const auto found = tensors_.find(name);
    return found == tensors_.end() ? Tensor() : found->second;
  }
  Tensor input(const std::string& name) const { return at("input." + name); }
  Tensor param(const std::string& name) const { return at("param." + name); }
  const Named& tensors() const { return tensors_; }

 private:
  Safetensors content_;
  Named tensors_;
};

using Function = std::function<Named(const File&, const Json& spec)>;

// Runs f under a tape and compares outputs and gradients.
Outcome judge_function(const Case& c, const Function& f) {
  const File file(c);
  Tape tape;
  const Named outputs = f(file, c.entry.at("spec"));
  std::string wrong;
  Tensors ys, us, xs, expected;
  std::vector<std::string> names;
  for (const auto& [name, tensor] : file.tensors()) {
    if (name.rfind("output.", 0) == 0) {
      const std::string output = name.substr(7);
      if (!outputs.count(output)) return conformance::fail("no output " + output);
      wrong += compare(name, outputs.at(output), tensor);
      if (const Tensor u = file.at("cot." + output)) {
        ys.push_back(outputs.at(output));
        us.push_back(u);
      }
    }
    if (name.rfind("grad.", 0) == 0) {
      xs.push_back(file.at(name.substr(5)));
      expected.push_back(tensor);
      names.push_back(name);
    }
  }
  if (!xs.empty()) {
    const Tensors d = tape.pull(ys, us, xs);
    for (std::size_t i = 0; i < d.size(); i++) wrong += compare(names[i], d[i], expected[i]);
  }
  return wrong.empty() ? conformance::pass() : conformance::fail(wrong);
}

// ---- recurrent families

RecurrentStack stack_of(const File& file, const Json& spec) {
  RecurrentStack stack{.weights = {},
                       .bidirectional = spec.value("bidirectional", false),
                       .batch_first = spec.value("batch_first", false)};
  for (int layer = 0; layer < spec.value("num_layers", 1); layer++)
    for (int d = 0; d < (stack.bidirectional ? 2 : 1); d++) {
      const std::string suffix = "_l" + std::to_string(layer) + (d == 1 ? "_reverse" : "");
      stack.weights.push_back({file.param("weight_ih" + suffix), file.param("weight_hh" + suffix),
                               file.param("bias_ih" + suffix), file.param("bias_hh" + suffix)});
    }
  return stack;
}

Named recurrent(const std::string& module, const File& file, const Json& spec) {
  if (spec.value("proj_size", 0) != 0) unsupported("projection: not in this version");
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

// ---- functions and losses

const std::map<std::string, Tensor (*)(const Tensor&)>& functions() {
  static const std::map<std::string, Tensor (*)(const Tensor&)> all = {
      {"softmax_last", [](const Tensor& x) { return softmax(x, -1); }},
      {"softmax_mid", [](const Tensor& x) { return softmax(x, 1); }},
      {"log_softmax", [](const Tensor& x) { return log_softmax(x, -1); }},
      {"softplus", softplus},
      {"hardtanh", [](const Tensor& x) { return clamp(x, -1, 1); }},
      {"max_dim", [](const Tensor& x) { return max(x, -1); }},
      {"amax_ties", [](const Tensor& x) { return max(round(x), -1); }},
      {"expm1", expm1},
      {"log1p_abs", [](const Tensor& x) { return log1p(abs(x)); }},
      {"clamp", [](const Tensor& x) { return clamp(x, -0.5, 0.5); }},
      {"flip", [](const Tensor& x) { return flip(x, 1); }},
  };
  return all;
}

Named functional(const File& file, const Json& spec) {
  const std::string f = spec.at("f");
  if (functions().count(f)) return {{"y", functions().at(f)(file.input("x"))}};
  const Tensor a = file.input("a"), b = file.input("b");
  if (f == "add") return {{"y", a + b}};
  if (f == "mul") return {{"y", a * b}};
  if (f == "div") return {{"y", a / b}};
  if (f != "matmul") unsupported(f + ": not in this version");
  if (a.rank() < 2 || b.rank() < 2) unsupported("matmul of a vector: not in this version");
  return {{"y", matmul(a, b)}};
}

Named loss(const File& file, const Json& spec) {
  const std::string f = spec.at("f");
  const Tensor x = file.input("x"), t = file.input("t");
  if (f == "mse_mean") return {{"loss", mse_loss(x, t)}};
  if (f == "l1") return {{"loss", l1_loss(x, t)}};
  unsupported(f + ": not in this version");
}

// ---- optimisers: w0 g0 w1 g1 ..., the parameters before each step and its gradients

template <class Optimizer, class Options>
Outcome judge_steps(const File& file, const Options& options) {
  Parameters parameters(Dtype::float64);
  Tensor w = parameters.add("w", file.at("w0").shape());
  copy_into(w, file.at("w0"));
  Optimizer optimizer(parameters, options);
  std::string wrong;
  for (int i = 0; file.at("g" + std::to_string(i)); i++) {
    Tensor g = parameters.gradient("w");
    copy_into(g, file.at("g" + std::to_string(i)));
    optimizer.step();
    const std::string next = "w" + std::to_string(i + 1);
    wrong += compare(next, w, file.at(next));
  }
  return wrong.empty() ? conformance::pass() : conformance::fail(wrong);
}

Outcome judge_clip(const File& file, const Json& spec) {
  Parameters parameters(Dtype::float64);
  for (const char* name : {"a", "b"}) {
    parameters.add(name, file.at(name).shape());
    Tensor g = parameters.gradient(name);
    copy_into(g, file.at(name));
  }
  const double norm = clip_norm(parameters, spec.at("max_norm"));
  std::string wrong = compare("norm", number(norm), file.at("norm"));
  for (const std::string name : {"a", "b"})
    wrong += compare(name, parameters.gradient(name), file.at(name + "_clipped"));
  return wrong.empty() ? conformance::pass() : conformance::fail(wrong);
}

// The spec does not name the optimiser: the file does, "adam_amsgrad".
Outcome judge_optimizer(const Case& c) {
  const File file(c);
  const Json& spec = c.entry.at("spec");
  const std::string stem = c.path.stem().string(), kind = stem.substr(0, stem.find('_'));
  if (stem == "clip_grad_norm") return judge_clip(file, spec);
  for (const char* flag : {"maximize", "centered"})
    if (spec.value(flag, false)) unsupported(stem + ": " + flag + " is not in this version");
  if (kind == "sgd")
    return judge_steps<Sgd>(file, SgdOptions{.lr = spec.at("lr"),
                                             .momentum = spec.at("momentum"),
                                             .dampening = spec.at("dampening"),
                                             .weight_decay = spec.at("weight_decay"),
                                             .nesterov = spec.at("nesterov")});
  if (kind == "adam" || kind == "adamw")
    return judge_steps<Adam>(file, AdamOptions{.lr = spec.at("lr"),
                                               .beta1 = spec.at("betas").at(0),
                                               .beta2 = spec.at("betas").at(1),
                                               .eps = spec.at("eps"),
                                               .weight_decay = spec.at("weight_decay"),
                                               .amsgrad = spec.at("amsgrad"),
                                               .decoupled = kind == "adamw"});
  unsupported(kind + ": not in this version");
}

Outcome judge(const Case& c) {
  const std::string module = c.entry.at("module");
  try {
    if (module == "RNN" || module == "LSTM" || module == "GRU")
      return judge_function(
          c, [&](const File& f, const Json& spec) { return recurrent(module, f, spec); });
    if (module == "Cells") return judge_function(c, cell);
    if (module == "functional") return judge_function(c, functional);
    if (module == "losses") return judge_function(c, loss);
    if (module == "optim") return judge_optimizer(c);
    if (module == "Linear")
      return judge_function(c, [](const File& f, const Json&) {
        return Named{{"y", linear(f.input("x"), f.param("weight"), f.param("bias"))}};
      });
  } catch (const Unsupported& u) {
    return conformance::skip(u.reason);
  }
  return conformance::skip(module + ": not in this version");
}

TEST(PytorchConformance, EachCaseOfTheIndex) { conformance::run("pytorch", judge); }

// A folder of one's own works as well, and a wrong reference is a failed case.
TEST(PytorchConformance, AnotherFolderOfTheSameForm) {
  const TemporaryFolder folder;
  const Tensor x = random_normal({2, 3}), w = random_normal({4, 3}, 2),
               u = random_normal({2, 4}, 3);
  const Tensor y = linear(x, w), dx = matmul(u, w), dw = matmul(transpose(u, 0, 1), x);
  const auto write = [&](const std::string& name, const Tensor& grad) {
    write_safetensors(folder / name, {.tensors = {{"input.x", x},
                                                  {"param.weight", w},
                                                  {"output.y", y},
                                                  {"cot.y", u},
                                                  {"grad.input.x", grad},
                                                  {"grad.param.weight", dw}},
                                      .metadata = {}});
  };
  write("right.safetensors", dx);
  write("wrong.safetensors", dx * (1 + 1e-11));
  write_bytes(folder / "index.json",
              R"([{"file":"right.safetensors","module":"Linear","spec":{}},
                  {"file":"wrong.safetensors","module":"Linear","spec":{}},
                  {"file":"right.safetensors","module":"Conv","spec":{}},
                  {"file":"right.safetensors","module":"LSTM","spec":{"proj_size":2}}])");
  const conformance::Report report = conformance::judge_all(folder.path(), judge);
  EXPECT_EQ(report.summary("pytorch"), "pytorch: 1 passed, 1 failed, 2 skipped");
  EXPECT_NE(report.lines[1].outcome.reason.find("grad.input.x"), std::string::npos);
  EXPECT_EQ(report.lines[2].outcome.reason, "Conv: not in this version");
  EXPECT_EQ(report.lines[3].outcome.reason, "projection: not in this version");
}

}  // namespace
}  // namespace unroll::testing
