#include <charconv>
#include <cstdlib>
#include <map>

#include "cuda/sim/machine.h"

namespace unroll::sim {
namespace {

[[noreturn]] void wrong_value(const char* variable, const std::string& value, const char* allowed) {
  unroll::fail("sim", std::string(variable) + " is '" + value + "'; it can be " + allowed);
}

std::optional<std::string> variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::nullopt : std::optional<std::string>(value);
}

template <class T>
T number(const char* name, const std::string& value, const char* what) {
  T n = 0;
  const char* const last = value.data() + value.size();
  const auto [end, error] = std::from_chars(value.data(), last, n);
  if (error != std::errc() || end != last) wrong_value(name, value, what);
  return n;
}

}  // namespace

Options options_of_environment() {
  static const std::map<std::string, Order> orders = {{"forward", Order::forward},
                                                      {"reverse", Order::reverse},
                                                      {"random", Order::random},
                                                      {"preempt", Order::preempt}};
  Options o;
  if (const auto v = variable("UNROLL_SIM_ORDER")) {
    if (orders.count(*v) == 0)
      wrong_value("UNROLL_SIM_ORDER", *v, "forward, reverse, random or preempt");
    o.order = orders.at(*v);
  }
  if (const auto v = variable("UNROLL_SIM_SEED"))
    o.seed = number<std::uint64_t>("UNROLL_SIM_SEED", *v, "a whole number below 2^64");
  if (const auto v = variable("UNROLL_SIM_PREEMPT")) {
    o.preempt_one_in = number<int>("UNROLL_SIM_PREEMPT", *v, "1 or more, below 2^31");
    if (o.preempt_one_in < 1) wrong_value("UNROLL_SIM_PREEMPT", *v, "1 or more, below 2^31");
  }
  if (const auto v = variable("UNROLL_SIM_METER")) {
    if (*v != "0" && *v != "1") wrong_value("UNROLL_SIM_METER", *v, "0 or 1");
    o.meter = *v == "1";
  }
  if (const auto v = variable("UNROLL_SIM_ARCH")) {
    const auto arch = find_arch(*v);
    if (!arch) wrong_value("UNROLL_SIM_ARCH", *v, "sm_80, sm_90, sm_100 or sm_120");
    o.arch = *arch;
  }
  return o;
}

Options options() {
  const std::lock_guard lock(detail::machine().mutex);
  return detail::machine().options;
}

void set_options(const Options& options) {
  if (options.preempt_one_in < 1)
    unroll::fail("sim", "preempt_one_in is " + std::to_string(options.preempt_one_in) +
                            "; it must be 1 or more");
  const std::lock_guard lock(detail::machine().mutex);
  synchronize();
  detail::machine().options = options;
  detail::machine().random.seed(options.seed);
}

}  // namespace unroll::sim
