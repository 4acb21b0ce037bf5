// The memory pool: alignment, reuse, statistics, threads.
#include "core/memory.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <set>
#include <thread>
#include <vector>

#include "core/random.h"
#include "core/tensor.h"
#include "tests/temporary.h"

namespace unroll {
namespace {

// Under a sanitizer every block comes from the system and nothing is kept.
bool pool_is_on() {
  void* block = memory::allocate(64);
  const auto before = memory::stats().pooled;
  memory::deallocate(block, 64);
  return memory::stats().pooled > before;
}

TEST(Memory, BlocksAreAlignedAndDoNotOverlap) {
  Random random(1);
  struct Block {
    unsigned char* data;
    std::size_t bytes;
    unsigned char mark;
  };
  std::vector<Block> blocks;
  for (int i = 0; i < 3000; i++) {
    if (!blocks.empty() && random.integer(0, 3) == 0) {
      const auto at = static_cast<std::size_t>(random.integer(0, std::int64_t(blocks.size())));
      const Block block = blocks[at];
      for (std::size_t k = 0; k < block.bytes; k++) ASSERT_EQ(block.data[k], block.mark);
      memory::deallocate(block.data, block.bytes);
      blocks.erase(blocks.begin() + std::ptrdiff_t(at));
      continue;
    }
    const auto bytes = static_cast<std::size_t>(random.integer(0, 1 << random.integer(0, 14)));
    auto* data = static_cast<unsigned char*>(memory::allocate(bytes));
    ASSERT_EQ(reinterpret_cast<std::uintptr_t>(data) % 64, 0u);
    std::memset(data, i & 255, bytes);
    blocks.push_back({data, bytes, static_cast<unsigned char>(i & 255)});
  }
  for (const Block& block : blocks) memory::deallocate(block.data, block.bytes);
}

TEST(Memory, ABlockIsAtMostAQuarterTooLarge) {
  for (std::size_t bytes = 256; bytes < (1 << 22); bytes += 1 + bytes / 7) {
    const auto before = memory::stats().live;
    void* block = memory::allocate(bytes);
    const auto taken = static_cast<std::size_t>(memory::stats().live - before);
    memory::deallocate(block, bytes);
    EXPECT_GE(taken, bytes);
    EXPECT_LE(double(taken), double(bytes) * 1.25 + 64) << bytes;
    EXPECT_EQ(memory::stats().live, before);
  }
}

TEST(Memory, AFreedBlockIsReused) {
  if (!pool_is_on()) GTEST_SKIP() << "the pool is off under a sanitizer";
  void* first = memory::allocate(5000);
  memory::deallocate(first, 5000);
  const auto pooled = memory::stats().pooled;
  void* second = memory::allocate(4990);  // of the same class
  EXPECT_EQ(first, second);
  EXPECT_LT(memory::stats().pooled, pooled);
  memory::deallocate(second, 4990);
}

TEST(Memory, LiveAndPeakFollowTensors) {
  const auto before = memory::stats().live;
  memory::reset_peak();
  {
    const Tensor x = zeros({1000, 100});
    EXPECT_GE(memory::stats().live - before, 400000);
    const Tensor handle = x;
    EXPECT_LT(memory::stats().live - before, 600000) << "a handle is no copy";
  }
  EXPECT_EQ(memory::stats().live, before);
  EXPECT_GE(memory::stats().peak - before, 400000);
  memory::reset_peak();
  EXPECT_EQ(memory::stats().peak, memory::stats().live);
}

TEST(Memory, TrimGivesBackWhatIsPooled) {
  { const Tensor x = zeros({1 << 16}); }
  memory::trim();
  EXPECT_EQ(memory::stats().pooled, 0);
  EXPECT_EQ(zeros({1 << 16}).item({77}), 0);
}

TEST(Memory, WhatNoMachineHas) {
  EXPECT_ERROR(memory::allocate(SIZE_MAX), "memory", "cannot allocate");
  EXPECT_ERROR(empty({std::int64_t{1} << 62}), "too large");
  EXPECT_ERROR(empty({(std::int64_t{1} << 61) - 1}, Dtype::float64), "too large");
  EXPECT_ERROR(empty({std::int64_t{1} << 50}, Dtype::boolean), "cannot allocate");
}

TEST(Memory, BlocksWanderBetweenThreads) {
  const auto before = memory::stats().live;
  for (int round = 0; round < 20; round++) {
    std::vector<Tensor> made[4];
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; i++)
      threads.emplace_back([&made, i, round] {
        for (int k = 0; k < 50; k++) made[i].push_back(full({1 + i + k + round}, i));
      });
    for (auto& thread : threads) thread.join();
    threads.clear();
    for (int i = 0; i < 4; i++)
      threads.emplace_back([&made, i] {  // another thread drops what one made
        for (Tensor& x : made[(i + 1) % 4]) {
          EXPECT_EQ(x.item({0}), (i + 1) % 4);
          x = Tensor();
        }
      });
    for (auto& thread : threads) thread.join();
  }
  EXPECT_EQ(memory::stats().live, before);
}

TEST(Memory, OneTensorSharedByManyThreads) {
  const Tensor x = ones({100});
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; i++)
    threads.emplace_back([&x] {
      for (int k = 0; k < 5000; k++) {
        const Tensor copy = x;
        ASSERT_EQ(copy.data<float>()[k % 100], 1.0f);
      }
    });
  for (auto& thread : threads) thread.join();
  EXPECT_TRUE(x.is_sole_owner());
}

TEST(Memory, ContainersTakeFromThePool) {
  const auto before = memory::stats().live;
  {
    memory::Vector<double> values(1000, 1.5);
    EXPECT_GE(memory::stats().live - before, 8000);
    values.resize(5000);
    EXPECT_EQ(values[999], 1.5);
  }
  EXPECT_EQ(memory::stats().live, before);
}

}  // namespace
}  // namespace unroll
