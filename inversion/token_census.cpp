// The last states of all sequences of tokens: who collides, and how near the nearest come.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "autograd/ops.h"
#include "autograd/tape.h"
#include "core/view.h"
#include "inversion/tokens.h"

namespace unroll {
namespace {

constexpr std::int64_t kBatch = 1 << 13;  // sequences run at a time
constexpr double kInfinity = std::numeric_limits<double>::infinity();

std::int64_t sequences(std::int64_t V, std::int64_t T, std::int64_t most) {
  std::int64_t count = 1;
  for (std::int64_t t = 0; t < T; t++) {
    if (count > most / V)
      fail("token_census", "there are more than " + std::to_string(most) + " sequences of " +
                               std::to_string(T) + " tokens out of " + std::to_string(V) +
                               ": take at most " + std::to_string(t) + " steps");
    count *= V;
  }
  return count;
}

// Digit t of T of a number in base V.
std::int64_t digit(std::int64_t number, std::int64_t V, std::int64_t t, std::int64_t T) {
  for (std::int64_t i = t + 1; i < T; i++) number /= V;
  return number % V;
}

// Of the sequences first..last: [count,D*P].
Tensor last_states(const Encoder& encoder, const Tensor& embedding, std::int64_t T,
                   std::int64_t first, std::int64_t last) {
  const std::int64_t count = last - first, V = embedding.shape()[0];
  Tensor tokens = empty({T, count}, Dtype::int64);
  std::int64_t* to = tokens.mutable_data<std::int64_t>();
  for (std::int64_t t = 0; t < T; t++)
    for (std::int64_t i = 0; i < count; i++) to[t * count + i] = digit(first + i, V, t, T);
  const Tensor h = encoder(unroll::embedding(embedding, tokens)).last.h;
  const std::int64_t runs = h.shape()[0], D = encoder.sizes().directions();
  const Tensor of_last = transpose(slice(h, 0, runs - D, runs), 0, 1);
  return reshape(of_last, {count, encoder.sizes().output_width()});
}

// Rows in the order of their numbers, the first number counting most. Equal rows lie together.
std::vector<std::int64_t> sorted_rows(const double* x, std::int64_t rows, std::int64_t width) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(rows));
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [&](std::int64_t a, std::int64_t b) {
    const double *p = x + a * width, *q = x + b * width;
    for (std::int64_t i = 0; i < width; i++)
      if (p[i] != q[i]) return p[i] < q[i];
    return a < b;
  });
  return order;
}

std::int64_t count_distinct(const Tensor& states, Dtype dtype) {
  const Tensor rounded = cast_copy(cast_copy(states, dtype), Dtype::float64);
  const double* x = rounded.data<double>();
  const std::int64_t rows = states.shape()[0], width = states.shape()[1];
  const std::vector<std::int64_t> order = sorted_rows(x, rows, width);
  std::int64_t count = 1;
  for (std::size_t i = 1; i < order.size(); i++)
    count +=
        !std::equal(x + order[i] * width, x + order[i] * width + width, x + order[i - 1] * width);
  return count;
}

double squared_distance(const double* a, const double* b, std::int64_t width, double enough) {
  double sum = 0;
  for (std::int64_t i = 0; i < width && sum < enough; i++) sum += (a[i] - b[i]) * (a[i] - b[i]);
  return sum;
}

// The column whose values spread most: along it most pairs are too far apart to be looked at.
std::int64_t widest(const Tensor& states) {
  const double* x = states.data<double>();
  const std::int64_t rows = states.shape()[0], width = states.shape()[1];
  std::int64_t best = 0;
  double most = -1;
  for (std::int64_t p = 0; p < width; p++) {
    double mean = 0, squares = 0;
    for (std::int64_t r = 0; r < rows; r++) mean += x[r * width + p] / static_cast<double>(rows);
    for (std::int64_t r = 0; r < rows; r++)
      squares += (x[r * width + p] - mean) * (x[r * width + p] - mean);
    if (squares > most) most = squares, best = p;
  }
  return best;
}

struct Pair {
  double gap = kInfinity;
  std::int64_t a = 0, b = 0;
};

