// Each thing forgotten in a kernel is found, in every one of ten random orders: under its name by
// kernels with checks; without checks by name or by a wrong result.
#include <cmath>
#include <functional>

#include "cuda/sim/tests/kernels.h"
#include "cuda/sim/tests/testing.h"

namespace unroll::sim_test {
namespace {

using sim::Fault;

struct Case {
  const char* name;
  Bug bug;
  std::vector<Fault> checked;      // what it may be called with checks
  std::optional<Fault> plain;      // what it is called without, or nothing: a wrong result
  bool plain_sees = true;          // without checks it may go unseen
  std::function<bool(Bug)> right;  // queues the kernel, waits, and compares the result
};

bool near(const std::vector<float>& got, const std::vector<float>& want) {
  for (std::size_t i = 0; i < got.size(); i++)
    if (!(std::abs(got[i] - want[i]) <= 1e-4f)) return false;
  return true;
}

// The result of the kernel without the bug is what another order of it gives.
bool same_as_correct(const std::function<std::vector<float>(Bug)>& run, Bug bug) {
  const auto got = run(bug);
  return near(got, run(Bug::none));
}

std::vector<float> run_product(Bug bug) {
  const DeviceArray<float> a(uniform(20 * 40, 1)), b(uniform(40 * 20, 2)), c(20 * 20);
  product(bug, a.data(), b.data(), c.data(), 20, 20, 40);
  return c.values();
}
std::vector<float> run_block_sum(Bug bug) {
  const DeviceArray<float> x(uniform(3000)), sum(std::vector<float>{0});
  block_sum(bug, x.data(), sum.data(), 3000);
  return sum.values();
}
std::vector<float> run_rnn(Bug bug) {
  const int H = 70, steps = 5;
  const DeviceArray<float> w(uniform(H * H)), h(std::size_t((steps + 1) * H));
  const auto h0 = uniform(H, 2);
  sim::memcpy(h.data(), h0.data(), h0.size() * sizeof(float));
  rnn(bug, w.data(), h.data(), H, steps);
  return h.values();
}
std::vector<float> run_scale(Bug bug) {
  const DeviceArray<float> x(uniform(6 * 512 + 4)), y(6 * 512);
  scale(bug, x.data(), y.data(), 3, 2, 2);
  return y.values();
}
std::vector<float> run_warp_sum(Bug bug) {
  const DeviceArray<float> x(uniform(6 * 32)), sums(6);
  warp_sum(bug, x.data(), sums.data(), 6);
  return sums.values();
}
std::vector<float> run_matrix_product(Bug bug) {
  std::vector<Float16> values;
  for (float v : uniform(16 * 32)) values.push_back(to_float16(v));
  const DeviceArray<Float16> a(values), b(values);
  const DeviceArray<float> c(16 * 16);
  matrix_product_f16(bug, a.data(), b.data(), c.data(), 16, 16, 32);
  return c.values();
}

std::function<bool(Bug)> right(std::vector<float> (*run)(Bug)) {
  return [run](Bug bug) { return same_as_correct(run, bug); };
}

std::vector<Case> cases() {
  const std::vector<Fault> race = {Fault::race, Fault::unwritten_read};
  return {
      {"NoBarrier", Bug::no_barrier, race, {}, true, right(run_product)},
      {"NoSecondBarrier", Bug::no_second_barrier, race, {}, true, right(run_product)},
      {"DivergentBarrier",
       Bug::divergent_barrier,
       {Fault::divergent_barrier},
       Fault::divergent_barrier,
       true,
       right(run_block_sum)},
      {"EarlyExit",
       Bug::early_exit,
       {Fault::divergent_barrier},
       Fault::divergent_barrier,
       true,
       right(run_block_sum)},
      {"NoAtomic", Bug::no_atomic, {Fault::race}, {}, false, right(run_block_sum)},
      {"PastTheEnd",
       Bug::past_the_end,
       {Fault::out_of_bounds},
       Fault::out_of_bounds,
       true,
       right(run_block_sum)},
      {"NoGridSync", Bug::no_grid_sync, race, {}, true, right(run_rnn)},
      {"NoWait", Bug::no_wait, race, {}, true, right(run_scale)},
      {"NoLastBarrier", Bug::no_last_barrier, race, {}, true, right(run_scale)},
      {"NeverWaited",
       Bug::never_waited,
       {Fault::async_copy},
       Fault::async_copy,
       true,
       right(run_scale)},
      {"MisalignedCopy",
       Bug::misaligned_copy,
       {Fault::async_copy},
       Fault::async_copy,
       true,
       right(run_scale)},
      {"NoWarpSync", Bug::no_warp_sync, race, {}, true, right(run_warp_sum)},
      {"OutsideMask",
       Bug::outside_mask,
       {Fault::divergent_collective},
       Fault::divergent_collective,
       true,
       right(run_warp_sum)},
      {"OtherMask",
       Bug::other_mask,
       {Fault::divergent_collective},
       Fault::divergent_collective,
       true,
       right(run_warp_sum)},
      {"MissingLane",
       Bug::missing_lane,
       {Fault::divergent_collective},
       Fault::divergent_collective,
       true,
       right(run_warp_sum)},
      {"BadStride",
       Bug::bad_stride,
       {Fault::misuse},
       Fault::misuse,
       true,
       right(run_matrix_product)},
  };
}

class Bugs : public testing::TestWithParam<Case> {};

TEST_P(Bugs, AreFoundInEveryOrder) {
  const Case& c = GetParam();
  for (unsigned seed = 1; seed <= 10; seed++) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    const WithOptions with({.seed = seed});
    std::optional<Fault> fault;
    bool sound = true;
    std::string what = "nothing";
    try {
      sound = c.right(c.bug);
    } catch (const sim::Failure& failure) {
      fault = failure.kind();
      what = failure.what();
    }
    if (sim::kernels_have_checks()) {
      ASSERT_TRUE(fault.has_value()) << "no report";
      EXPECT_NE(std::find(c.checked.begin(), c.checked.end(), *fault), c.checked.end()) << what;
    } else if (c.plain) {
      EXPECT_EQ(fault, c.plain) << what;
    } else if (c.plain_sees) {
      EXPECT_FALSE(sound);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Each, Bugs, testing::ValuesIn(cases()),
                         [](const auto& test) { return std::string(test.param.name); });

TEST(Bugs, WithoutOneResultsAreRight) {
  for (const Case& c : cases()) EXPECT_TRUE(c.right(Bug::none)) << c.name;
}

TEST(Bugs, RacesAreToldByFileAndLine) {
  if (!sim::kernels_have_checks()) GTEST_SKIP() << "kernels without checks";
  const DeviceArray<float> x(uniform(3000)), sum(std::vector<float>{0});
  block_sum(Bug::no_atomic, x.data(), sum.data(), 3000);
  expect_fault(Fault::race, "kernels.cu:");
}

TEST(Bugs, AFragmentsLayoutIsNotWhatOneGpuHas) {
  EXPECT_FALSE(same_as_correct(run_matrix_product, Bug::lane_map));
}

}  // namespace
}  // namespace unroll::sim_test
