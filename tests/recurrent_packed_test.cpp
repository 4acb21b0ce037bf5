// Inference reuses packed weights between calls: it is never stale, costs nothing in the steady
// state and goes with the weights.
#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "autograd/ops.h"
#include "autograd/optimizers.h"
#include "autograd/parameters.h"
#include "autograd/tape.h"
#include "core/derived.h"
#include "core/memory.h"
#include "core/view.h"
#include "kernels/isa.h"
#include "models/layers.h"
#include "tests/testing.h"

namespace unroll::testing {
namespace {

const std::int64_t I = 3, H = 21;

template <class Layer>
struct Case {
  Parameters parameters;
  Layer layer{parameters, "rnn", I, H};
  Tensor x = cast_copy(random_normal({4, 2, I}, 2), Dtype::float32);
  Case() {
    Random random(1);
    layer.reset(random);
  }
  Tensor inferred() const { return layer(x).y; }
  // A recorded call packs for itself.
  Tensor expected() const {
    const Tape tape;
    return layer(x).y;
  }
  void expect_fresh(const char* what) const {
    EXPECT_TRUE(same_bits(inferred(), expected())) << what;
    EXPECT_TRUE(same_bits(inferred(), expected())) << what << ", again";
  }
  Tensor get(const char* name) const { return parameters.get(std::string("rnn.") + name); }
};

template <class Layer>
class RecurrentPacked : public ::testing::Test {};
using Layers = ::testing::Types<Rnn, Lstm, Gru>;
TYPED_TEST_SUITE(RecurrentPacked, Layers);

TYPED_TEST(RecurrentPacked, EveryChangeOfAParameterIsSeen) {
  Case<TypeParam> c;
  c.expect_fresh("first");
  for (const char* name : {"weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"}) {
    const Tensor before = c.inferred();
    Tensor w = c.get(name);
    w.template mutable_data<float>()[1] += 0.5f;
    EXPECT_GT(difference(c.inferred(), before), 1e-4) << name;
    c.expect_fresh(name);
  }
  Tensor w = c.get("weight_hh_l0");
  copy_into(w, cast_copy(random_normal(w.shape(), 7), Dtype::float32));
  c.expect_fresh("copy_into");
  fill(c.parameters.mutable_flat(), 0.1);
  c.expect_fresh("flat");
  Sgd optimizer(c.parameters, {.lr = 0.1});
  {
    Tape tape;
    c.parameters.zero_gradients();
    tape.backward(sum(square(c.layer(c.x).y)), c.parameters);
  }
  optimizer.step();
  c.expect_fresh("step");
  c.parameters.add("more", {1000});  // moves all
  c.expect_fresh("moved");
}

// Other sizes of the batch, and another instruction set.
TYPED_TEST(RecurrentPacked, ServesEveryBatch) {
  Case<TypeParam> c;
  const Isa best = isa();
  for (const Isa each : {Isa::base, best})
    for (const std::int64_t N : {1, 2, 5, 64, 1}) {
      use_isa(each);
      c.x = cast_copy(random_normal({3, N, I}, std::uint64_t(N)), Dtype::float32);
      c.expect_fresh("batch");
    }
  use_isa(best);
}

TYPED_TEST(RecurrentPacked, GoesWithTheParameters) {
  const std::int64_t before = memory::stats().live;
  {
    Case<TypeParam> c;
    const std::int64_t without = memory::stats().live;
    c.inferred();
    const std::int64_t with = memory::stats().live;
    EXPECT_GE(with - without, std::int64_t(H * (H + I) * sizeof(float)));
    for (int i = 0; i < 3; i++) c.inferred();
    EXPECT_EQ(memory::stats().live, with);
    fill(c.parameters.mutable_flat(), 0.1);
    c.inferred();
    EXPECT_EQ(memory::stats().live, with);
  }
  EXPECT_EQ(memory::stats().live, before);
}

// An address that somebody holds may be written through at any time.
TYPED_TEST(RecurrentPacked, WritesThroughLentMemoryAreSeen) {
  Case<TypeParam> c;
  c.inferred();
  Tensor lent = lend(c.parameters.flat());
  auto* const data = lent.template mutable_data<float>();
  for (int i = 0; i < 3; i++) {
    data[i] += 0.5f;
    c.expect_fresh("lent");
  }
  c.inferred();
  data[5] += 0.5f;
  lent = {};
  c.expect_fresh("no longer lent");
}

TYPED_TEST(RecurrentPacked, SeveralThreadsAtOnce) {
  for (int round = 0; round < 20; round++) {
    Case<TypeParam> c;
    const Tensor expected = c.expected();
    std::vector<int> same(4);
    std::vector<std::thread> threads;
    for (int& each : same)
      threads.emplace_back([&c, &each, &expected] {
        for (int i = 0; i < 5; i++) each += same_bits(c.inferred(), expected);
      });
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(same, std::vector<int>(4, 5));
  }
}

}  // namespace
}  // namespace unroll::testing
