// Problems for the attention kernels, and the definition of attention for them, in double.
//
//   for (const Case& c : cases) {
//     const Inputs<double> in(c, 1, seed);                 // one direction
//     const std::vector<double> want = reference(c, in);   // the outputs, then the weights
//   }
#pragma once

#include <array>

#include "core/random.h"
#include "kernels/attention.h"
#include "tests/kernel_testing.h"

namespace unroll::testing::attention {

using Lengths64 = std::vector<std::int64_t>;

struct Case {
  std::int64_t B, Hq, Hk, Tq, Tk, D, Dv;
  Lengths64 key_lengths = {}, query_lengths = {};
  double scale = 1;
  bool causal = false, attend = false, bias = false, additive = false;
  double drop = 0;
};
// Tiles are 32 double or 64 float wide: sizes lie below, at and beyond one, two and three of them.
inline const Case cases[] = {
    {.B = 1, .Hq = 1, .Hk = 1, .Tq = 1, .Tk = 1, .D = 1, .Dv = 1},
    {.B = 2, .Hq = 1, .Hk = 1, .Tq = 3, .Tk = 5, .D = 4, .Dv = 4, .scale = 0.5},
    {.B = 4, .Hq = 2, .Hk = 1, .Tq = 4, .Tk = 7, .D = 5, .Dv = 3, .key_lengths = {7, 0, 1, 4}},
    {.B = 3,
     .Hq = 4,
     .Hk = 2,
     .Tq = 6,
     .Tk = 9,
     .D = 8,
     .Dv = 17,
     .key_lengths = {2, 9, 5},
     .query_lengths = {6, 0, 3},
     .scale = 0.3,
     .causal = true},
    {.B = 1, .Hq = 2, .Hk = 2, .Tq = 64, .Tk = 64, .D = 16, .Dv = 8, .scale = 0.25, .causal = true},
    {.B = 1, .Hq = 2, .Hk = 1, .Tq = 70, .Tk = 150, .D = 20, .Dv = 9, .scale = 0.2, .attend = true},
    {.B = 2,
     .Hq = 1,
     .Hk = 1,
     .Tq = 150,
     .Tk = 70,
     .D = 7,
     .Dv = 33,
     .key_lengths = {70, 65},
     .query_lengths = {129, 150},
     .scale = 0.3,
     .causal = true,
     .attend = true,
     .bias = true},
    {.B = 2,
     .Hq = 2,
     .Hk = 1,
     .Tq = 40,
     .Tk = 67,
     .D = 6,
     .Dv = 5,
     .scale = 0.4,
     .bias = true,
     .drop = 0.3},
    {.B = 2,
     .Hq = 2,
     .Hk = 1,
     .Tq = 5,
     .Tk = 70,
     .D = 18,
     .Dv = 5,
     .key_lengths = {70, 3},
     .scale = 0.4,
     .bias = true,
     .additive = true},
    {.B = 1,
     .Hq = 1,
     .Hk = 1,
     .Tq = 70,
     .Tk = 33,
     .D = 3,
     .Dv = 2,
     .causal = true,
     .additive = true,
     .drop = 0.5},
    {.B = 2, .Hq = 1, .Hk = 1, .Tq = 2, .Tk = 0, .D = 3, .Dv = 3},
    {.B = 2, .Hq = 1, .Hk = 1, .Tq = 0, .Tk = 2, .D = 3, .Dv = 3},
};

inline constexpr std::int64_t K = 3;  // directions

// The bias is [1,Hq,1,Tk] where the case has an odd number of keys, else [B,1,Tq,1].
inline bool over_keys(const Case& c) { return c.Tk % 2 == 1; }
inline std::int64_t bias_size(const Case& c) { return over_keys(c) ? c.Hq * c.Tk : c.B * c.Tq; }

inline AttentionShape shape_of(const Case& c, std::int64_t directions = K) {
  AttentionShape s{.batch = c.B,
                   .heads = c.Hq,
                   .key_heads = c.Hk,
                   .queries = c.Tq,
                   .keys = c.Tk,
                   .key_size = c.D,
                   .value_size = c.Dv,
                   .score = c.additive ? AttentionScore::additive : AttentionScore::dot,
                   .scale = c.scale,
                   .causal = c.causal,
                   .key_lengths = c.key_lengths.empty() ? nullptr : c.key_lengths.data(),
                   .query_lengths = c.query_lengths.empty() ? nullptr : c.query_lengths.data(),
                   .bias_size = bias_size(c),
                   .drop = c.drop,
                   .seed = 5,
                   .stream = 1,
                   .counter = 11,
                   .directions = directions};
  const std::int64_t attend[4] = {0, 0, c.Tk, 1};  // [1,1,Tq,Tk]
  for (int i = 0; i < 4; i++) {
    s.attend_stride[i] = attend[i];
    const std::int64_t keys[4] = {0, c.Tk, 0, 1}, queries[4] = {c.Tq, 0, 1, 0};
    s.bias_stride[i] = s.dbias_stride[i] = over_keys(c) ? keys[i] : queries[i];
  }
  return s;
}

// [directions,B,heads,times,size], NaN beyond each sequence's length.
template <class T>
std::vector<T> series(const Case& c, std::int64_t directions, std::int64_t heads,
                      std::int64_t times, std::int64_t size, const Lengths64& lengths,
                      unsigned seed) {
  std::vector<T> x = normals<T>(directions * c.B * heads * times * size, seed);
  for (std::size_t i = 0; i < x.size() && !lengths.empty(); i++) {
    const std::int64_t row = std::int64_t(i) / size, b = row / (times * heads) % c.B;
    if (row % times >= lengths[std::size_t(b)]) x[i] = T(nan);
  }
  return x;
}

template <class T>
struct Inputs {
  std::vector<T> q, k, v, vector, bias;
  Inputs(const Case& c, std::int64_t directions, unsigned seed)
      : q(series<T>(c, directions, c.Hq, c.Tq, c.D, c.query_lengths, seed)),
        k(series<T>(c, directions, c.Hk, c.Tk, c.D, c.key_lengths, seed + 1)),
        v(series<T>(c, directions, c.Hk, c.Tk, c.Dv, c.key_lengths, seed + 2)),
        vector(normals<T>(directions * c.D, seed + 3)),
        bias(normals<T>(directions * bias_size(c), seed + 4)) {}

