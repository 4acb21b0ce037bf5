// Launches beyond the limits of an architecture, and what a report does to the queue.
#include "cuda/sim/tests/mistakes.h"
#include "cuda/sim/tests/testing.h"

namespace unroll::sim_test {
namespace {

using sim::Fault;

TEST(Launches, EmptyLaunch) {
  expect_only(Fault::launch_limit, By::everyone,
              [](bool wrong) { nothing({.grid_x = wrong ? 0u : 1u}); });
}

TEST(Launches, TooManyThreads) {
  expect_only(
      Fault::launch_limit, By::everyone,
      [](bool wrong) { nothing({.block_x = 32, .block_y = wrong ? 33u : 32u}); }, "1024");
}

TEST(Launches, TooManyBlocks) {
  expect_only(Fault::launch_limit, By::everyone,
              [](bool wrong) { nothing({.grid_y = wrong ? 65536u : 3u, .block_x = 1}); });
}

TEST(Launches, TooMuchDynamicSharedMemory) {
  expect_only(
      Fault::launch_limit, By::everyone,
      [](bool wrong) { nothing({.shared = (227u << 10) + (wrong ? 1u : 0u)}); }, "sm_90");
}

TEST(Launches, TooMuchStaticSharedMemory) {
  expect_only(Fault::launch_limit, By::everyone,
              [](bool wrong) { static_shared(wrong ? 64 : 48); });
}

TEST(Launches, CooperativeLaunchThatDoesNotFit) {
  expect_only(
      Fault::launch_limit, By::everyone,
      [](bool wrong) {
        nothing({.grid_x = wrong ? 265u : 264u, .block_x = 1024, .cooperative = true});
      },
      "264");
}

TEST(Launches, AReportEndsWhatIsQueued) {
  const DeviceArray<float> from(std::vector<float>(4)), to(std::vector<float>(4));
  sync_grid(false);
  increment(from.data(), to.data(), 4);
  expect_fault(Fault::misuse);
  EXPECT_EQ(to.values(), std::vector<float>(4));
  increment(from.data(), to.data(), 4);
  EXPECT_EQ(to.values(), std::vector<float>(4, 1));
}

}  // namespace
}  // namespace unroll::sim_test
