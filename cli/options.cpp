#include "cli/options.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <cstdio>
#include <filesystem>
#include <new>
#include <thread>

#include "cli/terminal.h"
#include "core/parallel.h"
#include "io/csv.h"
#include "kernels/isa.h"

namespace unroll::cli {
namespace {

constexpr const char* kSmaller =
    "; ask for less: fewer --steps, or a smaller --hidden, --batch or --window";
constexpr int kSuccess = 0, kFailed = 1, kUsage = 2;

std::string joined(const std::vector<std::string>& names) {
  std::string all;
  for (const std::string& name : names) all += (all.empty() ? "" : ", ") + name;
  return all;
}

// Behind an option's help.
std::string listed(const std::vector<std::string>& names) {
  return names.empty() ? "" : ": " + joined(names);
}

CLI::Validator one_of(const std::vector<std::string>& names) {
  const std::string all = joined(names);
  return CLI::Validator(
      [names, all](std::string& text) {
        const bool found = std::find(names.begin(), names.end(), text) != names.end();
        return found ? std::string() : "there is no " + text + "; there are: " + all;
      },
      "", "");
}

CLI::Validator between(double low, double high) {
  const bool open = high >= 1e300;
  const std::string says = "from " + csv_number(low) + (open ? "" : " to " + csv_number(high));
  return CLI::Validator(
      [=](std::string& text) {
        char* end = nullptr;
        const double value = std::strtod(text.c_str(), &end);
        const bool good = end != text.c_str() && *end == 0 && value >= low && value <= high;
        return good ? std::string() : text + " is not a number " + says;
      },
      "", "");
}

// Digits alone, so that neither a sign nor a fraction passes.
CLI::Validator whole_from(std::uint64_t low, std::uint64_t high, const std::string& high_text) {
  return CLI::Validator(
      [=](std::string& text) {
        std::uint64_t value = 0;
        const char* end = text.data() + text.size();
        const auto [stop, error] = std::from_chars(text.data(), end, value);
        const bool good = error == std::errc() && stop == end && value >= low && value <= high;
        return good ? std::string()
                    : text + " is not a whole number from " + std::to_string(low) + " to " +
                          high_text;
      },
      "", "");
}

CLI::Validator whole_from(std::int64_t low) {
  return whole_from(static_cast<std::uint64_t>(low), std::uint64_t{1} << 40, "2^40");
}

int complain(int code, std::string message) {
  for (char& c : message)
    if (c == '\n' || c == '\r') c = ' ';
  std::fprintf(stderr, "unroll: %s\n", message.c_str());
  return code;
}

// The subcommand that was being parsed.
const CLI::App* used(const CLI::App& app) {
  const CLI::App* at = &app;
  while (!at->get_subcommands().empty()) at = at->get_subcommands().front();
  return at;
}

std::string path_of(const CLI::App* app) {
  return (app->get_parent() ? path_of(app->get_parent()) + " " : "") + app->get_name();
}

std::string reason(const CLI::App& app, const CLI::ParseError& error) {
  const std::vector<std::string> rest = app.remaining(true);
  if (error.get_name() != "RequiredError" || rest.empty()) return error.what();
  std::vector<std::string> names;
  for (const CLI::App* sub : used(app)->get_subcommands(nullptr)) names.push_back(sub->get_name());
  return names.empty() ? error.what() : "there is no " + rest[0] + "; there are: " + joined(names);
}

int parse_failed(const CLI::App& app, const CLI::ParseError& error) {
  if (error.get_exit_code() != 0)
    return complain(kUsage, reason(app, error) + "; see " + path_of(used(app)) + " --help");
  if (error.get_name() == "CallForVersion")
    print(std::string(error.what()) + "\n");
  else
    print(used(app)->help(used(app)->get_parent() ? path_of(used(app)->get_parent()) : ""));
  return kSuccess;
}

}  // namespace

Command Command::subcommand(const std::string& name, const std::string& description) {
  app_->require_subcommand(1);
  return Command(*app_->add_subcommand(name, description));
}

void Command::footer(const std::string& text) { app_->footer(text); }

void Command::on_run(std::function<void()> work) { app_->callback(std::move(work)); }

void Command::argument(const std::string& name, std::string& to, const std::string& help,
                       Need need) {
  app_->add_option(name, to, help)->required(need == Need::required);
}

void Command::text(const std::string& name, std::string& to, const std::string& help, Need need) {
  app_->add_option(name, to, help)->required(need == Need::required);
}

void Command::flag(const std::string& name, bool& to, const std::string& help) {
  app_->add_flag(name, to, help);
}

void Command::whole(const std::string& name, std::int64_t& to, std::int64_t low,
                    const std::string& help) {
  app_->add_option(name, to, help)
      ->check(whole_from(low))
      ->default_str(to == 0 ? "" : std::to_string(to))
      ->type_name("N");
}

void Command::real(const std::string& name, double& to, double low, double high,
                   const std::string& help) {
  app_->add_option(name, to, help)
      ->check(between(low, high))
      ->default_str(csv_number(to))
      ->type_name("X");
}

void Command::seed(const std::string& name, std::uint64_t& to, const std::string& help) {
  app_->add_option(name, to, help)
      ->check(whole_from(0, UINT64_MAX, "2^64 - 1"))
      ->default_str(std::to_string(to))
      ->type_name("N");
}

void Command::choice(const std::string& name, const std::vector<std::string>& names,
                     std::function<void(const std::string&)> to, const std::string& help) {
  app_->add_option_function<std::string>(name, to, help + listed(names))
      ->check(one_of(names))
      ->type_name("NAME");
}

void Command::list(const std::string& name, std::vector<std::string>& to, const std::string& help,
                   const std::vector<std::string>& names) {
  CLI::Option* option = app_->add_option(name, to, help + listed(names));
  option->delimiter(',')->allow_extra_args(false)->type_name("NAME[,NAME]");
  if (!names.empty()) option->check(one_of(names));
}

void Command::threads() {
  const auto set = [](std::int64_t count) {
    // More threads than processors only wait for each other.
    const std::int64_t useful = std::max(2u, std::thread::hardware_concurrency());
    set_num_threads(static_cast<int>(std::min(count, useful)));
    if (count > useful)
      std::fprintf(stderr, "unroll: --threads %lld: %lld run, as there are no more processors\n",
                   static_cast<long long>(count), static_cast<long long>(useful));
  };
  app_->add_option_function<std::int64_t>("--threads", set,
                                          "threads to use; results do not depend on it")
      ->check(whole_from(1))
      ->type_name("N");
}

void Command::device(Device& to) {
  const auto set = [&to](const std::string& text) {
    try {
      to = device_of("--device", text);
      require_available("--device", to);
    } catch (const Error& error) {
      throw UsageError(error.what());
    }
  };
  app_->add_option_function<std::string>(
          "--device", set, "where kernels run: cpu, cuda, cuda:1, ... or sim, which is slow")
      ->default_str("cpu")
      ->type_name("DEVICE");
}

void Command::exclude(const std::string& one, const std::string& other) {
  app_->get_option(one)->default_str("");
  app_->get_option(one)->excludes(app_->get_option(other));
}

bool Command::is_given(const std::string& name) const {
  return app_->get_option(name)->count() > 0;
}

int run_command(int argc, char** argv, const std::function<void(Command&)>& describe) {
  CLI::App app("unroll runs an RNN backwards: can its output predict its input?", "unroll");
  try {
    app.set_version_flag("--version", std::string("unroll ") + UNROLL_VERSION);
    Command command(app);
    describe(command);
    require_isa();
    app.parse(argc, argv);
    check_output();
    return kSuccess;
  } catch (const CLI::ParseError& error) {
    return parse_failed(app, error);
  } catch (const UsageError& error) {
    return complain(kUsage, error.what());
  } catch (const std::bad_alloc&) {
    return complain(kFailed, std::string("memory: there is no more") + kSmaller);
  } catch (const Error& error) {
    const std::string what = error.what();
    return complain(kFailed, what.starts_with("memory: ") ? what + kSmaller : what);
  } catch (const std::filesystem::filesystem_error& error) {
    return complain(kFailed, error.path1().string() + ": " + error.code().message());
  } catch (const std::exception& error) {
    return complain(kFailed, error.what());
  }
}

}  // namespace unroll::cli
