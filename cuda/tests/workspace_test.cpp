#include "cuda/workspace.h"

#include "cuda/tests/testing.h"

namespace unroll::gpu_test {
namespace {

TEST(Workspace, IsOnePiecePerStream) {
  void* const piece = device::workspace();
  ASSERT_NE(piece, nullptr);
  EXPECT_EQ(device::workspace(), piece);
  const std::vector<char> bytes(device::workspace_bytes, 'x');
  device::upload(piece, bytes.data(), bytes.size());
  EXPECT_EQ(device::fetched(static_cast<const char*>(piece) + bytes.size() - 1), 'x');
}

TEST(Workspace, FetchesWhenTheStreamIsDone) {
  const DeviceArray<double> from(std::vector<double>{2.5}), x(1);
  device::copy_bytes(x.data(), from.data(), sizeof(double));
  EXPECT_EQ(device::fetched(x.data()), 2.5);
}

#ifndef __CUDACC__  // faults are found, and the chip is chosen, by the simulator
TEST(Workspace, AFailureIsKeptForTheNextWait) {
  const DeviceArray<double> x(1);
  EXPECT_EQ(device::fetched(x.data() + 1), 0);
  try {
    sim::check();
    FAIL() << "nothing was kept";
  } catch (const sim::Failure& failure) {
    EXPECT_EQ(failure.kind(), sim::Fault::out_of_bounds);
    EXPECT_EQ(std::string(failure.what()).find("sim: out of bounds: memcpy of 8 bytes"), 0u)
        << failure.what();
  }
  EXPECT_NO_THROW(sim::check());
}

TEST(Workspace, KnowsTheMultiprocessors) {
  EXPECT_EQ(device::multiprocessors(), sim::options().arch.multiprocessors);
}
#endif

}  // namespace
}  // namespace unroll::gpu_test
