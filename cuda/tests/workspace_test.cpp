#include "cuda/workspace.h"

#include "cuda/tests/testing.h"

namespace unroll::gpu_test {
namespace {

TEST(Workspace, IsOnePiecePerStream) {
  void* const piece = sim::workspace();
  ASSERT_NE(piece, nullptr);
  EXPECT_EQ(sim::workspace(), piece);
  const std::vector<char> bytes(sim::workspace_bytes, 'x');
  sim::memcpy(piece, bytes.data(), bytes.size());
  EXPECT_EQ(sim::fetched(static_cast<const char*>(piece) + bytes.size() - 1), 'x');
}

TEST(Workspace, FetchesWhenTheStreamIsDone) {
  const DeviceArray<double> x(1);
  const double value = 2.5;
  sim::memcpy(x.data(), &value, sizeof(value), sim::current_stream());
  EXPECT_EQ(sim::fetched(x.data()), 2.5);
}

TEST(Workspace, AFailureIsKeptForTheNextWait) {
  const DeviceArray<double> x(1);
  EXPECT_EQ(sim::fetched(x.data() + 1), 0);
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
  EXPECT_EQ(sim::multiprocessors(), sim::options().arch.multiprocessors);
}

}  // namespace
}  // namespace unroll::gpu_test
