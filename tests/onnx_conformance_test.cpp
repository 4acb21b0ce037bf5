// Values against ONNX's node tests, on the CPU.
#include <gtest/gtest.h>

#include <string>

#include "io/safetensors.h"
#include "tests/conformance.h"
#include "tests/onnx_node.h"
#include "tests/testing.h"

namespace unroll::testing {
namespace {

using namespace onnx;
using conformance::Case;
using conformance::Outcome;

Outcome on_cpu(const Case& c) { return judge(c, Device::cpu()); }

TEST(OnnxConformance, EachCaseOfTheIndex) { conformance::run("onnx", on_cpu); }

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
  const conformance::Report report = conformance::judge_all(folder.path(), on_cpu);
  EXPECT_EQ(report.summary("onnx"), "onnx: 1 passed, 1 failed, 2 skipped");
  EXPECT_EQ(report.lines[2].outcome.reason, "Conv: not in this version");
}

}  // namespace
}  // namespace unroll::testing
