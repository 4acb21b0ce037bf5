// What the environment says, limits of architectures, and the fibers underneath.
#include <cstdlib>
#include <set>

#include "cuda/sim/fiber.h"
#include "cuda/sim/tests/kernels.h"
#include "cuda/sim/tests/mistakes.h"
#include "cuda/sim/tests/testing.h"

namespace unroll::sim_test {
namespace {

class WithVariable {
 public:
  WithVariable(const char* name, const char* value) : name_(name) { setenv(name, value, 1); }
  ~WithVariable() { unsetenv(name_); }
  WithVariable(const WithVariable&) = delete;
  WithVariable& operator=(const WithVariable&) = delete;

 private:
  const char* name_;
};

TEST(Options, ComeFromTheEnvironment) {
  const WithVariable order("UNROLL_SIM_ORDER", "preempt"), seed("UNROLL_SIM_SEED", "42"),
      preempt("UNROLL_SIM_PREEMPT", "3"), meter("UNROLL_SIM_METER", "1"),
      arch("UNROLL_SIM_ARCH", "sm_80");
  const sim::Options o = sim::options_of_environment();
  EXPECT_EQ(o.order, sim::Order::preempt);
  EXPECT_EQ(o.seed, 42u);
  EXPECT_EQ(o.preempt_one_in, 3);
  EXPECT_TRUE(o.meter);
  EXPECT_STREQ(o.arch.name, "sm_80");
}

TEST(Options, WrongValuesAreNamed) {
  for (const auto& [name, value] : {std::pair{"UNROLL_SIM_ORDER", "sideways"},
                                    {"UNROLL_SIM_SEED", "x"},
                                    {"UNROLL_SIM_SEED", "-1"},
                                    {"UNROLL_SIM_PREEMPT", "0"},
                                    {"UNROLL_SIM_PREEMPT", "4294967297"},
                                    {"UNROLL_SIM_METER", ""},
                                    {"UNROLL_SIM_METER", "7"},
                                    {"UNROLL_SIM_ARCH", "sm_70"}}) {
    const WithVariable variable(name, value);
    try {
      sim::options_of_environment();
      FAIL() << name;
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find(name), std::string::npos) << error.what();
    }
  }
  sim::Options o = sim::options();
  o.preempt_one_in = 0;
  EXPECT_THROW(sim::set_options(o), Error);
}

TEST(Options, ASeedGivesTheSameOrderAgain) {
  // In float the order of the additions shows.
  const auto x = uniform(3000);
  const DeviceArray<float> dx(x);
  const auto run = [&](std::uint64_t seed) {
    const WithOptions with({.seed = seed});
    const DeviceArray<float> sum(std::vector<float>{0});
    block_sum(Bug::none, dx.data(), sum.data(), int(x.size()));
    return sum.values()[0];
  };
  std::set<float> seen;
  for (std::uint64_t seed = 1; seed <= 10; seed++) {
    seen.insert(run(seed));
    EXPECT_EQ(run(seed), run(seed));
  }
  EXPECT_GT(seen.size(), 1u);
}

TEST(Arch, ResidentBlocks) {
  const sim::Arch a = *sim::find_arch("sm_90");
  EXPECT_EQ(sim::resident_blocks(a, 1024, 0), 2);
  EXPECT_EQ(sim::resident_blocks(a, 32, 0), 32);
  EXPECT_EQ(sim::resident_blocks(a, 33, 0), 32);
  EXPECT_EQ(sim::resident_blocks(a, 128, 100 << 10), 2);
  EXPECT_EQ(sim::resident_blocks(a, 128, 227 << 10), 1);
  EXPECT_EQ(sim::resident_blocks(a, 1024, 0, 64), 1);
  EXPECT_EQ(sim::resident_blocks(a, 1024, 0, 128), 0);
  EXPECT_EQ(sim::resident_blocks(*sim::find_arch("sm_120"), 1024, 0), 1);
  EXPECT_FALSE(sim::find_arch("sm_70").has_value());
}

TEST(Arch, RegistersCountInLaunches) {
  sim::set_registers("nothing", 128);
  nothing({.block_x = 1024});
  expect_fault(sim::Fault::launch_limit, "128 registers");
  sim::set_registers("nothing", 64);
  nothing({.grid_x = 132, .block_x = 1024, .cooperative = true});
  sim::synchronize();
  nothing({.grid_x = 133, .block_x = 1024, .cooperative = true});
  expect_fault(sim::Fault::launch_limit, "132");
  sim::set_registers("nothing", 0);
}

TEST(Arch, OthersHaveOtherLimits) {
  sim::Options o = sim::options();
  o.arch = *sim::find_arch("sm_120");
  const WithOptions with(o);
  nothing({.shared = 100 << 10});
  expect_fault(sim::Fault::launch_limit, "sm_120");
}

// ---- Fibers

sim::Fiber* outside = nullptr;
sim::Fiber* inside = nullptr;
std::vector<double> steps;

void walk() {
  double state = 1.5;  // in a register or on the stack, it must survive
  for (int i = 0;; i++) {
    state *= 2;
    steps.push_back(state + i);
    switch_fiber(*inside, *outside);
  }
}

TEST(Fibers, KeepTheirStateBetweenSwitches) {
  steps.clear();
  sim::Fiber host, fiber(walk);
  outside = &host, inside = &fiber;
  for (int i = 0; i < 3; i++) switch_fiber(host, fiber);
  EXPECT_EQ(steps, (std::vector<double>{3, 7, 14}));
  fiber.restart();
  switch_fiber(host, fiber);
  EXPECT_EQ(steps.back(), 3);
}

TEST(Fibers, KnowTheirStacks) {
  sim::Fiber fiber(walk);
  int here = 0;
  EXPECT_FALSE(fiber.owns(reinterpret_cast<std::uintptr_t>(&here)));
  EXPECT_FALSE(sim::Fiber().owns(reinterpret_cast<std::uintptr_t>(&here)));
}

}  // namespace
}  // namespace unroll::sim_test
