#include "cuda/backend.h"

#include "cuda/tests/testing.h"

namespace unroll::gpu_test {
namespace {

TEST(Backend, BlocksCoverEveryElement) {
  EXPECT_EQ(device::blocks_of(0, 128), 0u);
  EXPECT_EQ(device::blocks_of(1, 128), 1u);
  EXPECT_EQ(device::blocks_of(128, 128), 1u);
  EXPECT_EQ(device::blocks_of(129, 128), 2u);
  EXPECT_EQ(device::blocks_of(std::int64_t{1} << 40, 128, 1000), 1000u);
}

}  // namespace
}  // namespace unroll::gpu_test
