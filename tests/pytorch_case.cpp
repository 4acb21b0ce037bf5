#include "tests/pytorch_case.h"

#include <algorithm>
#include <cmath>
#include <sstream>
#include <string>
#include <vector>

#include "autograd/tape.h"

namespace unroll::testing::pytorch {

std::string compare(const std::string& what, const Tensor& ours, const Tensor& expected) {
  if (!(ours.shape() == expected.shape()))
    return what + " is " + to_string(ours.shape()) + ", not " + to_string(expected.shape()) + "; ";
  if (!(ours.device() == expected.device())) return what + " left the device; ";
  const std::vector<double> a = to_vector<double>(ours), b = to_vector<double>(expected);
  double worst = 0, largest = 0;
  for (std::size_t i = 0; i < a.size(); i++) {
    const double error = std::abs(a[i] - b[i]);
    worst = std::isnan(error) ? INFINITY : std::max(worst, error);
    largest = std::max(largest, std::abs(b[i]));
  }
  const double bar = largest > 0 ? 1e-12 * largest : 1e-15;
  if (worst <= bar) return "";
  std::ostringstream text;  // std::to_string shows no more than six digits after the point
  text << what << " differs by " << worst / (largest > 0 ? largest : 1) << "; ";
  return text.str();
}

Outcome judge_function(const Case& c, Device device, const Function& f) {
  const File file(c, device);
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

Outcome judge(const Case& c, Device device) {
  const std::string module = c.entry.at("module");
  try {
    for (const Judges* judges : {&recurrent_judges(), &attention_judges(), &functional_judges(),
                                 &losses_judges(), &optim_judges(), &layers_judges()}) {
      const auto found = judges->find(module);
      if (found != judges->end()) return found->second(c, device);
    }
  } catch (const Unsupported& u) {
    return conformance::skip(u.reason);
  }
  return conformance::skip(module + ": not in this version");
}

}  // namespace unroll::testing::pytorch
