// The largest number of a row and the sum of exponentials, for softmax and cross-entropy.
//
//   const RowSum<T> r = keep ? sum_kept<true>(group, x, kept, n) : sum_online(group, x, n);
//
// A NaN is no largest number, but makes the sum NaN; so does an infinite largest number.
#pragma once

#include <cmath>
#include <cstdint>

#include "cuda/rows.h"

namespace unroll::UNROLL_GPU {

template <class T>
__device__ T lowest() {
  return T(-__builtin_inf());
}

// The largest number and the sum of exp(x - largest).
template <class T>
struct RowSum {
  T largest, sum;
};

// exp(x - largest) stays in `kept`, or x - largest for the logarithm.
template <bool log, bool whole_block, class T>
__device__ RowSum<T> sum_kept(const RowGroup<whole_block>& group, const T* x, T* kept,
                              std::int64_t n) {
  T largest = lowest<T>();
  group.each(n, [&](std::int64_t i) { largest = Larger{}(largest, kept[i] = x[i]); });
  largest = group.reduce(largest, Larger{});
  T sum = T(0);
  group.each(n, [&](std::int64_t i) {
    const T shifted = kept[i] - largest, e = std::exp(shifted);
    kept[i] = log ? shifted : e;
    sum += e;
  });
  return {largest, group.reduce(sum, Add{})};
}

// The same in one pass, for rows that are not kept: the sum so far is scaled down whenever a larger
// number comes (Milakov, Gimelshein, "Online normalizer calculation for softmax", 2018).
template <bool whole_block, class T>
__device__ RowSum<T> sum_online(const RowGroup<whole_block>& group, const T* x, std::int64_t n) {
  T mine = lowest<T>(), sum = T(0);
  group.each(n, [&](std::int64_t i) {
    const T v = x[i];
    if (v > mine) {
      sum = sum * std::exp(mine - v) + T(1);
      mine = v;
    } else if (v != lowest<T>()) {
      sum += std::exp(v - mine);
    }
  });
  const T largest = group.reduce(mine, Larger{});
  // An infinite maximum makes the row NaN, as exp(largest - largest) does where rows are kept.
  const T total = group.reduce(sum * std::exp(mine - largest), Add{}) + (largest - largest);
  return {largest, total};
}

}  // namespace unroll::UNROLL_GPU
