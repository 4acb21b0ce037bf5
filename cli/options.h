// What a subcommand takes, checked as it is parsed. A thin face over CLI11, which only options.cpp
// includes: it is slow to compile.
//
//   void add_info(Command& unroll) {
//     auto path = std::make_shared<std::string>();
//     Command info = unroll.subcommand("info", "what is in a file");
//     info.argument("PATH", *path, "a file");
//     info.on_run([path] { run_info(*path); });
//   }
//
// What is referred to must live until the run. A value that is not allowed is bad usage. Defaults
// are shown in the help.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "core/device.h"
#include "core/error.h"

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace unroll::cli {

/// What was asked for cannot be asked for: exit code 2.
class UsageError : public Error {
 public:
  using Error::Error;
};

enum class Need : std::uint8_t { optional, required };

class Command {
 public:
  explicit Command(CLI::App& app) : app_(&app) {}

  Command subcommand(const std::string& name, const std::string& description);
  /// Examples and notes below the help.
  void footer(const std::string& text);
  void on_run(std::function<void()> work);

  void argument(const std::string& name, std::string& to, const std::string& help,
                Need need = Need::required);
  void text(const std::string& name, std::string& to, const std::string& help,
            Need need = Need::optional);
  void flag(const std::string& name, bool& to, const std::string& help);
  void whole(const std::string& name, std::int64_t& to, std::int64_t low, const std::string& help);
  void real(const std::string& name, double& to, double low, double high, const std::string& help);
  void seed(const std::string& name, std::uint64_t& to, const std::string& help);
  /// One of the names.
  void choice(const std::string& name, const std::vector<std::string>& names,
              std::function<void(const std::string&)> to, const std::string& help);
  /// Separated by commas. `names`: what is allowed; empty: everything.
  void list(const std::string& name, std::vector<std::string>& to, const std::string& help,
            const std::vector<std::string>& names = {});
  /// --threads N: kernels use that many from the parsing on. Results do not depend on it.
  void threads();
  /// --device cpu, cuda, cuda:1, ... or sim. A device that cannot be used is bad usage.
  void device(Device& to);

  /// Both given: bad usage. `one` is the exception: its default is not shown.
  void exclude(const std::string& one, const std::string& other);
  bool is_given(const std::string& name) const;

 private:
  CLI::App* app_;
};

/// Describes the command with `describe`, parses, and runs what was asked for. Returns the exit
/// code: 0 success, 1 failed work, 2 bad usage; the reason of a failure is one line on stderr.
int run_command(int argc, char** argv, const std::function<void(Command&)>& describe);

}  // namespace unroll::cli
