// PyTorch's and ONNX's cases on the devices that are not the CPU.
#include <gtest/gtest.h>

#include <ostream>

#include "core/device_memory.h"
#include "tests/onnx_node.h"
#include "tests/pytorch_case.h"

namespace unroll::testing {
namespace {

struct Suite {
  const char* name;
  conformance::Outcome (*judge)(const conformance::Case&, Device);
};
void PrintTo(const Suite& suite, std::ostream* out) { *out << suite.name; }

class Conformance : public ::testing::TestWithParam<Suite> {
 protected:
  void run(Device device) const {
    if (!is_available(device)) GTEST_SKIP() << name(device) << " is " << why_unavailable(device);
    conformance::run(GetParam().name,
                     [&](const conformance::Case& c) { return GetParam().judge(c, device); });
  }
};

TEST_P(Conformance, Sim) { run(Device::sim()); }
TEST_P(Conformance, Cuda) { run(Device::cuda()); }

INSTANTIATE_TEST_SUITE_P(, Conformance,
                         ::testing::Values(Suite{"pytorch", pytorch::judge},
                                           Suite{"onnx", onnx::judge}),
                         [](const auto& suite) { return suite.param.name; });

}  // namespace
}  // namespace unroll::testing
