// Recurrent runs that keep no gates, on the devices that are not the CPU: however a run is cut into
// segments, its sums have one order there too.
#include <gtest/gtest.h>

#include "core/error.h"
#include "tests/recurrent_options.h"
#include "tests/sweeps.h"

namespace unroll::testing {
namespace {

// x, h_0 and c_0, whose gradients are no sums over steps.
bool is_state(std::size_t i) { return i == 0 || i >= 5; }

Sweeps swept(StepsProblem p, bool recompute, Device device) {
  p.recompute = recompute;
  Tensors x;
  std::uint64_t seed = 1;
  for (const Shape& shape : operand_shapes(p))
    if (shape.rank() > 0) x.push_back(to(random_normal(shape, seed++, 0.6), device));
  Sweeps result = sweep([&] { return run_options(p, x); }, x, 3,
                        [&](Tensors& u, Tensors& v) {
                          for (Tensors* all : {&u, &v})
                            for (Tensor& t : *all) t = to(t, device);
                        });
  for (Tensors* all : {&result.out, &result.pulled, &result.pushed})
    for (Tensor& t : *all) t = to(t, Device::cpu());
  return result;
}

// Segments of four steps, the last of one; with lengths it has one row, and the first all.
void expect_same_bits(Device device) {
  if (!is_available(device)) GTEST_SKIP() << name(device) << " is " << why_unavailable(device);
  for (const Cell cell : {Cell::lstm, Cell::gru, Cell::tanh}) {
    for (const bool with_lengths : {false, true}) {
      SCOPED_TRACE(::testing::Message() << "cell " << int(cell) << ", lengths " << with_lengths);
      StepsProblem p{"", cell, 13, 5, 2, 20};
      if (with_lengths) p.lengths = {5, 13, 0, 4, 12};
      const Sweeps kept = swept(p, false, device), again = swept(p, true, device);
      for (std::size_t i = 0; i < kept.out.size(); i++) {
        EXPECT_TRUE(same_bits(again.out[i], kept.out[i])) << "output " << i;
        EXPECT_TRUE(same_bits(again.pushed[i], kept.pushed[i])) << "tangent " << i;
      }
      for (std::size_t i = 0; i < kept.pulled.size(); i++) {
        if (is_state(i))
          EXPECT_TRUE(same_bits(again.pulled[i], kept.pulled[i])) << "gradient " << i;
        else
          EXPECT_LE(difference(again.pulled[i], kept.pulled[i]), 2e-15) << "gradient " << i;
      }
    }
  }
}

TEST(RecomputeOnDevice, SimGivesTheSameBits) { expect_same_bits(Device::sim()); }
TEST(RecomputeOnDevice, CudaGivesTheSameBits) { expect_same_bits(Device::cuda()); }

}  // namespace
}  // namespace unroll::testing
