// The pool of device memory, over real streams: with the simulator's checks, a block that is used
// again too early is a race.
#include "cuda/pool.h"

#include <set>

#include "cuda/tests/testing.h"

namespace unroll {
namespace {

using namespace gpu_test;
using device::Runtime;

// The device's memory, as long as there is some.
struct Limited : Runtime {
  static inline std::size_t used = 0, limit = std::size_t{1} << 30;
  static inline std::set<void*> given;

  static void* allocate(std::size_t bytes) {
    if (used + bytes > limit) return nullptr;
    used += bytes;
    void* block = Runtime::allocate(bytes);
    given.insert(block);
    return block;
  }
  static void release(void* block) noexcept {
    given.erase(block);
    used = 0;  // all of it, in these tests
    Runtime::release(block);
  }
};

class PoolTest : public ::testing::Test {
 protected:
  ~PoolTest() override {
    pool.trim();
    Limited::limit = std::size_t{1} << 30;
    EXPECT_TRUE(Limited::given.empty());
  }
  Pool<Limited> pool;
  const Stream first{}, second = Limited::new_stream();
};

TEST_F(PoolTest, SizesAreFourToTheOctave) {
  EXPECT_EQ(pooled_bytes(0), 512u);
  EXPECT_EQ(pooled_bytes(513), 1024u);
  for (std::size_t bytes = 1; bytes < std::size_t{1} << 34; bytes = bytes * 9 / 8 + 1) {
    const std::size_t size = pooled_bytes(bytes);
    ASSERT_GE(size, bytes);
    ASSERT_LE(static_cast<double>(size), std::max(1.25 * static_cast<double>(bytes), bytes + 512.));
    ASSERT_EQ(pooled_bytes(size), size);
  }
}

TEST_F(PoolTest, ABlockIsUsedAgain) {
  void* const a = pool.allocate(1000, first);
  void* const b = pool.allocate(1000, first);
  EXPECT_NE(a, b);
  pool.deallocate(a, first);
  EXPECT_EQ(pool.allocate(600, first), a);
  void* const larger = pool.allocate(5000, first);
  EXPECT_NE(larger, b);
  pool.deallocate(larger, first);
  pool.deallocate(a, first);
  pool.deallocate(b, first);
}

// Writes through one stream, gives back, writes through the other.
TEST_F(PoolTest, AnotherStreamWaitsForTheFirst) {
  in_every_order([&] {
    std::vector<char> host(4096);
    auto* const a = static_cast<char*>(pool.allocate(4096, first));
    for (int i = 0; i < 20; i++) fill(a, i, 4096, first);
    pool.deallocate(a, first);
    auto* const b = static_cast<char*>(pool.allocate(4096, second));
    EXPECT_EQ(a, b);
    fill(b, 99, 4096, second);
    synchronize();
    device::download(host.data(), b, 4096);
    EXPECT_EQ(host, std::vector<char>(4096, 99));
    pool.deallocate(b, second);
    pool.trim();
  });
}

TEST_F(PoolTest, ItsOwnStreamWaitsForAnotherThatGaveItBack) {
  in_every_order([&] {
    std::vector<char> host(4096);
    auto* const a = static_cast<char*>(pool.allocate(4096, first));
    fill(a, 1, 4096, first);
    Limited::follow(second, first);
    for (int i = 0; i < 20; i++) fill(a, i, 4096, second);
    pool.deallocate(a, second);
    auto* const b = static_cast<char*>(pool.allocate(4096, first));
    EXPECT_EQ(a, b);
    fill(b, 99, 4096, first);
    synchronize();
    device::download(host.data(), b, 4096);
    EXPECT_EQ(host, std::vector<char>(4096, 99));
    pool.deallocate(b, first);
    pool.trim();
  });
}

TEST_F(PoolTest, GivesBackBeforeItGivesUp) {
  Limited::limit = 100 << 10;
  void* const a = pool.allocate(90 << 10, first);
  EXPECT_THROW(pool.allocate(90 << 10, first), Error);
  pool.deallocate(a, first);
  void* const b = pool.allocate(50 << 10, first);  // of another size: the first one must go
  EXPECT_NE(b, nullptr);
  pool.deallocate(b, first);
}

}  // namespace
}  // namespace unroll
