// PyTorch's cases, in float64, on any device. Each file holds param.*, input.*, output.*, cot.*
// (the cotangent of that output), grad.input.* and grad.param.*. Here is what the handlers share:
// the content of a file, the bar, and the comparison of outputs and gradients.
//
//   Named linear_case(const File& f, const Json&) { return {{"y", linear(f.input("x"), ...)}}; }
//   const Judges& layers_judges() {
//     static const Judges all = {{"Linear", judge_of(linear_case)}};
//     return all;
//   }
//
// A handler throws Unsupported for what this version has no op for; the case is then skipped.
#pragma once

#include <functional>
#include <map>
#include <string>

#include "autograd/ops.h"
#include "io/safetensors.h"
#include "tests/conformance.h"
#include "tests/testing.h"

namespace unroll::testing::pytorch {

using conformance::Case;
using conformance::Outcome;
using Named = std::map<std::string, Tensor>;
using Json = nlohmann::json;

struct Unsupported {
  std::string reason;
};
[[noreturn]] inline void unsupported(const std::string& reason) { throw Unsupported{reason}; }

/// "" where ours is on the reference's device and within 1e-12 of its largest entry, 1e-15 where
/// all are zero; else what is wrong.
std::string compare(const std::string& what, const Tensor& ours, const Tensor& expected);

/// What a file says, by name, in the memory of a device; `at` of something absent is undefined.
class File {
 public:
  File(const Case& c, Device device)
      : content_(read_safetensors(c.path.string())), device_(device) {
    for (const NamedTensor& t : content_.tensors) tensors_[t.name] = on_device(t.tensor, device);
  }
  Device device() const { return device_; }
  Tensor at(const std::string& name) const {
    const auto found = tensors_.find(name);
    return found == tensors_.end() ? Tensor() : found->second;
  }
  Tensor input(const std::string& name) const { return at("input." + name); }
  Tensor param(const std::string& name) const { return at("param." + name); }
  const Named& tensors() const { return tensors_; }
  /// Text about the file: "" where there is none of that key.
  std::string metadata(const std::string& key) const {
    const auto found = content_.metadata.find(key);
    return found == content_.metadata.end() ? "" : found->second;
  }

 private:
  Safetensors content_;
  Device device_;
  Named tensors_;
};

/// The outputs of a case, by the names in its file.
using Function = std::function<Named(const File&, const Json& spec)>;

/// Runs f under a tape on a device and compares outputs and gradients.
Outcome judge_function(const Case& c, Device device, const Function& f);

using Judge = std::function<Outcome(const Case&, Device)>;
using Judges = std::map<std::string, Judge>;  // by the index's "module"

inline Judge judge_of(const Function& f) {
  return [f](const Case& c, Device device) { return judge_function(c, device, f); };
}

/// By the table that has the case's module; one that none has is skipped by name.
Outcome judge(const Case& c, Device device);

// One table per subject, each in the file pytorch_SUBJECT.cpp.
const Judges& recurrent_judges();
const Judges& attention_judges();
const Judges& functional_judges();
const Judges& losses_judges();
const Judges& optim_judges();
const Judges& layers_judges();

}  // namespace unroll::testing::pytorch
