// Values against ONNX's node tests: in0.., out0.. in the order of the node's inputs and outputs.
// What this version has no op for is skipped by name.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <string>

#include "autograd/gru.h"
#include "autograd/lstm.h"
#include "autograd/ops.h"
#include "autograd/rnn.h"
#include "io/safetensors.h"
#include "tests/conformance.h"
#include "tests/testing.h"

namespace unroll::testing {
namespace {

using conformance::Case;
using conformance::Outcome;
using Json = nlohmann::json;
using Ints = std::vector<std::int64_t>;

struct Unsupported {
  std::string reason;
};
[[noreturn]] void unsupported(const std::string& reason) { throw Unsupported{reason}; }

/// A node: its attributes and inputs (absent: undefined).
struct Node {
  std::string op;
  Json attributes;
  std::int64_t opset = 0;
  Tensors in;

  Tensor input(std::size_t i) const { return i < in.size() ? in[i] : Tensor(); }
  bool has(const char* name) const { return attributes.contains(name); }
  template <class T>
  T get(const char* name, T otherwise) const {
    return attributes.value(name, otherwise);
  }
  int axis(int otherwise) const { return get("axis", otherwise); }
  /// A list of numbers from an input, else from an attribute, else `otherwise`.
  Ints list(std::size_t i, const char* attribute, const Ints& otherwise = {}) const {
    if (const Tensor t = input(i)) return to_vector<std::int64_t>(t);
    return get(attribute, otherwise);
  }
};

using Run = std::function<Tensors(const Node&)>;

// ---- elementwise

// Before opset 7 the second operand's axes were placed by an attribute.
Tensor old_broadcast(const Node& n, Tensor b) {
  if (!n.has("axis")) return b;
  while (b.rank() + n.axis(0) < n.in[0].rank()) b = unsqueeze(b, -1);
  return b;
}

Run unary(Tensor (*f)(const Tensor&)) {
  return [f](const Node& n) { return Tensors{f(n.in[0])}; };
}
Run binary(Tensor (*f)(const Tensor&, const Tensor&)) {
  return [f](const Node& n) {
    if (n.in[0].dtype() != n.in[1].dtype()) unsupported(n.op + " of mixed types");
    return Tensors{f(n.in[0], old_broadcast(n, n.in[1]))};
  };
}
Run folded(Tensor (*f)(const Tensor&, const Tensor&), bool averaged = false) {
  return [=](const Node& n) {
    Tensor y = n.in[0];
    for (std::size_t i = 1; i < n.in.size(); i++) y = f(y, n.in[i]);
    return Tensors{averaged ? y / double(n.in.size()) : y};
  };
}

Tensors clip(const Node& n) {
  constexpr double inf = std::numeric_limits<double>::infinity();
  const double low = n.input(1) ? n.in[1].item() : n.get("min", -inf);
  const double high = n.input(2) ? n.in[2].item() : n.get("max", inf);
  if (low > high) return {full(n.in[0].shape(), high, n.in[0].dtype())};
  return {clamp(n.in[0], low, high)};
}

// ---- reductions

using Extreme = Tensor (*)(const Tensor&, int, bool);

Axes axes_of(const Node& n, std::size_t input = 1) {
  Ints list = n.list(input, "axes");
  if (list.empty() && !n.get("noop_with_empty_axes", 0))
    for (int i = 0; i < n.in[0].rank(); i++) list.push_back(i);
  Axes axes;
  for (std::int64_t a : list) axes.axis[axes.count++] = static_cast<int>(a);
  return axes;
}

Tensors reduce_sum(const Node& n) { return {sum(n.in[0], axes_of(n), n.get("keepdims", 1))}; }
Tensors reduce_mean(const Node& n) { return {mean(n.in[0], axes_of(n), n.get("keepdims", 1))}; }

Run reduce_extreme(Extreme f) {
  return [f](const Node& n) {
    if (n.in[0].numel() == 0) unsupported(n.op + " of nothing is an error here");
    Tensor y = n.in[0];
    const Axes axes = axes_of(n);
    for (int axis : axes) y = f(y, axis, true);
    if (!n.get("keepdims", 1)) {
      Shape left = y.shape();
      std::vector<bool> gone(static_cast<std::size_t>(left.rank()));
      for (int axis : axes) gone[std::size_t(normal_axis("axes", axis, left.rank()))] = true;
      for (int i = left.rank(); i-- > 0;)
        if (gone[std::size_t(i)]) left.erase(i);
      y = reshape(y, left);
    }
    return Tensors{y};
  };
}

Run arg(Extreme f) {
  return [f](const Node& n) {
    if (n.get("select_last_index", 0))
      unsupported(n.op + " of the last index: not in this version");
    return Tensors{f(n.in[0], n.axis(0), n.get("keepdims", 1))};
  };
}

Run softmax_like(Tensor (*f)(const Tensor&, int)) {
  return [f](const Node& n) {
    const Tensor x = n.in[0];
    if (n.opset >= 13) return Tensors{f(x, n.axis(-1))};
    const int axis = normal_axis("softmax", n.axis(1), x.rank());  // everything from the axis on
    std::int64_t rows = 1;
    for (int i = 0; i < axis; i++) rows *= x.shape()[i];
    return Tensors{reshape(f(reshape(x, {rows, -1}), -1), x.shape())};
  };
}

// ---- products

Tensors product(const Node& n) {
  if (n.in[0].rank() < 2 || n.in[1].rank() < 2)
    unsupported("matmul of a vector: not in this version");
  return {matmul(n.in[0], n.in[1])};
}

Tensors gemm(const Node& n) {
  const auto turned = [&](const Tensor& x, const char* flag) {
    return n.get(flag, 0) ? transpose(x, 0, 1) : x;
  };
  Tensor y = matmul(turned(n.in[0], "transA"), turned(n.in[1], "transB")) * n.get("alpha", 1.0);
  if (n.input(2)) y = y + n.in[2] * n.get("beta", 1.0);
  return {y};
}

// ---- shape

Shape shape_of(const Ints& sizes) { return Shape(sizes); }

Tensors reshaped(const Node& n) {
  Ints sizes = to_vector<std::int64_t>(n.in[1]);
  if (!n.get("allowzero", 0))
    for (std::size_t i = 0; i < sizes.size(); i++)
      if (sizes[i] == 0) sizes[i] = n.in[0].shape()[int(i)];
  return {reshape(n.in[0], shape_of(sizes))};
}

Tensors flattened(const Node& n) {
  const int rank = n.in[0].rank(), given = n.axis(1), axis = given < 0 ? given + rank : given;
  std::int64_t rows = 1;
  for (int i = 0; i < axis; i++) rows *= n.in[0].shape()[i];
  return {reshape(n.in[0], {rows, rows ? n.in[0].numel() / rows : 0})};
}

Tensors transposed(const Node& n) {
  Axes order;
  order.count = n.in[0].rank();
  for (int i = 0; i < order.count; i++) order.axis[i] = order.count - 1 - i;
  const Ints given = n.get("perm", Ints{});
  for (std::size_t i = 0; i < given.size(); i++) order.axis[i] = int(given[i]);
  return {permute(n.in[0], order)};
}

Tensors unsqueezed(const Node& n) {
  Ints axes = n.list(1, "axes");
  const int rank = n.in[0].rank() + int(axes.size());
  for (std::int64_t& a : axes) a = normal_axis("Unsqueeze", int(a), rank);
  std::sort(axes.begin(), axes.end());
  Tensor y = n.in[0];
  for (std::int64_t a : axes) y = unsqueeze(y, int(a));
  return {y};
}

Tensors squeezed(const Node& n) {
  Ints axes = n.list(1, "axes");
  for (std::int64_t& a : axes) a = normal_axis("Squeeze", int(a), n.in[0].rank());
  std::sort(axes.rbegin(), axes.rend());
  Tensor y = n.in[0];
  for (std::int64_t a : axes) y = squeeze(y, int(a));
  return {y};
}

Tensors sliced(const Node& n) {
  Tensor y = n.in[0];
  const Ints starts = n.list(1, "starts"), ends = n.list(2, "ends"), steps = n.list(4, "steps");
  Ints axes = n.list(3, "axes");
  for (std::size_t i = 0; i < starts.size(); i++) {
    if (axes.size() <= i) axes.push_back(std::int64_t(i));
    const std::int64_t step = steps.empty() ? 1 : steps[i], size = y.size(int(axes[i]));
    if (step < 0) unsupported("Slice backwards: not in this version");
    const auto inside = [size](std::int64_t at) {
      return std::clamp<std::int64_t>(at < 0 ? at + size : at, 0, size);
    };
    y = slice(y, int(axes[i]), inside(starts[i]), std::max(inside(starts[i]), inside(ends[i])),
              step);
  }
  return {y};
}

Tensors split(const Node& n, std::size_t outputs) {
  const int axis = n.axis(0);
  const std::int64_t size = n.in[0].size(axis), parts = std::int64_t(outputs);
  Ints sizes = n.list(1, "split");
  if (sizes.empty()) {
    const std::int64_t each = (size + parts - 1) / parts;
    for (std::int64_t i = 0; i < parts; i++) sizes.push_back(std::min(each, size - i * each));
  }
  Tensors all;
  std::int64_t start = 0;
  for (std::int64_t s : sizes) all.push_back(slice(n.in[0], axis, start, start + s)), start += s;
  return all;
}

Tensors gathered(const Node& n) {
  const int axis = normal_axis("Gather", n.axis(0), n.in[0].rank());
  Ints index = to_vector<std::int64_t>(n.in[1]);
  for (std::int64_t& i : index) i += i < 0 ? n.in[0].shape()[axis] : 0;
  const Tensor flat = from_values<std::int64_t>(index, {std::int64_t(index.size())});
  Shape shape = n.in[0].shape();
  shape.erase(axis);
  for (int i = 0; i < n.in[1].rank(); i++) shape.insert(axis + i, n.in[1].shape()[i]);
  return {reshape(index_select(n.in[0], axis, flat), shape)};
}

Tensors expanded(const Node& n) {
  const Shape wanted = shape_of(to_vector<std::int64_t>(n.in[1]));
  return {expand(n.in[0], broadcast_shapes("Expand", n.in[0].shape(), wanted))};
}

// ---- recurrent: W [D,GH,I], R [D,GH,H], B [D,2GH] of D directions; blocks in ONNX's order

using Names = std::vector<std::string>;

void require_plain(const Node& n) {
  if (n.has("clip")) unsupported(n.op + " with clip: not in this version");
  if (n.get("input_forget", 0)) unsupported(n.op + " with input_forget: not in this version");
  if (n.op == "LSTM" && n.input(7)) unsupported("LSTM with peepholes: not in this version");
  if (n.op == "GRU" && !n.get("linear_before_reset", 0))
    unsupported("GRU with the reset before the product: not in this version");
}

// The activations of one direction.
Names activations_of(const Node& n, std::size_t direction, const Names& standard) {
  const Names all = n.get("activations", Names{});
  if (all.empty()) return standard;
  const auto first = all.begin() + std::ptrdiff_t(direction * standard.size());
  return {first, first + std::ptrdiff_t(standard.size())};
}

void require_activations(const Node& n, std::size_t direction, const Names& standard) {
  if (activations_of(n, direction, standard) != standard)
    unsupported(n.op + " with other activations: not in this version");
}

// Blocks of rows of x [G*H, ...] in another order.
Tensor blocks(const Tensor& x, const Ints& order) {
  if (!x) return x;
  const std::int64_t H = x.shape()[0] / std::int64_t(order.size());
  Tensors parts;
  for (std::int64_t g : order) parts.push_back(slice(x, 0, g * H, (g + 1) * H));
  return cat(parts, 0);
}

struct Cell {
  Tensor x, h0, c0, w_ih, w_hh, b_ih, b_hh;
  Lengths lengths;
};

Cell cell_of(const Node& n, int direction, const Ints& order) {
  const bool batch_first = n.get("layout", 0) == 1;
  const auto state = [&](std::size_t i) {
    return n.input(i) ? select(n.in[i], batch_first ? 1 : 0, direction) : Tensor();
  };
  Cell c{.x = batch_first ? transpose(n.in[0], 0, 1) : n.in[0],
         .h0 = state(5),
         .c0 = state(6),
         .w_ih = blocks(select(n.in[1], 0, direction), order),
         .w_hh = blocks(select(n.in[2], 0, direction), order),
         .b_ih = {},
         .b_hh = {},
         .lengths = {}};
  if (const Tensor b = n.input(3)) {
    const std::int64_t half = b.shape()[1] / 2;
    c.b_ih = blocks(slice(select(b, 0, direction), 0, 0, half), order);
    c.b_hh = blocks(slice(select(b, 0, direction), 0, half, 2 * half), order);
  }
  if (const Tensor lengths = n.input(4)) c.lengths = Lengths(to_vector<std::int64_t>(lengths));
  return c;
}

// y and the states of one direction.
Tensors run_direction(const Node& n, int direction, bool reverse) {
  const auto at = static_cast<std::size_t>(direction);
  if (n.op == "LSTM") {
    require_activations(n, at, {"Sigmoid", "Tanh", "Tanh"});
    const Cell c = cell_of(n, direction, {0, 2, 3, 1});
    const LstmOut out = lstm(c.x, c.h0, c.c0, c.w_ih, c.w_hh, c.b_ih, c.b_hh, c.lengths, reverse);
    return {out.y, out.h_n, out.c_n};
  }
  if (n.op == "GRU") {
    require_activations(n, at, {"Sigmoid", "Tanh"});
    const Cell c = cell_of(n, direction, {1, 0, 2});
    const GruOut out = gru(c.x, c.h0, c.w_ih, c.w_hh, c.b_ih, c.b_hh, c.lengths, reverse);
    return {out.y, out.h_n};
  }
  static const std::map<std::string, RnnActivation> known = {{"Tanh", RnnActivation::tanh},
                                                             {"Relu", RnnActivation::relu}};
  const std::string name = activations_of(n, at, {"Tanh"})[0];
  if (!known.count(name)) unsupported("RNN with " + name + ": not in this version");
  const Cell c = cell_of(n, direction, {0});
  const RnnOut out =
      rnn(c.x, c.h0, c.w_ih, c.w_hh, c.b_ih, c.b_hh, c.lengths, known.at(name), reverse);
  return {out.y, out.h_n};
}

// Y [T,D,N,H] and states [D,N,H]; batch first: [N,T,D,H] and [N,D,H].
Tensors recurrent(const Node& n) {
  require_plain(n);
  const std::string direction = n.get<std::string>("direction", "forward");
  const bool batch_first = n.get("layout", 0) == 1, both = direction == "bidirectional";
  std::vector<Tensors> runs{run_direction(n, 0, direction == "reverse")};
  if (both) runs.push_back(run_direction(n, 1, true));
  Tensors out;
  for (std::size_t i = 0; i < runs[0].size(); i++) {
    Tensors parts;
    for (const Tensors& run : runs)
      parts.push_back(i == 0 && batch_first ? transpose(run[i], 0, 1) : run[i]);
    out.push_back(stack(parts, i == 0 ? (batch_first ? 2 : 1) : (batch_first ? 1 : 0)));
  }
  return out;
}

// ---- the table

const std::map<std::string, Run>& ops() {
  static const std::map<std::string, Run> all = {
      {"Abs", unary(abs)},
      {"Add", binary(add)},
      {"ArgMax", arg(argmax)},
      {"ArgMin", arg(argmin)},
      {"Clip", clip},
      {"Concat", [](const Node& n) { return Tensors{cat(n.in, n.axis(1))}; }},
      {"Cos", unary(cos)},
      {"Div", binary(div)},
      {"Equal", binary(eq)},
      {"Erf", unary(erf)},
      {"Exp", unary(exp)},
      {"Expand", expanded},
      {"Flatten", flattened},
      {"GRU", recurrent},
      {"Gather", gathered},
      {"Gemm", gemm},
      {"Greater", binary(gt)},
      {"LSTM", recurrent},
      {"Less", binary(lt)},
      {"Log", unary(log)},
      {"LogSoftmax", softmax_like(log_softmax)},
      {"MatMul", product},
      {"Max", folded(maximum)},
      {"Mean", folded(add, true)},
      {"Min", folded(minimum)},
      {"Mul", binary(mul)},
      {"Neg", unary(neg)},
      {"Pow", binary(pow)},
      {"RNN", recurrent},
      {"Reciprocal", unary(reciprocal)},
      {"ReduceMax", reduce_extreme(max)},
      {"ReduceMean", reduce_mean},
      {"ReduceMin", reduce_extreme(min)},
      {"ReduceSum", reduce_sum},
      {"Relu", unary(relu)},
      {"Reshape", reshaped},
      {"Sigmoid", unary(sigmoid)},
      {"Sign", unary(sign)},
      {"Sin", unary(sin)},
      {"Slice", sliced},
      {"Softmax", softmax_like(softmax)},
      {"Softplus", unary(softplus)},
      {"Sqrt", unary(sqrt)},
      {"Squeeze", squeezed},
      {"Sub", binary(sub)},
      {"Sum", folded(add)},
      {"Tanh", unary(tanh)},
      {"Transpose", transposed},
      {"Unsqueeze", unsqueezed},
      {"Where", [](const Node& n) { return Tensors{where(n.in[0], n.in[1], n.in[2])}; }},
  };
  return all;
}

// Ops whose results on integers are exact here, too.
bool takes_integers(const std::string& op) {
  return op == "Equal" || op == "Greater" || op == "Less" || op == "Where";
}

void require_types(const Case& c, const std::string& op) {
  const Json& first = c.entry.at("inputs").at(0);
  const std::string dtype = first.is_null() ? "" : first.value("dtype", "");
  if (dtype == "F16" || dtype == "BF16")
    unsupported(op + " of " + dtype + ": half types are converted, never computed with");
  if (dtype != "F32" && dtype != "F64" && !takes_integers(op))
    unsupported(op + " of " + dtype + ": integer arithmetic is out of scope");
}

std::string compare(const std::string& name, const Tensor& ours, const Tensor& expected,
                    double rtol, double atol) {
  if (!(ours.shape() == expected.shape()))
    return name + " is " + to_string(ours.shape()) + ", not " + to_string(expected.shape()) + "; ";
  const std::vector<double> a = to_vector<double>(cast_copy(ours, Dtype::float64));
  const std::vector<double> b = to_vector<double>(cast_copy(expected, Dtype::float64));
  for (std::size_t i = 0; i < a.size(); i++) {
    const bool same = a[i] == b[i] || (std::isnan(a[i]) && std::isnan(b[i]));
    if (!same && !(std::abs(a[i] - b[i]) <= atol + rtol * std::abs(b[i])))
      return name + "[" + std::to_string(i) + "] is " + std::to_string(a[i]) + ", not " +
             std::to_string(b[i]) + "; ";
  }
  return "";
}

Outcome judge_node(const Case& c) {
  const std::string op = c.entry.at("op");
  if (op != "Split" && !ops().count(op)) unsupported(op + ": not in this version");
  require_types(c, op);
  const Safetensors file = read_safetensors(c.path.string());
  Node node{op, c.entry.at("attributes"), c.entry.value("opset", std::int64_t{0}), {}};
  if (node.attributes.is_null()) node.attributes = Json::object();
  for (const Json& in : c.entry.at("inputs"))
    node.in.push_back(in.is_null() ? Tensor() : file[in.at("tensor")]);
  const Json& wanted = c.entry.at("outputs");
  const Tensors out = op == "Split" ? split(node, wanted.size()) : ops().at(op)(node);
  std::string wrong;
  for (std::size_t i = 0; i < wanted.size(); i++) {
    if (wanted[i].is_null()) continue;
    if (i >= out.size()) return conformance::fail("no output " + std::to_string(i));
    const std::string name = wanted[i].at("tensor");
    wrong +=
        compare(name, out[i], file[name], c.entry.value("rtol", 1e-3), c.entry.value("atol", 1e-7));
  }
  return wrong.empty() ? conformance::pass() : conformance::fail(wrong);
}

Outcome judge(const Case& c) {
  try {
    return judge_node(c);
  } catch (const Unsupported& u) {
    return conformance::skip(u.reason);
  }
}

TEST(OnnxConformance, EachCaseOfTheIndex) { conformance::run("onnx", judge); }

TEST(OnnxConformance, AnotherFolderOfTheSameForm) {
  const TemporaryFolder folder;
  const Tensor x = random_normal({2, 3}, 1, 1, Dtype::float32), y = tanh(x);
  write_safetensors(folder / "a.safetensors",
                    {.tensors = {{"in0", x}, {"out0", y}, {"out1", y * 1.01}}, .metadata = {}});
  const auto entry = [](const char* op, const char* out, const char* dtype) {
    return std::string(R"({"file":"a.safetensors","op":")") + op +
           R"(","attributes":{},"rtol":1e-3,"atol":0,"inputs":[{"tensor":"in0","dtype":")" + dtype +
           R"("}],"outputs":[{"tensor":")" + out + R"("}]})";
  };
  write_bytes(folder / "index.json",
              "[" + entry("Tanh", "out0", "F32") + "," + entry("Tanh", "out1", "F32") + "," +
                  entry("Conv", "out0", "F32") + "," + entry("Tanh", "out0", "I8") + "]");
  const conformance::Report report = conformance::judge_all(folder.path(), judge);
  EXPECT_EQ(report.summary("onnx"), "onnx: 1 passed, 1 failed, 2 skipped");
  EXPECT_EQ(report.lines[2].outcome.reason, "Conv: not in this version");
}

}  // namespace
}  // namespace unroll::testing
