// Values and gradients against PyTorch's, in float64. Each file holds param.*, input.*, output.*,
// cot.* (the cotangent of that output), grad.input.* and grad.param.*.
#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "autograd/tape.h"
#include "tests/pytorch_case.h"

namespace unroll::testing {
namespace pytorch {

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

}  // namespace pytorch

namespace {

using namespace pytorch;

Outcome judge(const Case& c) {
  const std::string module = c.entry.at("module");
  try {
    for (const Judges* judges : {&recurrent_judges(), &attention_judges(), &functional_judges(),
                                 &losses_judges(), &optim_judges(), &layers_judges()}) {
      const auto found = judges->find(module);
      if (found != judges->end()) return found->second(c);
    }
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
                  {"file":"right.safetensors","module":"functional","spec":{"f":"unheard"}}])");
  const conformance::Report report = conformance::judge_all(folder.path(), judge);
  EXPECT_EQ(report.summary("pytorch"), "pytorch: 1 passed, 1 failed, 2 skipped");
  EXPECT_NE(report.lines[1].outcome.reason.find("grad.input.x"), std::string::npos);
  EXPECT_EQ(report.lines[2].outcome.reason, "Conv: not in this version");
  EXPECT_EQ(report.lines[3].outcome.reason, "unheard: not in this version");
}

}  // namespace
}  // namespace unroll::testing
