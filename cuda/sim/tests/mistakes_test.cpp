// Mistakes in a few lines, each found under its name, and the same lines without the mistake, which
// give no report in any order.
#include "cuda/sim/tests/mistakes.h"

#include <functional>
#include <thread>

#include "cuda/sim/tests/testing.h"

namespace unroll::sim_test {
namespace {

using sim::Fault;

TEST(Mistakes, HostPointerAsAnArgument) {
  const DeviceArray<float> good(4);
  std::vector<float> host(4);
  expect_only(
      Fault::host_pointer, By::everyone,
      [&](bool wrong) { write_at(wrong ? host.data() : good.data(), 0); }, "write_at");
}

TEST(Mistakes, HostPointerInAStruct) {
  const DeviceArray<float> good(4);
  std::vector<float> host(4);
  expect_only(
      Fault::host_pointer, By::checks,
      [&](bool wrong) { write_one({wrong ? host.data() : good.data()}, 0); }, "mistakes.cu:");
}

TEST(Mistakes, NullPointer) {
#ifdef UNROLL_SANITIZED
  GTEST_SKIP() << "UndefinedBehaviorSanitizer ends the program";
#endif
  const DeviceArray<float> good(4);
  expect_only(
      Fault::host_pointer, By::everyone,
      [&](bool wrong) { write_one({wrong ? nullptr : good.data()}, 0); }, "mistakes.cu:");
}

TEST(Mistakes, OneBeyondAnAllocation) {
  const DeviceArray<float> x(10);
  expect_only(
      Fault::out_of_bounds, By::everyone,
      [&](bool wrong) { write_one({x.data()}, wrong ? 10 : 9); }, "byte 40");
}

TEST(Mistakes, OneBeforeAnAllocation) {
  const DeviceArray<float> x(10);
  expect_only(
      Fault::out_of_bounds, By::everyone,
      [&](bool wrong) { write_one({x.data()}, wrong ? -1 : 0); }, "byte -4");
}

TEST(Mistakes, FarBeyondAnAllocation) {
  const DeviceArray<float> x(10);
  expect_only(
      Fault::out_of_bounds, By::everyone,
      [&](bool wrong) { write_one({x.data()}, wrong ? 200 : 0); }, "device_array.h:");
}

TEST(Mistakes, BesideASharedArray) {
  expect_only(
      Fault::out_of_bounds, By::everyone, [](bool wrong) { beside_shared(wrong ? 8 : 7); },
      "mistakes.cu:");
}

TEST(Mistakes, FarBeyondASharedArray) {
  expect_only(
      Fault::out_of_bounds, By::everyone, [](bool wrong) { beside_shared(wrong ? 1000 : 0); },
      "mistakes.cu:");
}

TEST(Mistakes, AllocationThatWasFreed) {
  auto* gone = static_cast<float*>(sim::malloc(4 * sizeof(float)));
  sim::free(gone);
  const DeviceArray<float> good(4);
  expect_only(Fault::use_after_free, By::everyone,
              [&](bool wrong) { write_one({wrong ? gone : good.data()}, 0); });
}

TEST(Mistakes, UnwrittenAllocation) {
  const DeviceArray<float> unwritten(32), written(uniform(32)), to(32);
  expect_only(Fault::unwritten_read, By::checks,
              [&](bool wrong) { increment((wrong ? unwritten : written).data(), to.data(), 32); });
}

TEST(Mistakes, CopiesOfUnwrittenMemoryAreUnwritten) {
  const DeviceArray<float> unwritten(32), written(uniform(32)), copy(32), to(32);
  expect_only(Fault::unwritten_read, By::checks, [&](bool wrong) {
    sim::memcpy(copy.data(), (wrong ? unwritten : written).data(), 32 * sizeof(float));
    increment(copy.data(), to.data(), 32);
  });
}

TEST(Mistakes, UnwrittenSharedMemory) {
  const DeviceArray<float> to(1);
  expect_only(
      Fault::unwritten_read, By::checks, [&](bool wrong) { sum_shared(!wrong, to.data()); },
      "which nobody wrote");
}

TEST(Mistakes, UnwrittenMemoryIsNaN) {
  if (sim::kernels_have_checks()) GTEST_SKIP() << "found by name";
  const DeviceArray<float> to(1);
  sum_shared(false, to.data());
  EXPECT_TRUE(to.values()[0] != to.values()[0]);
}

TEST(Mistakes, GridSyncWithoutACooperativeLaunch) {
  expect_only(
      Fault::misuse, By::everyone, [](bool wrong) { sync_grid(!wrong); }, "cooperative");
}

TEST(Mistakes, BlockThatDoesNotComeToTheGridsBarrier) {
  expect_only(
      Fault::divergent_barrier, By::everyone,
      [](bool wrong) { wrong ? leave_grid() : sync_grid(true); }, "32 threads ended");
}

TEST(Mistakes, BarriersInBranches) {
  expect_only(Fault::divergent_barrier, By::everyone, barrier_in_branches, "mistakes.cu:");
}

TEST(Mistakes, FlagThatNobodySets) {
  const DeviceArray<int> flag(1);
  expect_only(Fault::deadlock, By::everyone, [&](bool wrong) {
    sim::memset(flag.data(), 0, sizeof(int), sim::Stream{});
    spin(0, wrong ? -1 : 32, flag.data());
  });
}

TEST(Mistakes, FlagsAreSetInEveryOrder) {
  const DeviceArray<int> flag(1);
  for_schedules(2, [&] {
    for (const auto& [waiter, setter] : {std::pair{0, 63}, {63, 0}, {0, 127}, {127, 0}}) {
      sim::memset(flag.data(), 0, sizeof(int), sim::Stream{});
      spin(waiter, setter, flag.data());
      const Found f = found();
      EXPECT_FALSE(f.fault.has_value()) << waiter << " waits for " << setter << ": " << f.what;
    }
  });
}

// Runs the kernel with x, y and a flag that is 0.
void expect_order_by_flags(void (*kernel)(Flag, int*, int*, int*), std::size_t n) {
  const DeviceArray<int> x(n), y(n), flag(1);
  const auto run = [&](Flag how) {
    sim::memset(x.data(), 0, n * sizeof(int), sim::Stream{});
    sim::memset(flag.data(), 0, sizeof(int), sim::Stream{});
    kernel(how, x.data(), y.data(), flag.data());
  };
  for_schedules(3, [&] {
    run(Flag::right);
    EXPECT_EQ(y.values(), x.values());
    if (!sim::kernels_have_checks()) return;
    for (Flag wrong : {Flag::no_fence_before, Flag::no_fence_after, Flag::no_barrier}) {
      SCOPED_TRACE(int(wrong));
      run(wrong);
      expect_fault(Fault::race, "mistakes.cu:");
    }
  });
}

TEST(Mistakes, BlocksMeetByACount) { expect_order_by_flags(meet_by_count, 256); }

TEST(Mistakes, WarpsHandOverByAFlag) { expect_order_by_flags(hand_over, 32); }

TEST(Mistakes, ManyAtomicsAreNotALoopThatWaits) {
  const int times = 2 * (1 << 20) / 64;
  const DeviceArray<int> sum(std::vector<int>{0});
  add_often(times, sum.data());
  EXPECT_EQ(sum.values(), std::vector<int>{64 * times});
}

TEST(Mistakes, NoDynamicSharedMemory) {
  expect_only(Fault::misuse, By::everyone, [](bool wrong) { use_dynamic(wrong ? 0 : 128); });
}

TEST(Mistakes, TooLittleDynamicSharedMemory) {
  expect_only(Fault::out_of_bounds, By::everyone,
              [](bool wrong) { use_dynamic(wrong ? 124 : 128); });
}

TEST(Mistakes, SharedMemoryOfAnotherBlock) {
  const DeviceArray<std::uint64_t> slot(1);
  expect_only(Fault::foreign_memory, By::checks, [&](bool wrong) { share(!wrong, slot.data()); });
}

TEST(Mistakes, LocalVariableOfAnotherThread) {
  const DeviceArray<std::uint64_t> slot(1);
  expect_only(Fault::foreign_memory, By::checks,
              [&](bool wrong) { lend_local(!wrong, slot.data()); });
}

TEST(Mistakes, StackThatIsTooSmall) {
  const DeviceArray<int> result(1);
  expect_only(Fault::stack_overflow, By::everyone,
              [&](bool wrong) { recurse(wrong ? 1000 : 10, result.data()); });
}

TEST(Mistakes, LanesThatDoNotWaitForEachOther) {
  const DeviceArray<int> x(32);
  expect_only(
      Fault::race, By::checks,
      [&](bool wrong) {
        sim::memset(x.data(), 0, 32 * sizeof(int), sim::Stream{});
        exchange_in_warp(!wrong, x.data());
      },
      "mistakes.cu:");
}

TEST(Mistakes, ReadBesideAtomics) {
  const DeviceArray<int> x(1), result(1);
  expect_only(Fault::race, By::checks, [&](bool wrong) {
    sim::memset(x.data(), 0, sizeof(int), sim::Stream{});
    read_sum(!wrong, x.data(), result.data());
  });
}

TEST(Mistakes, NeighbouringBytesAreNoRace) {
  const DeviceArray<unsigned char> flags(100);
  sim::memset(flags.data(), 0, 100, sim::Stream{});  // seen as words before
  set_bytes(flags.data(), 100);
  std::vector<unsigned char> want;
  for (int i = 0; i < 100; i++) want.push_back(static_cast<unsigned char>(i % 3));
  EXPECT_EQ(flags.values(), want);
}

TEST(Mistakes, HostCodeBesideKernelsMayUseAtomics) {
  std::thread other([] { EXPECT_GE(owners(3), 4); });
  EXPECT_GE(owners(5), 6);
  other.join();
}

TEST(Mistakes, AtomicThatIsNotAligned) {
  const DeviceArray<unsigned> x(std::vector<unsigned>(2));
  expect_only(Fault::misuse, By::everyone,
              [&](bool wrong) { misaligned_atomic(x.data(), wrong ? 2 : 4); });
}

TEST(Mistakes, AsynchronousCopyToGlobalMemory) {
  const DeviceArray<float> x(uniform(4)), y(4);
  copy_to_global(y.data(), x.data());
  expect_fault(Fault::async_copy, "not shared memory");
}

TEST(Mistakes, AsynchronousCopyOfThreeBytes) {
  const DeviceArray<float> x(uniform(4));
  copy_three_bytes(x.data());
  expect_fault(Fault::async_copy, "4, 8 or 16");
}

}  // namespace
}  // namespace unroll::sim_test
