// Runs the tests of the GPU kernels on the GPU. Where there is none they are skipped.
#include <cstdio>

#include "core/device.h"
#include "cuda/tests/testing.h"

namespace unroll::gpu_test {
namespace {

// A failure belongs to the test that caused it.
class ErrorsOfEachTest : public ::testing::EmptyTestEventListener {
  void OnTestEnd(const ::testing::TestInfo&) override {
    EXPECT_NO_THROW(device::Runtime::check());
    EXPECT_NO_THROW(device::Runtime::wait_for_all());
  }
};

int run() {
  if (const std::string why = why_unavailable(Device::cuda());
      !why.empty() && !::testing::GTEST_FLAG(list_tests)) {
    std::printf("[  SKIPPED ] %s\n", why.c_str());
    return 0;
  }
  ::testing::UnitTest::GetInstance()->listeners().Append(new ErrorsOfEachTest);
  return RUN_ALL_TESTS();
}

}  // namespace
}  // namespace unroll::gpu_test

int main(int count, char** arguments) {
  ::testing::InitGoogleTest(&count, arguments);
  return unroll::gpu_test::run();
}
