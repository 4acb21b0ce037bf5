#include "kernels/dropout.h"

#include "cuda/tests/agreement.h"
#include "cuda/tests/traffic.h"

namespace unroll::gpu_test {
namespace {

template <class T>
std::vector<T> mask_on_cpu(const DropoutShape& s) {
  std::vector<T> y(std::size_t(s.count));
  cpu::dropout_mask<T>(s, {.y = y.data()});
  return y;
}

template <class T>
void check(const DropoutShape& s) {
  SCOPED_TRACE(std::to_string(s.count) + " at " + std::to_string(s.p));
  const auto got = in_all_orders<T>([&] {
    const DeviceArray<T> y(std::size_t(s.count));
    device::dropout_mask<T>(s, {.y = y.data()});
    return y.values();
  });
  expect_same_bits(got, mask_on_cpu<T>(s));
}

TEST(DropoutKernel, SameBitsAsTheCpu) {
  for (const std::int64_t count : {0, 1, 3, 4, 5, 1030}) {
    for (const double p : {0.0, 0.3, 1.0}) {
      check<float>({.count = count, .p = p, .seed = 7});
      check<double>({.count = count,
                     .p = p,
                     .seed = ~std::uint64_t{0},
                     .stream = 1ULL << 40,
                     .counter = ~std::uint64_t{0} - 1});
    }
  }
}

TEST(DropoutKernel, AnyAddress) {
  const DropoutShape s{.count = 9, .p = 0.5, .seed = 3};
  const DeviceArray<float> y(10);
  device::dropout_mask<float>(s, {.y = y.data() + 1});
  const std::vector<float> got = y.values();
  EXPECT_TRUE(std::isnan(got[0]));
  expect_same_bits(std::vector<float>(got.begin() + 1, got.end()), mask_on_cpu<float>(s));
}

#ifndef __CUDACC__  // the meter is the simulator's
TEST(DropoutKernel, WritesEachElementOnce) {
  if (!sim::kernels_have_checks()) GTEST_SKIP() << "traffic is counted in kernels with checks";
  const DeviceArray<float> y(4096);
  expect_lean(metered("dropout_mask", [&] {
    device::dropout_mask<float>({.count = 4096, .p = 0.5, .seed = 3}, {.y = y.data()});
    sim::synchronize();
  }));
}
#endif

}  // namespace
}  // namespace unroll::gpu_test
