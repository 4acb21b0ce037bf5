// After three warm-up steps of a fixed shape, a hundred training steps make no call of malloc,
// operator new or mmap. This executable interposes them; not under sanitizers, which do so too.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <new>

#include "autograd/ops.h"
#include "autograd/optimizers.h"
#include "autograd/tape.h"
#include "autograd/transforms.h"
#include "core/random.h"
#include "models/trainer.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define UNROLL_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define UNROLL_SANITIZED 1
#endif
#endif

#if defined(UNROLL_SANITIZED) || !defined(__GLIBC__)

TEST(Allocation, SteadyTrainingMakesNoCall) {
  GTEST_SKIP() << "malloc cannot be interposed under a sanitizer or without glibc";
}

#else

namespace {
std::atomic<bool> counting{false};
std::atomic<long> calls{0};
void count() {
  if (counting.load(std::memory_order_relaxed)) calls.fetch_add(1, std::memory_order_relaxed);
}
}  // namespace

extern "C" {

void* __libc_malloc(std::size_t);
void* __libc_calloc(std::size_t, std::size_t);
void* __libc_realloc(void*, std::size_t);
void* __libc_memalign(std::size_t, std::size_t);

void* malloc(std::size_t size) {
  count();
  return __libc_malloc(size);
}
void* calloc(std::size_t n, std::size_t size) {
  count();
  return __libc_calloc(n, size);
}
void* realloc(void* old, std::size_t size) {
  count();
  return __libc_realloc(old, size);
}
void* memalign(std::size_t alignment, std::size_t size) {
  count();
  return __libc_memalign(alignment, size);
}
void* aligned_alloc(std::size_t alignment, std::size_t size) {
  count();
  return __libc_memalign(alignment, size);
}
int posix_memalign(void** to, std::size_t alignment, std::size_t size) {
  count();
  *to = __libc_memalign(alignment, size);
  return *to ? 0 : ENOMEM;
}
void* mmap(void* at, std::size_t size, int protection, int flags, int file, off_t offset) noexcept {
  count();
  return reinterpret_cast<void*>(syscall(SYS_mmap, at, size, protection, flags, file, offset));
}

}  // extern "C"

// Not inlined, or the compiler takes the pair for a mismatch.
[[gnu::noinline]] void* operator new(std::size_t size) {
  if (void* p = malloc(size ? size : 1)) return p;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* p) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p, std::size_t) noexcept { std::free(p); }

namespace unroll {
namespace {

template <class F>
long calls_of_a_hundred(F step) {
  for (int i = 0; i < 3; i++) step();
  calls = 0;
  counting = true;
  for (int i = 0; i < 100; i++) step();
  counting = false;
  return calls;
}

TEST(Allocation, TheCountersCount) {
  calls = 0;
  counting = true;
  void* volatile a = std::malloc(10);
  int* volatile b = new int(3);
  void* volatile c = std::aligned_alloc(64, 64);
  void* volatile d = mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  counting = false;
  EXPECT_EQ(calls, 4);
  std::free(a);
  delete b;
  std::free(c);
  munmap(d, 4096);
}

TEST(Allocation, OpsAndOptimiser) {
  Parameters parameters;
  Tensor w1 = parameters.add("w1", {32, 10}), b1 = parameters.add("b1", {32}),
         w2 = parameters.add("w2", {10, 32});
  Random random(1);
  copy_into(parameters.mutable_flat(), random.normal({parameters.size()}, 0, 0.2));
  const Tensor x = random.normal({17, 10});
  Adam adam(parameters);
  EXPECT_EQ(calls_of_a_hundred([&] {
              parameters.zero_gradients();
              {
                Tape tape;
                const Tensor h = recompute([x, w1, b1] { return tanh(linear(x, w1, b1)); });
                const Tensor y = softmax(matmul(h, transpose(w2, 0, 1)), -1);
                const Tensor parts = cat({slice(y, -1, 0, 5), flip(slice(y, -1, 5, 10), -1)}, -1);
                tape.backward(mse_loss(parts, x) + sum(square(w1)) * 1e-4, parameters);
              }
              clip_norm(parameters, 1.0);
              adam.step();
            }),
            0);
}

TEST(Allocation, SweepsInBothDirections) {
  const Tensor w = Random(1).normal({8, 8}), x = Random(2).normal({4, 8});
  EXPECT_EQ(calls_of_a_hundred([&] {
              Tape outer;
              const Tensor slope =
                  gradient([&](const Tensor& t) { return sum(tanh(matmul(t, w))); }, x);
              outer.push({x}, {x}, slope);
              outer.pull(slope, x, {x, w});
            }),
            0);
}

class AllocationOfModels : public ::testing::TestWithParam<std::pair<ModelKind, Cell>> {};

TEST_P(AllocationOfModels, SteadyTrainingMakesNoCall) {
  for (const bool ragged : {false, true}) {
    Parameters parameters;
    const auto [kind, cell] = GetParam();
    Reconstruction model(parameters, {.kind = kind, .cell = cell, .inputs = 2, .hidden = 16});
    Random random(1);
    model.reset(random);
    Batch batch{random.normal({12, 8, 2}), {}};
    if (ragged) batch.lengths = Lengths{12, 12, 9, 7, 7, 3, 1, 5};
    Adam adam(parameters);
    EXPECT_EQ(calls_of_a_hundred([&] { train_step(model, parameters, adam, batch, 1e-3, 1.0); }), 0)
        << (ragged ? "ragged" : "full");
  }
}

INSTANTIATE_TEST_SUITE_P(, AllocationOfModels,
                         ::testing::Values(std::pair{ModelKind::autoencoder_last, Cell::tanh},
                                           std::pair{ModelKind::autoencoder, Cell::tanh},
                                           std::pair{ModelKind::autoencoder_all, Cell::relu},
                                           std::pair{ModelKind::decoder, Cell::lstm},
                                           std::pair{ModelKind::decoder_repeat, Cell::gru},
                                           std::pair{ModelKind::decoder_reversed, Cell::lstm},
                                           std::pair{ModelKind::attention, Cell::lstm}),
                         [](const auto& row) {
                           std::string text =
                               std::string(name(row.param.first)) + "_" + name(row.param.second);
                           for (char& c : text)
                             if (c == '-') c = '_';
                           return text;
                         });

}  // namespace
}  // namespace unroll

#endif
