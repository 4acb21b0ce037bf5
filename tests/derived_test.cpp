// Values kept with the tensors that they were made of.
#include "core/derived.h"

#include <gtest/gtest.h>

#include "autograd/parameters.h"
#include "core/blob.h"
#include "core/memory.h"
#include "core/view.h"
#include "tests/testing.h"

namespace unroll::testing {
namespace {

const std::array<std::int64_t, Derivation::numbers> kind{1, 2, 3, 4, 5};

Derivation of(const Tensor& a, const Tensor& b) {
  static const Tensor none;
  return Derivation({&a, &b, &none, &none}, kind);
}

TEST(Derived, IsFoundUntilATensorChanges) {
  Tensor a = ones({3}), b = ones({2});
  const Tensor value = ones({5});
  EXPECT_FALSE(of(a, b).found());
  of(a, b).keep(value);
  EXPECT_EQ(of(a, b).found().id(), value.id());
  for (Tensor* x : {&a, &b}) {
    x->mutable_data<float>()[0] = 2;
    EXPECT_FALSE(of(a, b).found());
    of(a, b).keep(value);
    EXPECT_TRUE(of(a, b).found());
  }
  const Tensor none;
  EXPECT_FALSE(Derivation({&a, &b, &none, &none}, {1, 2, 3, 4, 6}).found());
  EXPECT_FALSE(of(a, none).found());
  EXPECT_FALSE(of(b, a).found());
  EXPECT_FALSE(of(a, view::slice(b, 0, 1, 2)).found());
}

// A tensor that is made at the place of a dead one is another.
TEST(Derived, AnAddressThatComesBackIsAnother) {
  const Tensor a = ones({3}), value = ones({5});
  for (int i = 0; i < 10; i++) {
    const Tensor b = ones({2});
    EXPECT_FALSE(of(a, b).found());
    of(a, b).keep(value);
  }
}

// Several of one storage stay; beyond 64 the oldest goes. All go with the storage.
TEST(Derived, IsBoundedAndFreed) {
  const std::int64_t before = memory::stats().live;
  std::int64_t full = 0;
  {
    const Tensor flat = ones({100});
    const auto part = [&](int i) { return view::slice(flat, 0, i, i + 1); };
    for (int i = 0; i < 100; i++) {
      of(part(i), Tensor()).keep(zeros({1000}));
      EXPECT_TRUE(of(part(i), Tensor()).found());
      if (i == 63) full = memory::stats().live;
    }
    EXPECT_EQ(memory::stats().live, full);
    EXPECT_FALSE(of(part(0), Tensor()).found());
    EXPECT_TRUE(of(part(40), Tensor()).found());
  }
  EXPECT_EQ(memory::stats().live, before);
}

// Others made anew for every call leave nothing behind.
TEST(Derived, OnlyTheLastOfAFirstTensorIsKept) {
  const Tensor a = ones({3});
  std::int64_t kept = 0;
  for (int call = 0; call < 10; call++) {
    const Tensor fresh = ones({3});
    of(a, fresh).keep(ones({1000}));
    EXPECT_TRUE(of(a, fresh).found());
    if (call == 0) kept = memory::stats().live;
    EXPECT_EQ(memory::stats().live, kept);
  }
}

TEST(Derived, AChangeWhileItWasMadeIsNotKept) {
  Tensor a = ones({3});
  const Derivation from = of(a, a);
  fill(a, 2);
  from.keep(a);
  EXPECT_FALSE(of(a, a).found());
}

// Somebody writes without a word: nothing is found while he may, nor what was kept before.
TEST(Derived, NothingIsKeptOfLentMemory) {
  const Tensor a = ones({3}), b = ones({3}), value = ones({5});
  of(a, b).keep(value);
  for (const Tensor* x : {&a, &b}) {
    EXPECT_TRUE(of(a, b).found());
    {
      Tensor lent = lend(*x);
      EXPECT_TRUE(lent.shares_storage(*x));
      EXPECT_NE(lent.id(), x->id());
      EXPECT_FALSE(of(a, b).can_keep());
      of(a, b).keep(value);
      EXPECT_FALSE(of(a, b).found());
    }
    EXPECT_FALSE(of(a, b).found());
    of(a, b).keep(value);
  }
  float numbers[] = {1, 2, 3};
  const Tensor blob = from_blob(numbers, {3}, {}, Dtype::float32);
  EXPECT_FALSE(of(blob, a).can_keep());
  EXPECT_FALSE(of(a, blob).can_keep());
  EXPECT_TRUE(lend(blob).shares_storage(blob));
}

}  // namespace
}  // namespace unroll::testing
