// What the passes of attention move on the simulator, against the least that their tiles need. The
// kernels must have checks: the meter counts in them.
//
//   expect_least_of_forward<Bfloat16>();
#pragma once

#ifndef __CUDACC__

#include "cuda/attention_plan.h"
#include "cuda/tests/attention_testing.h"
#include "cuda/tests/traffic.h"

namespace unroll::gpu_test {

// Heads of one chunk, tiles that are full: what a pass must move, in numbers.
struct MeteredSizes {
  std::int64_t heads = 2, tiles = 2;  // query heads of one key head; tiles of queries, and keys
  std::int64_t n, D;                  // queries, and keys, of a tile; columns
  std::int64_t rows() const { return tiles * n; }
  std::int64_t side() const { return rows() * D; }  // of one head
  Case problem() const {
    return {
        .B = 1, .Hq = heads, .Hk = 1, .Tq = rows(), .Tk = rows(), .D = D, .Dv = D, .scale = 0.1};
  }
};

/// least: numbers in rows of operands, and others.
template <class Stored>
void expect_least(const char* kernel, std::int64_t of_sides, std::int64_t others) {
  expect_lean(meter_of(kernel), double(of_sides) * double(sizeof(Stored)) +
                                    double(others) * double(sizeof(Real<Stored>)));
}

template <class Stored>
inline constexpr std::int64_t narrow_tile = gpu::attention_narrow / int(sizeof(Real<Stored>));
template <class Stored>
inline constexpr std::int64_t wide_tile = gpu::attention_wide / int(sizeof(Real<Stored>));

/// Each tile of q once; k and v once for each tile of q.
template <class Stored>
void expect_least_of_forward() {
  const MeteredSizes z{.n = wide_tile<Stored>, .D = wide_tile<Stored>};
  const Case c = z.problem();
  const Metered metered;
  on_gpu<Stored>(c, inputs<Stored>(c, 1, 1), false);
  expect_least<Stored>("attention", z.heads * (2 + 2 * z.tiles) * z.side(), z.heads * 2 * z.rows());
}

/// dq: q and dout once, k and v once for each tile of q. dk and dv: k and v once, q and dout once
/// for each tile of keys. delta: out and dout once, in rows of 256 bytes, beside which the sector
/// that a warp writes its number in is little.
template <class Stored>
void expect_least_of_pull() {
  const MeteredSizes z{.n = narrow_tile<Stored>, .D = gpu::attention_wide / int(sizeof(Stored))};
  const Case c = z.problem();
  const auto in = inputs<Stored>(c, 1, 1);
  const auto out = forward_of<Stored>(c, in), u = random_cotangent<Stored>(c, 20);
  const Metered metered;
  pull_on_gpu<Stored>(c, in, out, u, {.dweights = false});
  const std::int64_t rows = K * z.heads * 3 * z.rows(), side = K * z.side();
  expect_least<Stored>("attention_pull_delta", z.heads * 2 * side, rows / 3);
  expect_least<Stored>("attention_pull_queries", z.heads * (3 + 2 * z.tiles) * side, rows);
  expect_least<Stored>("attention_pull_keys", (4 + z.heads * 2 * z.tiles) * side, z.tiles * rows);
}

/// q and tq once; k, v and their tangents once for each tile of q; out and its tangent once.
/// tweights are written, read and written, the weights read.
template <class Stored>
void expect_least_of_push() {
  const MeteredSizes z{.n = narrow_tile<Stored>, .D = wide_tile<Stored>};
  const Case c = z.problem();
  const auto in = inputs<Stored>(c, 1, 1), tangent = inputs<Stored>(c, K, 10);
  const auto out = forward_of<Stored>(c, in);
  const Metered metered;
  push_on_gpu<Stored>(c, in, out, tangent, true);
  const std::int64_t scores = z.rows() * z.rows();
  expect_least<Stored>("attention_push", K * z.heads * (2 + 4 * z.tiles + 2) * z.side(),
                       K * z.heads * (2 * z.rows() + 4 * scores));
}

}  // namespace unroll::gpu_test

#endif
