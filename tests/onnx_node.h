// ONNX's node tests, on any device. Each file holds in0.., out0.. in the order of the node's inputs
// and outputs. Here is what the handlers share: a node as a test states it, and the tables that say
// how its op is written with ours.
//
//   const Ops& elementwise_ops() { static const Ops all = {{"Abs", run_abs}}; return all; }
//
// A handler throws Unsupported for what this version has no op for; the case is then skipped.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "autograd/ops.h"
#include "tests/conformance.h"
#include "tests/testing.h"

namespace unroll::testing::onnx {

using Json = nlohmann::json;
using Ints = std::vector<std::int64_t>;

struct Unsupported {
  std::string reason;
};
[[noreturn]] inline void unsupported(const std::string& reason) { throw Unsupported{reason}; }

/// A node: its attributes and inputs (absent: undefined).
struct Node {
  std::string op;
  Json attributes;
  std::int64_t opset = 0;
  Tensors in;
  std::size_t outputs = 0;

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
using Ops = std::map<std::string, Run>;

// One table per subject, each in the file onnx_SUBJECT.cpp.
const Ops& elementwise_ops();
const Ops& reduction_ops();
const Ops& shape_ops();
const Ops& product_ops();
const Ops& recurrent_ops();
const Ops& attention_ops();
const Ops& layers_ops();

/// The node's values, by the table that has its op; one that none has is skipped by name.
conformance::Outcome judge(const conformance::Case& c, Device device);

}  // namespace unroll::testing::onnx
