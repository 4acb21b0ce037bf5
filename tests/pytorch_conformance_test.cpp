// Values and gradients against PyTorch's, on the CPU.
#include <gtest/gtest.h>

#include <string>

#include "tests/pytorch_case.h"

namespace unroll::testing {
namespace {

using namespace pytorch;

Outcome on_cpu(const Case& c) { return judge(c, Device::cpu()); }

TEST(PytorchConformance, EachCaseOfTheIndex) { conformance::run("pytorch", on_cpu); }

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
                  {"file":"right.safetensors","module":"functional","spec":{"f":"unheard"}}])");
  const conformance::Report report = conformance::judge_all(folder.path(), on_cpu);
  EXPECT_EQ(report.summary("pytorch"), "pytorch: 1 passed, 1 failed, 2 skipped");
  EXPECT_NE(report.lines[1].outcome.reason.find("grad.input.x"), std::string::npos);
  EXPECT_EQ(report.lines[2].outcome.reason, "Conv: not in this version");
  EXPECT_EQ(report.lines[3].outcome.reason, "unheard: not in this version");
}

}  // namespace
}  // namespace unroll::testing
