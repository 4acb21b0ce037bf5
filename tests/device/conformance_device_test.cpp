// PyTorch's and ONNX's cases of recurrent layers and attention on the devices that are not the CPU.
#include <gtest/gtest.h>

#include <ostream>
#include <string>
#include <vector>

#include "core/device_memory.h"
#include "tests/onnx_node.h"
#include "tests/pytorch_case.h"

namespace unroll::testing {
namespace {

using conformance::Case;

// The cases of one entry of a suite's tables.
struct Subject {
  std::string suite;
  const char* key;    // what the index calls its kind
  std::string value;  // the kind: "LSTM"
  conformance::Outcome (*judge)(const Case&, Device);
};
void PrintTo(const Subject& s, std::ostream* out) { *out << s.suite << " " << s.value; }

std::vector<Subject> subjects() {
  std::vector<Subject> all;
  for (const auto* table : {&pytorch::recurrent_judges(), &pytorch::attention_judges()})
    for (const auto& [module, unused] : *table)
      all.push_back({"pytorch", "module", module, pytorch::judge});
  for (const auto* table : {&onnx::recurrent_ops(), &onnx::attention_ops()})
    for (const auto& [op, unused] : *table) all.push_back({"onnx", "op", op, onnx::judge});
  return all;
}

class Conformance : public ::testing::TestWithParam<Subject> {
 protected:
  void run(Device device) const {
    if (!is_available(device)) GTEST_SKIP() << name(device) << " is " << why_unavailable(device);
    const Subject& s = GetParam();
    conformance::run(
        s.suite, [&](const Case& c) { return s.judge(c, device); },
        [&](const Case& c) { return c.entry.at(s.key) == s.value; });
  }
};

TEST_P(Conformance, Sim) { run(Device::sim()); }
TEST_P(Conformance, Cuda) { run(Device::cuda()); }

INSTANTIATE_TEST_SUITE_P(, Conformance, ::testing::ValuesIn(subjects()),
                         [](const auto& at) { return at.param.suite + "_" + at.param.value; });

}  // namespace
}  // namespace unroll::testing
