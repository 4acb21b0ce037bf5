// What the simulator's tests share: device arrays, schedules, and which fault a launch ends with.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "cuda/sim/sim.h"
#include "cuda/sim/tests/device_array.h"

namespace unroll::sim_test {

/// n numbers in [-1, 1).
inline std::vector<float> uniform(std::size_t n, unsigned seed = 1) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> next(-1, 1);
  std::vector<float> values(n);
  for (float& v : values) v = next(random);
  return values;
}

/// Options for the life of this object.
class WithOptions {
 public:
  explicit WithOptions(const sim::Options& options) : before_(sim::options()) {
    sim::set_options(options);
  }
  ~WithOptions() { sim::set_options(before_); }
  WithOptions(const WithOptions&) = delete;
  WithOptions& operator=(const WithOptions&) = delete;

 private:
  sim::Options before_;
};

/// Calls run() in every order, the random ones with `seeds` seeds.
template <class Run>
void for_schedules(unsigned seeds, Run run) {
  const std::pair<sim::Order, const char*> orders[] = {{sim::Order::forward, "forward"},
                                                       {sim::Order::reverse, "reverse"},
                                                       {sim::Order::random, "random"},
                                                       {sim::Order::preempt, "preempt"}};
  for (const auto& [order, name] : orders)
    for (unsigned seed = 1; seed <= (order < sim::Order::random ? 1 : seeds); seed++) {
      SCOPED_TRACE(std::string(name) + ", seed " + std::to_string(seed));
      const WithOptions with({.order = order, .seed = seed, .preempt_one_in = 5});
      run();
    }
}

/// What waiting for everything ends with: the fault and its message, or nothing.
struct Found {
  std::optional<sim::Fault> fault;
  std::string what;
};
inline Found found() {
  try {
    sim::synchronize();
    return {};
  } catch (const sim::Failure& failure) {
    return {failure.kind(), failure.what()};
  }
}

/// The pending work ends with this fault, and the message holds the words.
inline void expect_fault(sim::Fault fault, const std::string& words = "") {
  const Found f = found();
  ASSERT_TRUE(f.fault.has_value()) << "nothing was found instead of: " << sim::name(fault);
  EXPECT_EQ(*f.fault, fault) << f.what;
  EXPECT_NE(f.what.find(words), std::string::npos) << f.what << "\nlacks: " << words;
}

/// Who finds a mistake: what is found with checks only is not looked for without.
enum class By { everyone, checks };

/// In every order queue(false) ends without a report, and queue(true) with this fault.
inline void expect_only(sim::Fault fault, By by, const std::function<void(bool wrong)>& queue,
                        const std::string& words = "") {
  for_schedules(2, [&] {
    queue(false);
    const Found f = found();
    EXPECT_FALSE(f.fault.has_value()) << f.what;
    if (by == By::checks && !sim::kernels_have_checks()) return;
    queue(true);
    expect_fault(fault, words);
  });
}

}  // namespace unroll::sim_test
