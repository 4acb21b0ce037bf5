// Helpers of the kernel tests: operands, and running a check for every instruction set and number
// of threads.
//
//   for_each_isa([] { EXPECT_EQ(...); });
//   for_each_thread_count([&](int threads) { run(...); });
//
// Header only; used from the test binary's main thread.
#pragma once

#include <gtest/gtest.h>
#ifdef _OPENMP
#include <omp.h>
#endif

#include <cmath>
#include <cstdint>
#include <cstring>
#include <random>
#include <vector>

#include "kernels/isa.h"
#include "kernels/strided.h"

namespace unroll::testing {

/// Runs body under each instruction set that this machine has, and puts the old one back.
template <class Body>
void for_each_isa(Body body) {
  const Isa before = isa();
  for (const Isa each : {Isa::base, Isa::avx2, Isa::avx512}) {
    if (!isa_available(each)) continue;
    SCOPED_TRACE(isa_name(each));
    use_isa(each);
    body();
  }
  use_isa(before);
}

/// Runs body(threads) with 1, 2 and 3 threads, and puts the old number back.
template <class Body>
void for_each_thread_count(Body body) {
#ifdef _OPENMP
  const int before = omp_get_max_threads();
  for (int threads = 1; threads <= 3; threads++) {
    SCOPED_TRACE(::testing::Message() << threads << " threads");
    omp_set_num_threads(threads);
    body(threads);
  }
  omp_set_num_threads(before);
#else
  body(1);
#endif
}

/// n normal numbers, the same for each seed.
template <class T>
std::vector<T> normals(std::int64_t n, unsigned seed) {
  std::mt19937 engine(seed);
  std::normal_distribution<double> normal;
  std::vector<T> x(static_cast<std::size_t>(n));
  for (T& value : x) value = T(normal(engine));
  return x;
}

/// 64-byte aligned scratch filled with NaN, so that nothing can lean on what it held.
class Scratch {
 public:
  explicit Scratch(std::size_t bytes) : buffer_(bytes + 64, char(0xff)) {}
  void* get() {
    const auto address = reinterpret_cast<std::uintptr_t>(buffer_.data());
    return buffer_.data() + (64 - address % 64) % 64;
  }

 private:
  std::vector<char> buffer_;
};

/// Whether two vectors hold the same bits (so NaN equals NaN, and 0 differs from -0).
template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() &&
         (a.empty() || !std::memcmp(a.data(), b.data(), a.size() * sizeof(T)));
}

/// A flat space of n elements for `operands` dense operands.
inline Strided flat(std::int64_t n, int operands) {
  Strided s{};
  s.rank = 1;
  s.size[0] = n;
  for (int k = 0; k < operands; k++) s.stride[k][0] = 1;
  return s;
}

/// A space over `sizes` with the dense output and no input strides yet.
inline Strided dense_space(const std::vector<std::int64_t>& sizes) {
  Strided s{};
  s.rank = int(sizes.size());
  std::int64_t stride = 1;
  for (int d = s.rank - 1; d >= 0; d--) {
    s.size[d] = sizes[std::size_t(d)];
    s.stride[0][d] = stride;
    stride *= s.size[d];
  }
  return s;
}

/// Offsets of operand k in the order of iteration.
inline std::vector<std::int64_t> offsets(const Strided& s, int k) {
  std::vector<std::int64_t> all{0};
  for (int d = 0; d < s.rank; d++) {
    std::vector<std::int64_t> next;
    for (const std::int64_t base : all) {
      for (std::int64_t i = 0; i < s.size[d]; i++) next.push_back(base + i * s.stride[k][d]);
    }
    all = next;
  }
  return all;
}

inline constexpr double nan = std::numeric_limits<double>::quiet_NaN();
inline constexpr double infinity = std::numeric_limits<double>::infinity();

}  // namespace unroll::testing
