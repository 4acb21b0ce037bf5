// Tensors on other devices than the CPU: their memory, what moves them, and ops whose kernels run
// there. With the simulator where it is built in; a GPU where there is one.
#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "autograd/gradcheck.h"
#include "autograd/ops.h"
#include "autograd/optimizers.h"
#include "autograd/parameters.h"
#include "autograd/tape.h"
#include "core/device_memory.h"
#include "core/lengths.h"
#include "core/random.h"
#include "core/view.h"
#include "tests/testing.h"

namespace unroll::testing {
namespace {

// The devices that are not the CPU; gtest takes an empty list for a mistake.
std::vector<Device> others() {
  std::vector<Device> all = available_devices();
  all.erase(all.begin());
  return all;
}

class OnDevice : public ::testing::TestWithParam<Device> {
 protected:
  Device device() const { return GetParam(); }
};
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(OnDevice);
INSTANTIATE_TEST_SUITE_P(, OnDevice, ::testing::ValuesIn(others()), [](const auto& at) {
  std::string text = name(at.param);
  std::erase(text, ':');
  return text;
});

TEST(Devices, HaveNamesThatAreRead) {
  for (const char* text : {"cpu", "sim", "cuda:0", "cuda:7"})
    EXPECT_EQ(name(device_of("test", text)), text);
  EXPECT_EQ(device_of("test", "cuda"), Device::cuda(0));
  for (const char* text : {"", "gpu", "cuda:", "cuda:x", "cuda:-1", "cuda:1000", "cuda:1 "})
    EXPECT_ERROR(device_of("test", text), "test", "is no device", "cpu");
}

TEST(Devices, ThatCannotBeUsedSayWhy) {
  EXPECT_TRUE(is_available(Device::cpu()));
  EXPECT_EQ(why_unavailable(Device::cpu()), "");
  EXPECT_EQ(available_devices()[0], Device::cpu());
  for (const Device device : {Device::cuda(100), Device::cuda(-1)}) {
    EXPECT_FALSE(is_available(device));
    EXPECT_NE(why_unavailable(device), "");
    EXPECT_ERROR(zeros({2}, Dtype::float32, device), name(device));
    EXPECT_ERROR(to(zeros({2}), device), "to", name(device));
    EXPECT_ERROR(synchronize(device), name(device));
  }
}

TEST_P(OnDevice, TensorsOfEveryTypeComeBack) {
  for (const Dtype dtype : {Dtype::float32, Dtype::float64, Dtype::int64, Dtype::boolean,
                            Dtype::float16, Dtype::bfloat16}) {
    const Tensor x = arange(24, dtype, 0, 1), there = on_device(x, device());
    EXPECT_EQ(there.device(), device());
    EXPECT_TRUE(same_bits(on_device(there, Device::cpu()), x)) << name(dtype);
    EXPECT_EQ(to_vector<double>(there), to_vector<double>(x));
    EXPECT_EQ(there.item({3}), x.item({3}));
    EXPECT_EQ(to_string(there), to_string(x));
    EXPECT_EQ(to_vector<double>(full({2, 3}, 1, dtype, device())), std::vector<double>(6, 1));
    EXPECT_EQ(to_vector<double>(zeros({5}, dtype, device())), std::vector<double>(5, 0));
    EXPECT_EQ(to_vector<double>(cast_copy(there, Dtype::float64)), to_vector<double>(x));
  }
  EXPECT_EQ(to_vector<double>(eye(3, Dtype::float64, device())),
            to_vector<double>(eye(3, Dtype::float64)));
  EXPECT_EQ(from_values<float>({1, 2, 3}, {3}, device()).item({2}), 3);
  EXPECT_EQ(scalar(4, Dtype::float64, device()).item(), 4);
}

TEST_P(OnDevice, EmptyTensorsNeedNoMemory) {
  const Tensor x = zeros({3, 0}, Dtype::float32, device());
  EXPECT_EQ(x.raw_data(), nullptr);
  EXPECT_EQ(to_vector<float>(add(x, x)), std::vector<float>{});
  EXPECT_EQ(on_device(x, Device::cpu()).shape(), (Shape{3, 0}));
}

TEST_P(OnDevice, ViewsAreCopiedByTheirStrides) {
  const Tensor x = arange(2 * 37 * 45, Dtype::float32), there = on_device(x, device());
  const auto views = [](const Tensor& flat) {
    const Tensor t = view::reshape(flat, {2, 37, 45});
    return std::vector<Tensor>{view::transpose(t, 1, 2), view::slice(t, 2, 1, 45, 3),
                               view::permute(t, {2, 0, 1}), view::slice(t, 1, 3, 20),
                               view::expand(view::slice(t, 1, 4, 5), {2, 6, 45})};
  };
  const auto here = views(x), away = views(there);
  for (std::size_t i = 0; i < here.size(); i++) {
    EXPECT_EQ(to_vector<float>(away[i]), to_vector<float>(here[i])) << i;
    EXPECT_EQ(to_vector<float>(contiguous(away[i])), to_vector<float>(here[i])) << i;
  }
}

TEST_P(OnDevice, CopyIntoCrossesDevicesAndStrides) {
  const Tensor x = arange(12, Dtype::float64);
  Tensor there = zeros({3, 8}, Dtype::float64, device()), here = zeros({3, 8}, Dtype::float64);
  for (Tensor* target : {&there, &here}) {
    Tensor odd = view::slice(*target, 1, 1, 8, 2);
    copy_into(odd, view::reshape(x, {3, 4}));
  }
  EXPECT_TRUE(same_bits(on_device(there, Device::cpu()), here));
  Tensor back = zeros({3, 8}, Dtype::float64);
  copy_into(back, there);
  EXPECT_TRUE(same_bits(back, here));
  Tensor column = view::slice(there, 1, 2, 3);
  fill(column, 7);
  EXPECT_EQ(there.item({1, 2}), 7);
  EXPECT_EQ(there.item({1, 3}), here.item({1, 3}));
}

TEST_P(OnDevice, RandomBitsAreEqual) {
  Random a(3), b(3);
  EXPECT_TRUE(same_bits(on_device(b.normal({7}, 0, 1, Dtype::float64, device()), Device::cpu()),
                        a.normal({7}, 0, 1, Dtype::float64)));
}

TEST_P(OnDevice, DevicesDoNotMix) {
  const Tensor here = ones({2}), there = ones({2}, Dtype::float32, device());
  EXPECT_ERROR(add(here, there), "add", name(device()), "cpu");
}

TEST_P(OnDevice, MovingIsDifferentiable) {
  const Tensor x = arange(3, Dtype::float64, 1);
  Tape tape;
  const Tensor y = square(to(x, device()));
  const Tensor u = arange(3, Dtype::float64, 2), there = on_device(u, device());
  const Tensor g = tape.pull(y, there, {x})[0], v = tape.push({x}, {u}, y);
  EXPECT_EQ(g.device(), Device::cpu());
  EXPECT_EQ(to_vector<double>(g), (std::vector<double>{4, 12, 24}));
  EXPECT_EQ(v.device(), device());
  EXPECT_EQ(to_vector<double>(v), (std::vector<double>{4, 12, 24}));
}

TEST_P(OnDevice, SecondDerivativesCrossToo) {
  const Tensor x = from_values<double>({0.3, -0.2}, {2});
  Tape outer;
  Tensor g;
  {
    Tape inner;
    const Tensor y = mul(square(to(x, device())), to(x, device()));
    g = inner.pull(y, ones({2}, Dtype::float64, device()), {x})[0];
  }
  const Tensor second = outer.pull(g, ones({2}, Dtype::float64), {x})[0];
  EXPECT_NEAR(second.item({0}), 6 * 0.3, 1e-15);
  EXPECT_NEAR(second.item({1}), 6 * -0.2, 1e-15);
}

TEST_P(OnDevice, LengthsAreUploadedOnce) {
  const Lengths lengths{2, 0, 3}, copy = lengths;
  EXPECT_EQ(lengths.view("test", 3, 3).on_device, nullptr);
  const LengthsView view = lengths.view("test", 3, 3, device());
  EXPECT_EQ(view.length[0], 2);
  EXPECT_EQ(copy.view("test", 4, 3, device()).on_device, view.on_device);
  std::vector<std::int64_t> all(9);
  device_memory::download(device(), all.data(), view.on_device, 9 * sizeof(std::int64_t));
  EXPECT_EQ(all, (std::vector<std::int64_t>{2, 0, 3, 2, 0, 1, 2, 2, 1}));
  EXPECT_EQ(Lengths{}.view("test", 3, 3, device()).on_device, nullptr);
}

TEST_P(OnDevice, ParametersMoveWithTheirHandles) {
  Parameters p(Dtype::float64);
  Tensor w = p.add("w", {2}), b = p.add("b", {1});
  fill(w, 3);
  fill(b, 4);
  p.move_to(device());
  EXPECT_EQ(w.device(), device());
  EXPECT_EQ(p.gradients().device(), device());
  EXPECT_EQ(to_vector<double>(p.flat()), (std::vector<double>{3, 3, 4}));
  EXPECT_TRUE(w.shares_storage(p.flat()));
  p.add("c", {2});
  EXPECT_EQ(p.flat().device(), device());
  {
    Tape tape;
    tape.backward(mul(select(w, 0, 1), 5.0), p);
  }
  EXPECT_EQ(to_vector<double>(p.gradients()), (std::vector<double>{0, 5, 0, 0, 0}));
  p.move_to(Device::cpu());
  EXPECT_EQ(w.data<double>()[1], 3);
  EXPECT_EQ(b.item(), 4);
}

TEST_P(OnDevice, ScopesOfStreamsAreInOrder) {
  Tensor x = full({1000}, 1, Dtype::float64, device());
  for (int i = 0; i < 3; i++) {
    const StreamScope scope(device());
    x = add(x, x);
    {
      const StreamScope inner(device());
      x = mul(x, 3.0);
    }
  }
  EXPECT_EQ(to_vector<double>(x), std::vector<double>(1000, 216));
}

TEST_P(OnDevice, ThreadsWorkSideBySide) {
  std::vector<double> sums(3);
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < sums.size(); i++)
    threads.emplace_back([&, i] {
      const StreamScope scope(device());
      Tensor x = full({257}, static_cast<double>(i), Dtype::float64, device());
      for (int step = 0; step < 5; step++) x = add(x, ones({257}, Dtype::float64, device()));
      sums[i] = x.item({256});
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(sums, (std::vector<double>{5, 6, 7}));
}

}  // namespace
}  // namespace unroll::testing
