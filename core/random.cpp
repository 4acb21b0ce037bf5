#include "core/random.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>
#include <utility>

#include "core/philox.h"

namespace unroll {
namespace {

double unit(std::uint64_t word) noexcept { return static_cast<double>(word >> 11) * 0x1p-53; }

// Truncated for float32: rounding to nearest could reach the excluded upper bound 1.
double unit(std::uint64_t word, Dtype dtype) noexcept {
  return dtype == Dtype::float32 ? static_cast<double>(word >> 40) * 0x1p-24 : unit(word);
}

double box_muller(std::array<std::uint64_t, 2> words) noexcept {
  const double radius = std::sqrt(-2 * std::log(1 - unit(words[0])));  // 1 - u is never 0
  return radius * std::cos(2 * std::numbers::pi * unit(words[1]));
}

__extension__ using Wide = unsigned __int128;  // not ISO C++, hence the keyword

std::int64_t in_range(std::uint64_t word, std::int64_t low, std::uint64_t range) noexcept {
  const auto high = static_cast<std::uint64_t>(static_cast<Wide>(word) * range >> 64);
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(low) + high);
}

}  // namespace

std::array<std::uint32_t, 4> philox(std::array<std::uint32_t, 4> c,
                                    std::array<std::uint32_t, 2> key) noexcept {
  std::uint64_t words[4] = {c[0], c[1], c[2], c[3]};
  philox_rounds(words, key[0], key[1]);
  for (std::size_t i = 0; i < 4; i++) c[i] = static_cast<std::uint32_t>(words[i]);
  return c;
}

PhiloxBlock philox_block(std::uint64_t seed, std::uint64_t stream, std::uint64_t counter) noexcept {
  const auto low = [](std::uint64_t v) { return static_cast<std::uint32_t>(v); };
  const auto high = [](std::uint64_t v) { return static_cast<std::uint32_t>(v >> 32); };
  const auto bits =
      philox({low(counter), high(counter), low(stream), high(stream)}, {low(seed), high(seed)});
  return {{bits[0], bits[1], bits[2], bits[3]}};
}

std::array<std::uint64_t, 2> Random::words(std::uint64_t counter) const noexcept {
  const PhiloxBlock block = philox_block(seed_, stream_, counter);
  const std::uint32_t* bits = block.word;
  return {std::uint64_t{bits[1]} << 32 | bits[0], std::uint64_t{bits[3]} << 32 | bits[2]};
}

double uniform_at(std::uint64_t seed, std::uint64_t stream, std::uint64_t counter) noexcept {
  const PhiloxBlock block = philox_block(seed, stream, counter);
  return unit(std::uint64_t{block.word[1]} << 32 | block.word[0]);
}

template <class F>
Tensor Random::draw(const Shape& shape, Dtype dtype, Device device, F value) {
  Tensor x = empty(shape, dtype);
  const std::int64_t count = x.numel();
  const std::uint64_t base = counter_;
  counter_ += static_cast<std::uint64_t>(count);
  with_dtype(dtype, [&](auto type) {
    using T = decltype(type);
    T* out = x.mutable_data<T>();
#pragma omp parallel for if (count > 16384)
    for (std::int64_t i = 0; i < count; i++)
      out[i] = static_cast<T>(value(words(base + static_cast<std::uint64_t>(i))));
  });
  return on_device(x, device);
}

Tensor Random::uniform(const Shape& shape, double low, double high, Dtype dtype, Device device) {
  if (!(low <= high) || !std::isfinite(high - low))
    fail("uniform", "[" + std::to_string(low) + "," + std::to_string(high) + ") is no interval");
  if (!is_real(dtype)) fail("uniform", "dtype must be float32 or float64");
  // Rounding, of the sum or to float32, can reach the excluded bound: then the number below it.
  const bool narrow = dtype == Dtype::float32;
  const auto below = [=](auto bound) {
    return bound < high ? bound : std::nextafter(bound, static_cast<decltype(bound)>(low));
  };
  const double largest = narrow ? below(static_cast<float>(high)) : below(high);
  return draw(shape, dtype, device, [=](std::array<std::uint64_t, 2> w) {
    const double value = low + (high - low) * unit(w[0], dtype);
    return std::min(narrow ? static_cast<float>(value) : value, largest);
  });
}

Tensor Random::normal(const Shape& shape, double mean, double sd, Dtype dtype, Device device) {
  if (!(sd >= 0)) fail("normal", "standard deviation " + std::to_string(sd) + " is negative");
  if (!is_real(dtype)) fail("normal", "dtype must be float32 or float64");
  return draw(shape, dtype, device,
              [=](std::array<std::uint64_t, 2> w) { return mean + sd * box_muller(w); });
}

Tensor Random::integers(const Shape& shape, std::int64_t low, std::int64_t high, Device device) {
  if (low >= high)
    fail("integers", std::to_string(low) + ".." + std::to_string(high) + " is an empty range");
  const std::uint64_t range = static_cast<std::uint64_t>(high) - static_cast<std::uint64_t>(low);
  return draw(shape, Dtype::int64, device,
              [=](std::array<std::uint64_t, 2> w) { return in_range(w[0], low, range); });
}

Tensor Random::permutation(std::int64_t n) {
  Tensor x = arange(n);
  std::int64_t* order = x.mutable_data<std::int64_t>();
  for (std::int64_t i = n - 1; i > 0; i--) std::swap(order[i], order[integer(0, i + 1)]);
  return x;
}

double Random::uniform() { return unit(words(counter_++)[0]); }
double Random::normal() { return box_muller(words(counter_++)); }

std::int64_t Random::integer(std::int64_t low, std::int64_t high) {
  if (low >= high)
    fail("integer", std::to_string(low) + ".." + std::to_string(high) + " is an empty range");
  return in_range(words(counter_++)[0], low,
                  static_cast<std::uint64_t>(high) - static_cast<std::uint64_t>(low));
}

}  // namespace unroll
