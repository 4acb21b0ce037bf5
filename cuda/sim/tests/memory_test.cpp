// Device memory: what the host may do with it, what copies check, what is left at the end.
#include <cstdlib>
#include <cstring>

#include "cuda/sim/tests/mistakes.h"
#include "cuda/sim/tests/testing.h"

namespace unroll::sim_test {
namespace {

using sim::Fault;

template <class F>
void expect_failure(Fault fault, F f) {
  try {
    f();
    sim::synchronize();
    FAIL() << "nothing was found instead of: " << sim::name(fault);
  } catch (const sim::Failure& failure) {
    EXPECT_EQ(failure.kind(), fault) << failure.what();
  }
}

TEST(Memory, CopiesThereAndBack) {
  const auto x = uniform(1000);
  const DeviceArray<float> a(x), b(x.size());
  sim::memcpy(b.data(), a.data(), x.size() * sizeof(float));
  EXPECT_EQ(b.values(), x);
}

TEST(Memory, IsAlignedAndPoisonedWhenNew) {
  for (std::size_t bytes : {1u, 100u, 256u, 4096u, 5000u}) {
    const DeviceArray<unsigned char> x(bytes);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(x.data()) % 256, 0u);
    EXPECT_EQ(x.values(), std::vector<unsigned char>(bytes, 0xff));
  }
}

TEST(Memory, FillsWithAByte) {
  const DeviceArray<unsigned char> x(10);
  sim::memset(x.data(), 7, 4, sim::Stream{});
  EXPECT_EQ(x.values(), (std::vector<unsigned char>{7, 7, 7, 7, 255, 255, 255, 255, 255, 255}));
}

TEST(Memory, UsageCounts) {
  const sim::Usage before = sim::usage();
  {
    const DeviceArray<float> x(1000);
    EXPECT_EQ(sim::usage().allocations, before.allocations + 1);
    EXPECT_EQ(sim::usage().bytes, before.bytes + 4000);
    EXPECT_GE(sim::usage().peak_bytes, before.bytes + 4000);
  }
  EXPECT_EQ(sim::usage().allocations, before.allocations);
  EXPECT_EQ(sim::usage().bytes, before.bytes);
}

TEST(Memory, NothingIsAllocatedForNoBytes) {
  EXPECT_EQ(sim::malloc(0), nullptr);
  sim::free(nullptr);
}

TEST(MemoryDeathTest, HostMustNotRead) {
  const DeviceArray<float> x(uniform(10));
  EXPECT_DEATH(std::exit(x.data()[3] > 0),
               "device memory touched by the host: an allocation of 40 bytes");
}

TEST(MemoryDeathTest, HostMustNotWrite) {
  const DeviceArray<float> x(uniform(10));
  EXPECT_DEATH(x.data()[3] = 1, "device memory touched by the host");
}

TEST(MemoryDeathTest, HostMustNotReadAfterAKernelDid) {
  const DeviceArray<float> x(uniform(10)), y(10);
  EXPECT_DEATH(
      {
        increment(x.data(), y.data(), 10);
        sim::synchronize();
        std::exit(y.data()[3] > 0);
      },
      "device memory touched by the host");
}

TEST(MemoryDeathTest, OtherFaultsOfTheHostStayWhatTheyWere) {
  const DeviceArray<float> x(uniform(10));
  EXPECT_DEATH(
      {
        volatile std::uintptr_t nowhere = 64;
        *reinterpret_cast<volatile int*>(nowhere) = 1;
      },
      "");
}

TEST(MemoryDeathTest, LeaksAreToldAtTheEnd) {
  EXPECT_EXIT(
      {
        sim::malloc(123);
        std::exit(0);
      },
      testing::ExitedWithCode(0),
      "leak: 1 of the allocations was not freed, 123 bytes in all; .*memory_test.cpp:");
}

TEST(Memory, CopiesCheckTheirBounds) {
  const DeviceArray<float> x(uniform(10)), freed_later(10);
  std::vector<float> host(20);
  expect_failure(Fault::out_of_bounds, [&] { sim::memcpy(host.data(), x.data(), 44); });
  expect_failure(Fault::out_of_bounds, [&] { sim::memcpy(x.data() + 8, host.data(), 12); });
  expect_failure(Fault::out_of_bounds, [&] { sim::memset(x.data() - 1, 0, 4, sim::Stream{}); });
  expect_failure(Fault::host_pointer, [&] { sim::memset(host.data(), 0, 4, sim::Stream{}); });
}

TEST(Memory, FreeChecksItsPointer) {
  void* x = sim::malloc(100);
  float host = 0;
  expect_failure(Fault::misuse, [&] { sim::free(&host); });
  expect_failure(Fault::misuse, [&] { sim::free(static_cast<char*>(x) + 4); });
  sim::free(x);
  expect_failure(Fault::use_after_free, [&] { sim::free(x); });
  expect_failure(Fault::use_after_free, [&] { sim::memset(x, 0, 4, sim::Stream{}); });
}

TEST(Memory, HostMemoryThatIsCopiedToIsPoisonedUntilThen) {
  const DeviceArray<float> x(std::vector<float>{1, 2});
  std::vector<float> host = {5, 5};
  sim::memcpy(host.data(), x.data(), 8, sim::Stream{});
  EXPECT_TRUE(host[0] != host[0]);
  sim::synchronize();
  EXPECT_EQ(host, (std::vector<float>{1, 2}));
}

}  // namespace
}  // namespace unroll::sim_test
