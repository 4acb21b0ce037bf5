#include "tests/onnx_node.h"

#include <cmath>
#include <set>
#include <string>
#include <vector>

#include "io/safetensors.h"

namespace unroll::testing::onnx {
namespace {

using conformance::Case;
using conformance::Outcome;

const Run* find(const std::string& op) {
  for (const Ops* ops : {&elementwise_ops(), &reduction_ops(), &shape_ops(), &product_ops(),
                         &recurrent_ops(), &attention_ops(), &layers_ops()}) {
    const auto found = ops->find(op);
    if (found != ops->end()) return &found->second;
  }
  return nullptr;
}

// Ops whose results on integers are exact here, too.
bool takes_integers(const std::string& op) {
  static const std::set<std::string> all = {"Equal",     "Greater",   "Less",  "Pad",  "Pow",
                                            "ReduceMax", "ReduceMin", "Trilu", "Where"};
  return all.count(op) > 0;
}

void require_types(const Case& c, const std::string& op) {
  const Json& first = c.entry.at("inputs").at(0);
  const std::string dtype = first.is_null() ? "" : first.value("dtype", "");
  const bool real = dtype == "F64" || dtype == "F32" || dtype == "F16" || dtype == "BF16";
  if (!real && !takes_integers(op))
    unsupported(op + " of " + dtype + ": integer arithmetic is out of scope");
}

// Half types are stored, not computed with: float32 in between.
Tensor widened(const Tensor& x) { return is_half(x.dtype()) ? to(x, Dtype::float32) : x; }
Tensor narrowed(const Tensor& x, Dtype wanted) { return is_half(wanted) ? to(x, wanted) : x; }

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

Outcome judge_node(const Case& c, Device device) {
  const std::string op = c.entry.at("op");
  if (op == "Adam" || op == "Momentum") unsupported(op + ": training operators are out of scope");
  const Run* run = find(op);
  if (!run) unsupported(op + ": not in this version");
  require_types(c, op);
  const Safetensors file = read_safetensors(c.path.string());
  Node node{op,
            c.entry.at("attributes"),
            c.entry.value("opset", std::int64_t{0}),
            {},
            c.entry.at("outputs").size()};
  if (node.attributes.is_null()) node.attributes = Json::object();
  for (const Json& in : c.entry.at("inputs"))
    node.in.push_back(in.is_null() ? Tensor() : widened(on_device(file[in.at("tensor")], device)));
  const Json& wanted = c.entry.at("outputs");
  const Tensors out = (*run)(node);
  std::string wrong;
  for (std::size_t i = 0; i < wanted.size(); i++) {
    if (wanted[i].is_null()) continue;
    if (i >= out.size()) return conformance::fail("no output " + std::to_string(i));
    const std::string name = wanted[i].at("tensor");
    if (!(out[i].device() == device)) wrong += name + " left the device; ";
    wrong += compare(name, narrowed(out[i], file[name].dtype()), file[name],
                     c.entry.value("rtol", 1e-3), c.entry.value("atol", 1e-7));
  }
  return wrong.empty() ? conformance::pass() : conformance::fail(wrong);
}

}  // namespace

Outcome judge(const Case& c, Device device) {
  try {
    return judge_node(c, device);
  } catch (const Unsupported& u) {
    return conformance::skip(u.reason);
  }
}

}  // namespace unroll::testing::onnx
