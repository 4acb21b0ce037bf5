// The direction of includes, as docs/design.md draws it:
//
//   core <- kernels <- autograd <- models <- inversion <- cli, capi;   io sits on core
//   bench <- cli
//
// Each rule is a case of `breach`; the tests below it break each rule once, to show that it can
// fail.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <regex>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace {

namespace fs = std::filesystem;

constexpr std::array<std::string_view, 6> kStack = {"core",   "kernels",   "autograd",
                                                    "models", "inversion", "cli"};
constexpr std::array<std::string_view, 12> kFolders = {
    "core",      "io",  "kernels", "cuda",  "autograd", "models",
    "inversion", "cli", "capi",    "bench", "tests",    "examples"};

template <size_t N>
bool is_one_of(const std::array<std::string_view, N>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// Height of a folder in the stack, or -1 when it is beside it. The C interface is as high as the
// command.
int height(std::string_view folder) {
  const auto it = std::find(kStack.begin(), kStack.end(), folder == "capi" ? "cli" : folder);
  return it == kStack.end() ? -1 : static_cast<int>(it - kStack.begin());
}

std::string top_folder(const std::string& path) { return path.substr(0, path.find('/')); }

bool is_header(const std::string& path) { return fs::path(path).extension() != ".cpp"; }

bool starts_with_any(const std::string& text, std::initializer_list<const char*> prefixes) {
  return std::any_of(prefixes.begin(), prefixes.end(),
                     [&](const char* prefix) { return text.rfind(prefix, 0) == 0; });
}

// Headers of the vector code, which only the .cpp files of kernels may instantiate: kernels/simd.h,
// kernels/simd_*.h and kernels/*_simd.h.
bool is_vector_header(const std::string& path) {
  static const std::regex pattern("kernels/(simd(_.*)?|.*_simd)\\.h");
  return std::regex_match(path, pattern);
}

// A kernel file that is compiled once per instruction set.
bool is_hot(const std::string& path) {
  static const std::regex cold("kernels/(isa|dispatch[^/]*)\\.cpp");
  return top_folder(path) == "kernels" && !is_header(path) && !std::regex_match(path, cold);
}

// A kernel beside the library: what a benchmark measures a GPU with, or a user's.
bool is_foreign_kernel(const std::string& path) {
  return fs::path(path).extension() == ".cu" &&
         starts_with_any(path, {"bench/cudnn/", "examples/"});
}

// Why the file at `path` (relative to the repository) must not include `target`; empty when it may.
std::string breach(const std::string& path, const std::string& target) {
  const std::string from = top_folder(path);
  const std::string to = top_folder(target);
  const bool in_library = (height(from) >= 0 && from != "cli") || from == "io" || from == "cuda";

  if (starts_with_any(target, {"Eigen/", "unsupported/Eigen/"})) {
    if (is_header(path)) return "Eigen belongs in .cpp files";
    if (is_hot(path)) return "a hot kernel must not emit Eigen's templates";
  }
  if (in_library && is_header(path) && starts_with_any(target, {"nlohmann/", "CLI/"}))
    return "headers of the library keep their dependencies private";
  if (target.find("..") != std::string::npos) return "includes start at the root of the repository";
  if (to == "unroll" && from != "examples")
    return "<unroll/...> is for users; here it is \"" + target.substr(7) + "\"";
  if (!is_one_of(kFolders, to)) return "";

  if (is_vector_header(target) && is_header(path) && !is_vector_header(path))
    return "only .cpp files of kernels instantiate vectors";
  if (is_vector_header(target) && from != "kernels" && from != "tests" && from != "bench")
    return "the vector header is for kernels";
  if (from == to || starts_with_any(path, {"cuda/tests/"})) return "";
  if (to == "cuda") return is_foreign_kernel(path) ? "" : "nothing outside cuda/ includes cuda/";
  if (from == "cuda")
    return to == "core" || to == "kernels" ? "" : "cuda/ includes only kernels/ and core/";
  if (from == "io") return to == "core" ? "" : "io/ includes only core/";
  if (height(from) < 0) return "";  // tests, bench and examples stand on everything
  if (to == "io")
    return height(from) >= height("models") ? "" : "the engine does not know of files";
  if (from == "cli" && to == "bench") return "";  // unroll bench measures as the benchmarks do
  if (height(to) < 0) return "the product does not include " + to + "/";
  return height(to) < height(from) ? "" : from + "/ does not lie above " + to + "/";
}

// Why a line of the file at `path` hides from a shared library what users call; empty when it does
// not. What is in kernels and in namespace detail is not for users.
std::string hides(const std::string& path, const std::string& line) {
  static constexpr std::array<std::string_view, 5> kPublic = {"core", "io", "autograd", "models",
                                                              "inversion"};
  static const std::regex hidden("namespace unroll(::(\\w+))? \\{.*");
  std::smatch match;
  if (!is_one_of(kPublic, top_folder(path)) || !is_header(path) ||
      !std::regex_match(line, match, hidden) || match[2] == "detail")
    return "";
  return "say namespace UNROLL_API unroll { (core/export.h)";
}

// One "path:line: reason" for each breach in the text of a file.
std::vector<std::string> breaches(const std::string& path, const std::string& text) {
  static const std::regex include("^\\s*#\\s*include\\s*[<\"]([^>\"]+)[>\"].*");
  std::vector<std::string> found;
  std::istringstream lines(text);
  std::string line;
  std::smatch match;
  for (int number = 1; std::getline(lines, line); ++number) {
    if (const std::string why = hides(path, line); !why.empty())
      found.push_back(path + ":" + std::to_string(number) + ": " + why);
    if (!std::regex_match(line, match, include)) continue;
    const std::string reason = breach(path, match[1]);
    if (reason.empty()) continue;
    found.push_back(path + ":" + std::to_string(number) + ": includes " + match[1].str() + ": " +
                    reason);
  }
  return found;
}

bool is_source(const fs::path& path) {
  static constexpr std::array<std::string_view, 4> kExtensions = {".cpp", ".h", ".cu", ".cuh"};
  return is_one_of(kExtensions, path.extension().string());
}

TEST(IncludeDirection, TheRepositoryKeepsIt) {
  const fs::path root = UNROLL_SOURCE_DIR;
  int files = 0;
  for (const std::string_view folder : kFolders) {
    if (!fs::is_directory(root / folder)) continue;
    for (const auto& entry : fs::recursive_directory_iterator(root / folder)) {
      const std::string path = entry.path().lexically_relative(root).generic_string();
      // The consumer is a user's project, and says <unroll/...> as users do.
      if (!entry.is_regular_file() || !is_source(entry.path()) ||
          path.rfind("tests/consumer/", 0) == 0)
        continue;
      std::ifstream file(entry.path());
      std::stringstream text;
      text << file.rdbuf();
      for (const std::string& found : breaches(path, text.str())) ADD_FAILURE() << found;
      ++files;
    }
  }
  EXPECT_GT(files, 0) << "no sources below " << root;
}

struct Case {
  const char* path;
  const char* line;
};

TEST(IncludeDirection, EachRuleCanFail) {
  const Case broken[] = {
      {"core/tensor.cpp", "#include \"kernels/matmul.h\""},
      {"core/tensor.cpp", "#include \"io/npy.h\""},
      {"core/tensor.cpp", "#include \"tests/testing.h\""},
      {"kernels/lstm.cpp", "#include \"autograd/tape.h\""},
      {"autograd/lstm.cpp", "#include \"models/lstm.h\""},
      {"autograd/lstm.cpp", "#include \"io/safetensors.h\""},
      {"models/trainer.cpp", "#include \"inversion/verdict.h\""},
      {"models/trainer.cpp", "#include \"cli/progress.h\""},
      {"inversion/verdict.cpp", "  #  include \"cli/progress.h\"  // why"},
      {"io/npy.cpp", "#include \"kernels/matmul.h\""},
      {"models/trainer.cpp", "#include \"capi/unroll.h\""},
      {"cli/train.cpp", "#include \"capi/unroll.h\""},
      {"capi/tensor.cpp", "#include \"cli/run.h\""},
      {"capi/tensor.cpp", "#include \"bench/limits.h\""},
      {"core/tensor.h", "namespace unroll {"},
      {"core/view.h", "namespace unroll::view {"},
      {"cuda/lstm.cu", "#include \"autograd/tape.h\""},
      {"kernels/lstm.cpp", "#include \"cuda/launch.h\""},
      {"tests/lstm_test.cpp", "#include \"cuda/sim/fiber.h\""},
      {"bench/cudnn/gpu.cpp", "#include \"cuda/runtime.h\""},
      {"bench/limits.cu", "#include \"cuda/runtime.h\""},
      {"inversion/spectrum.h", "#include <Eigen/Dense>"},
      {"tests/testing.h", "#include <Eigen/Core>"},
      {"kernels/lstm.cpp", "#include <Eigen/Core>"},
      {"io/safetensors.h", "#include <nlohmann/json.hpp>"},
      {"kernels/lstm.h", "#include \"kernels/simd.h\""},
      {"autograd/lstm.cpp", "#include \"kernels/simd.h\""},
      {"kernels/lstm.cpp", "#include \"../core/tensor.h\""},
      {"kernels/lstm.cpp", "#include <unroll/core/tensor.h>"},
  };
  for (const Case& c : broken) {
    const auto found = breaches(c.path, std::string("// first line\n") + c.line + "\n");
    ASSERT_EQ(found.size(), 1u) << c.path << ": " << c.line;
    EXPECT_EQ(found[0].rfind(std::string(c.path) + ":2: ", 0), 0u) << found[0];
  }
}

TEST(IncludeDirection, WhatIsAllowedPasses) {
  const Case sound[] = {
      {"kernels/lstm.cpp", "#include \"kernels/simd.h\""},
      {"kernels/lstm_simd.h", "#include \"kernels/simd.h\""},
      {"kernels/lstm.cpp", "#include \"core/tensor.h\""},
      {"models/checkpoint.cpp", "#include \"io/safetensors.h\""},
      {"models/pca.cpp", "#include <Eigen/Eigenvalues>"},
      {"io/safetensors.cpp", "#include <nlohmann/json.hpp>"},
      {"cli/train.cpp", "#include \"models/trainer.h\""},
      {"cli/bench.cpp", "#include \"bench/limits.h\""},
      {"cuda/lstm.cu", "#include \"kernels/lstm.h\""},
      {"bench/cudnn/gpu.cu", "#include \"cuda/runtime.h\""},
      {"examples/own_gpu_kernel/own_gpu_kernel.cu", "#include \"cuda/backend.h\""},
      {"capi/models.cpp", "#include \"models/series.h\""},
      {"core/tensor.h", "namespace UNROLL_API unroll {"},
      {"core/tensor.cpp", "namespace unroll {"},
      {"io/zip_writer.h", "namespace unroll::detail {"},
      {"tests/lstm_test.cpp", "#include \"cli/progress.h\""},
      {"examples/first.cpp", "#include <unroll/autograd/tape.h>"},
      {"core/tensor.cpp", "// #include \"cli/progress.h\""},
      {"core/tensor.cpp", "#include <vector>"},
  };
  for (const Case& c : sound)
    EXPECT_TRUE(breaches(c.path, c.line).empty()) << c.path << ": " << c.line;
}

}  // namespace