// By a sweep along the widest column: Shamos & Hoey, "Closest-point problems" (FOCS 1975).
Pair closest_pair(const Tensor& states) {
  const double* x = states.data<double>();
  const std::int64_t rows = states.shape()[0], width = states.shape()[1], p = widest(states);
  std::vector<std::int64_t> order(static_cast<std::size_t>(rows));
  std::iota(order.begin(), order.end(), 0);
  const auto along = [&](std::int64_t r) { return x[r * width + p]; };
  std::sort(order.begin(), order.end(), [&](std::int64_t a, std::int64_t b) {
    return along(a) != along(b) ? along(a) < along(b) : a < b;
  });
  Pair best;
  double squares = kInfinity;
  for (std::size_t i = 0; i < order.size() && squares > 0; i++)
    for (std::size_t j = i + 1; j < order.size(); j++) {
      const double ahead = along(order[j]) - along(order[i]);
      if (ahead * ahead >= squares) break;
      const double d = squared_distance(x + order[i] * width, x + order[j] * width, width, squares);
      if (d >= squares) continue;
      squares = d;
      best = {std::sqrt(d), order[i], order[j]};
    }
  return best;
}

}  // namespace

Tensor TokenCensus::tokens_of(std::int64_t sequence) const {
  Tensor tokens = empty({T}, Dtype::int64);
  for (std::int64_t t = 0; t < T; t++)
    tokens.mutable_data<std::int64_t>()[t] = digit(sequence, V, t, T);
  return tokens;
}

TokenCensus token_census(const Encoder& encoder, const Tensor& embedding, std::int64_t T,
                         const CensusOptions& options) {
  const NoTape none;
  const Tensor table = token_embedding("token_census", encoder, embedding);
  if (T < 1) fail("token_census", "a run of " + std::to_string(T) + " steps reads no token");
  TokenCensus census{.V = table.shape()[0], .T = T};
  const std::int64_t count = sequences(census.V, T, options.most);
  census.states = empty({count, encoder.sizes().output_width()}, Dtype::float64);
  for (std::int64_t first = 0; first < count; first += kBatch) {
    const std::int64_t last = std::min(first + kBatch, count);
    Tensor part = view::slice(census.states, 0, first, last);
    copy_into(part, last_states(encoder, table, T, first, last));
  }
  for (const Dtype dtype : {Dtype::float64, Dtype::float32, Dtype::float16, Dtype::bfloat16})
    census.distinct.push_back({dtype, count_distinct(census.states, dtype)});
  const Pair pair = closest_pair(census.states);
  census.smallest_gap = pair.gap;
  census.nearest = stack({census.tokens_of(pair.a), census.tokens_of(pair.b)}, 1);
  return census;
}

NearestSequences nearest_sequences(const TokenCensus& census, const Tensor& last) {
  const NoTape none;
  const std::int64_t width = census.states.shape()[1];
  if (!last || last.rank() != 2 || last.shape()[1] != width)
    fail("nearest_sequences", "the last states are " +
                                  (last ? to_string(last.shape()) : "undefined") +
                                  " but those of the census are [N," + std::to_string(width) + "]");
  const Tensor wide = cast_copy(last, Dtype::float64);
  const std::int64_t N = last.shape()[0];
  NearestSequences out{.tokens = empty({census.T, N}, Dtype::int64)};
  std::int64_t* tokens = out.tokens.mutable_data<std::int64_t>();
  const double* states = census.states.data<double>();
  for (std::int64_t n = 0; n < N; n++) {
    std::int64_t best = 0;
    double first = kInfinity, second = kInfinity;
    for (std::int64_t i = 0; i < census.sequences(); i++) {
      const double d =
          squared_distance(wide.data<double>() + n * width, states + i * width, width, second);
      second = std::min(second, std::max(first, d));
      if (d < first) first = d, best = i;
    }
    out.distance.push_back(std::sqrt(first));
    out.margin.push_back(std::sqrt(second));
    for (std::int64_t t = 0; t < census.T; t++)
      tokens[t * N + n] = digit(best, census.V, t, census.T);
  }
  return out;
}

}  // namespace unroll