  auto all() { return std::array{&q, &k, &v, &vector, &bias}; }
  auto all() const { return std::array{&q, &k, &v, &vector, &bias}; }
};

// Row 2 may attend to nothing, the others to two keys of three.
inline bool may_attend(std::int64_t i, std::int64_t j) { return i != 2 && (i + j) % 3 != 0; }

inline std::vector<char> attend_mask(const Case& c) {
  std::vector<char> mask;
  for (std::int64_t i = 0; i < c.Tq; i++)
    for (std::int64_t j = 0; j < c.Tk; j++) mask.push_back(char(may_attend(i, j)));
  return mask;
}

inline double score(const Case& c, const Inputs<double>& in, std::int64_t query, std::int64_t key) {
  double sum = 0;
  for (std::int64_t d = 0; d < c.D; d++) {
    const double q = in.q[std::size_t(query * c.D + d)], k = in.k[std::size_t(key * c.D + d)];
    sum += c.additive ? in.vector[std::size_t(d)] * std::tanh(q + k) : q * k;
  }
  return c.scale * sum;
}

// 0 or 1 / (1 - drop) for each weight.
inline std::vector<double> keep_of(const Case& c) {
  Random random(5, 1);
  random.set_counter(11);
  std::vector<double> keep =
      to_vector<double>(random.uniform({c.B, c.Hq, c.Tq, c.Tk}, 0, 1, Dtype::float64));
  for (double& u : keep) u = u >= c.drop ? 1 / (1 - c.drop) : 0;
  return keep;
}

// The definition, in double. Returns the outputs, then the weights.
inline std::vector<double> reference(const Case& c, const Inputs<double>& in) {
  std::vector<double> out(std::size_t(c.B * c.Hq * c.Tq * c.Dv)),
      weights(std::size_t(c.B * c.Hq * c.Tq * c.Tk));
  const std::vector<double> keep = keep_of(c);
  for (std::int64_t b = 0; b < c.B; b++) {
    const std::int64_t tq = c.query_lengths.empty() ? c.Tq : c.query_lengths[std::size_t(b)];
    const std::int64_t tk = c.key_lengths.empty() ? c.Tk : c.key_lengths[std::size_t(b)];
    for (std::int64_t h = 0; h < c.Hq; h++) {
      for (std::int64_t i = 0; i < tq; i++) {
        const std::int64_t query = (b * c.Hq + h) * c.Tq + i;
        const std::int64_t keys = (b * c.Hk + h / (c.Hq / c.Hk)) * c.Tk;
        double* w = weights.data() + query * c.Tk;
        double sum = 0;
        for (std::int64_t j = 0; j < tk; j++) {
          if ((c.causal && j > i) || (c.attend && !may_attend(i, j))) continue;
          const std::int64_t at = over_keys(c) ? h * c.Tk + j : b * c.Tq + i;
          sum += w[j] =
              std::exp(score(c, in, query, keys + j) + (c.bias ? in.bias[std::size_t(at)] : 0));
        }
        for (std::int64_t j = 0; j < tk && sum > 0; j++) {
          w[j] *= keep[std::size_t(query * c.Tk + j)] / sum;
          for (std::int64_t d = 0; d < c.Dv; d++)
            out[std::size_t(query * c.Dv + d)] += w[j] * in.v[std::size_t((keys + j) * c.Dv + d)];
        }
      }
    }
  }
  out.insert(out.end(), weights.begin(), weights.end());
  return out;
}

template <class T>
struct Outputs {
  std::vector<T> out, weights, stats;
  Outputs(const Case& c, std::int64_t directions)
      : out(std::size_t(directions * c.B * c.Hq * c.Tq * c.Dv), T(nan)),
        weights(std::size_t(directions * c.B * c.Hq * c.Tq * c.Tk), T(nan)),
        stats(std::size_t(2 * c.B * c.Hq * c.Tq), T(nan)) {}
};

template <class T>
AttentionInputs<T> inputs_of(const Case& c, const Inputs<T>& in, const std::vector<char>& attend) {
  return {.q = in.q.data(),
          .k = in.k.data(),
          .v = in.v.data(),
          .vector = c.additive ? in.vector.data() : nullptr,
          .attend = c.attend ? reinterpret_cast<const bool*>(attend.data()) : nullptr,
          .bias = c.bias ? in.bias.data() : nullptr};
}

}  // namespace unroll::testing::attention
