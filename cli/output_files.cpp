#include "cli/output_files.h"

#include <filesystem>

#include "cli/options.h"
#include "io/atomic_file.h"

namespace unroll::cli {

bool is_same_file(const std::string& a, const std::string& b) {
  namespace fs = std::filesystem;
  std::error_code error;
  return fs::equivalent(a, b, error) || fs::weakly_canonical(fs::absolute(a), error) ==
                                            fs::weakly_canonical(fs::absolute(b), error);
}

void check_output_files(const char* command, const OutputFiles& outputs,
                        const std::vector<std::string>& inputs) {
  for (std::size_t i = 0; i < outputs.size(); i++) {
    const auto& [option, path] = outputs[i];
    if (path.empty()) continue;
    for (const std::string& input : inputs)
      if (!input.empty() && is_same_file(path, input))
        throw UsageError(std::string(option) + " " + path + " is read by this command (" + input +
                         "); take another name");
    for (std::size_t j = 0; j < i; j++)
      if (!outputs[j].second.empty() && is_same_file(path, outputs[j].second))
        throw UsageError(std::string(outputs[j].first) + " and " + option +
                         " are the same file; take another name for one");
  }
  for (const auto& [option, path] : outputs)
    if (!path.empty()) AtomicFile(command, path);
}

}  // namespace unroll::cli
