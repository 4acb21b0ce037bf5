// What a block of an attention kernel keeps in shared memory: a function of the shape alone. This
// is the one place where that is chosen.
//
// A block works on tiles of n queries by n keys. Rows of q, k, v and their like (sides) come in
// chunks of n columns. A side that is read more than once is held whole where there is room;
// the others stream through one chunk. Sums of the results lie in shared memory too, a chunk for n
// columns; where not all fit, the results' chunks are shared out among `parts` blocks, each of
// which computes the scores for itself.
//
//   tile     elements         for
//   wide     256 bytes a row  the forward pass of heads of up to 256 bytes: 64 float, 32 double
//   narrow   128 bytes a row  all else
//
// The room, 96 KiB, is what every GPU from sm_80 on gives a block.
#pragma once

#include <cstddef>

#include "core/host_device.h"
#include "kernels/attention.h"

namespace unroll::gpu {

inline constexpr std::size_t attention_room = 96 << 10;
inline constexpr int attention_wide = 256, attention_narrow = 128;  // bytes of a tile's row
inline constexpr int attention_threads = 256, attention_most_sides = 6;

/// Sizes of a tile, in numbers. Sides are kept as they lie in memory, as Stored; all else is T.
template <class T, int bytes, class Stored_ = T>
struct AttentionTile {
  using Stored = Stored_;
  static constexpr int n = bytes / int(sizeof(T));       // queries, and keys
  static constexpr int pack = 16 / int(sizeof(Stored));  // of a side in 16 bytes
  static constexpr int grid = 16, each = n / grid;  // threads are 16 x 16 with each x each numbers
  // Rows of a chunk lie an odd number of packs apart, rows of a tile of scores 8 numbers more than
  // a multiple of 16: then no reading or writing of the products meets in a bank.
  static constexpr int chunk_row = n + pack, chunk = n * chunk_row;
  static constexpr int chunk_room = chunk * int(sizeof(Stored)) / int(sizeof(T));  // in T
  static constexpr int score_row = n + 8, scores = n * score_row;
  static constexpr int sums = n * n;
};

/// What a kernel asks for. Sides that do not fit stream through buffer `stream`.
struct AttentionNeeds {
  int sides;
  std::int64_t columns[attention_most_sides];
  int stream[attention_most_sides];
  bool reused[attention_most_sides];  // holding it saves reads
  int score_tiles, rows;              // tiles of scores; rows of n numbers
  std::int64_t outputs;               // chunks of results
};

/// Where everything begins, in numbers.
struct AttentionSpace {
  int side[attention_most_sides] = {};
  bool held[attention_most_sides] = {};
  int score_tile[2] = {}, rows = 0, sums = 0;
  int outputs = 1, parts = 1;  // chunks of results of a block, blocks that share them out
  std::size_t numbers = 0;
};

UNROLL_HOST_DEVICE std::int64_t tiles_of(std::int64_t count, int n) { return (count + n - 1) / n; }
/// One at least: a chunk of no columns adds nothing, but has the barriers of a product.
UNROLL_HOST_DEVICE std::int64_t attention_chunks(std::int64_t columns, int n) {
  return columns > 0 ? tiles_of(columns, n) : 1;
}

template <class Tile>
AttentionSpace attention_laid(const AttentionNeeds& needs, AttentionSpace space) {
  std::size_t used = 0;
  const auto take = [&](std::size_t numbers) {
    used += numbers;
    return int(used - numbers);
  };
  int stream[attention_most_sides];
  for (int& at : stream) at = -1;
  for (int i = 0; i < needs.sides; i++) {
    if (space.held[i]) {
      space.side[i] =
          take(std::size_t(attention_chunks(needs.columns[i], Tile::n)) * Tile::chunk_room);
      continue;
    }
    int& at = stream[needs.stream[i]];
    if (at < 0) at = take(Tile::chunk_room);
    space.side[i] = at;
  }
  for (int i = 0; i < needs.score_tiles; i++) space.score_tile[i] = take(Tile::scores);
  space.rows = take(std::size_t(needs.rows) * Tile::n);
  space.sums = take(std::size_t(space.outputs) * Tile::sums);
  space.numbers = used;
  return space;
}

/// As many results as fit, then as many sides, the first ones first.
template <class T, class Tile>
AttentionSpace attention_space(const AttentionNeeds& needs) {
  const auto fits = [](const AttentionSpace& s) { return s.numbers * sizeof(T) <= attention_room; };
  AttentionSpace space;
  while (space.outputs < needs.outputs) {
    AttentionSpace more = space;
    more.outputs++;
    if (!fits(attention_laid<Tile>(needs, more))) break;
    space = more;
  }
  if (needs.outputs > 0) space.parts = int((needs.outputs + space.outputs - 1) / space.outputs);
  for (int i = 0; i < needs.sides; i++) {
    AttentionSpace more = space;
    more.held[i] = true;
    if (needs.reused[i] && fits(attention_laid<Tile>(needs, more))) space = more;
  }
  return attention_laid<Tile>(needs, space);
}

/// The scratch of the pullback, in numbers: delta [K,B,Hq,Tq], then for additive scores the sums
/// for the vector [K,B,Hq,tiles of queries,D].
struct AttentionPass {
  std::size_t partials, numbers;
};
template <class T>
AttentionPass attention_pass(const AttentionShape& s) {
  const std::int64_t heads = s.directions * s.batch * s.heads;
  const std::int64_t tiles = tiles_of(s.queries, attention_narrow / int(sizeof(T)));
  const bool additive = s.score == AttentionScore::additive;
  const auto delta = std::size_t(heads * s.queries);
  return {delta, delta + (additive ? std::size_t(heads * tiles * s.key_size) : 0)};
}

/// Whether the forward pass takes wide tiles.
inline bool attention_takes_wide(const AttentionShape& s, std::size_t bytes_of_number) {
  const auto most = std::int64_t(attention_wide / bytes_of_number);
  return s.key_size <= most && s.value_size <= most;
}

}  // namespace unroll::gpu
