// Streams and events: each stream keeps its order, events order streams, and what nothing orders
// comes in any order.
#include <set>
#include <thread>

#include "cuda/sim/tests/mistakes.h"
#include "cuda/sim/tests/testing.h"

namespace unroll::sim_test {
namespace {

using sim::Fault;

TEST(Streams, KeepTheirOrder) {
  for_schedules(3, [] {
    const DeviceArray<float> x(std::vector<float>(100));
    for (int i = 0; i < 5; i++) increment(x.data(), x.data(), 100);
    EXPECT_EQ(x.values(), std::vector<float>(100, 5));
  });
}

TEST(Streams, RunWhenTheHostWaits) {
  const DeviceArray<float> x(std::vector<float>(4));
  increment(x.data(), x.data(), 4);
  const sim::Event event = sim::record({});
  sim::synchronize(event);
  EXPECT_TRUE(sim::passed(event));
  EXPECT_EQ(x.values(), std::vector<float>(4, 1));
}

// Two streams, one value: y = x + 1 in the first, z = y + 1 in the second.
std::vector<float> chain(bool with_event) {
  const sim::Stream first = sim::make_stream(), second = sim::make_stream();
  const DeviceArray<float> x(std::vector<float>(40)), y(std::vector<float>(40)),
      z(std::vector<float>(40));
  increment(x.data(), y.data(), 40, first.id);
  if (with_event) sim::wait(second, sim::record(first));
  increment(y.data(), z.data(), 40, second.id);
  try {
    sim::synchronize();
  } catch (...) {
    sim::drop(first), sim::drop(second);
    throw;
  }
  sim::drop(first), sim::drop(second);
  return z.values();
}

TEST(Streams, EventsOrderThem) {
  for_schedules(5, [] { EXPECT_EQ(chain(true), std::vector<float>(40, 2)); });
}

TEST(Streams, WithoutAnEventAnyOrderComes) {
  std::set<float> seen;
  bool raced = false;
  for_schedules(10, [&] {
    try {
      seen.insert(chain(false)[0]);
    } catch (const sim::Failure& failure) {
      EXPECT_EQ(failure.kind(), Fault::race) << failure.what();
      raced = true;
    }
  });
  if (sim::kernels_have_checks())
    EXPECT_TRUE(raced && seen.empty());
  else
    EXPECT_EQ(seen, (std::set<float>{1, 2}));
}

TEST(Streams, CopiesRaceWithKernelsOfOtherStreams) {
  if (!sim::kernels_have_checks()) GTEST_SKIP() << "kernels without checks";
  const sim::Stream other = sim::make_stream();
  const DeviceArray<float> x(std::vector<float>(40)), y(std::vector<float>(40));
  increment(x.data(), y.data(), 40, other.id);
  sim::memset(y.data(), 0, 40, {});
  expect_fault(Fault::race, "memset");
  sim::drop(other);
}

TEST(Streams, TheHostsWaitOrdersThem) {
  const sim::Stream other = sim::make_stream();
  for_schedules(3, [&] {
    const DeviceArray<float> x(std::vector<float>(40)), y(40);
    increment(x.data(), y.data(), 40, other.id);
    sim::synchronize(other);
    increment(y.data(), x.data(), 40);
    EXPECT_EQ(x.values(), std::vector<float>(40, 2));
  });
  sim::drop(other);
}

TEST(Streams, AskingForAnEventGoesOn) {
  const DeviceArray<float> x(std::vector<float>(4));
  for (int i = 0; i < 3; i++) increment(x.data(), x.data(), 4);
  const sim::Event event = sim::record({});
  int asked = 0;
  while (!sim::passed(event)) ASSERT_LT(asked++, 10);
  EXPECT_GT(asked, 0);
}

TEST(Streams, ThatDoNotExistAreFound) {
  const DeviceArray<float> x(std::vector<float>(4));
  increment(x.data(), x.data(), 4, 77);
  expect_fault(Fault::misuse, "stream 77");
  EXPECT_THROW(sim::drop({}), sim::Failure);
}

TEST(Streams, CheckThrowsWithoutRunning) {
  sim::check();
  nothing({.grid_x = 0});
  EXPECT_THROW(sim::check(), sim::Failure);
  sim::check();
}

TEST(Streams, ThreadsOfTheHostTakeTurns) {
  const auto work = [] {
    for (int round = 0; round < 20; round++) {
      const DeviceArray<float> x(std::vector<float>(100));
      increment(x.data(), x.data(), 100);
      increment(x.data(), x.data(), 100);
      EXPECT_EQ(x.values(), std::vector<float>(100, 2));
    }
  };
  std::thread other(work);
  work();
  other.join();
}

}  // namespace
}  // namespace unroll::sim_test
