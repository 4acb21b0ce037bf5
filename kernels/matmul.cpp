#include "kernels/matmul.h"

#include "kernels/matmul_dots_simd.h"
#include "kernels/matmul_pack_simd.h"
#include "kernels/parallel_loop.h"
#include "kernels/product.h"

// C is computed in register tiles of a few rows by one panel: `panel_vectors` vectors of columns.
// Each element of C is one chain of fused multiply-adds over k within a block of K_block terms, and
// blocks are added in order; so neither the tile that an element falls into nor the thread that
// computes it shows in its bits. (Goto, van de Geijn 2008: the loop order.)
namespace unroll::UNROLL_ISA_NS {

inline constexpr std::int64_t K_block = 384;
// A block of A this high stays in the second-level cache.
template <class T>
inline constexpr std::int64_t M_block = 960 / std::int64_t(sizeof(T));
// Columns of B packed at a time.
template <class T>
inline constexpr std::int64_t N_block = 8192 / std::int64_t(sizeof(T));
inline constexpr int widest_panel = 8;              // vectors
inline constexpr std::int64_t far_bytes = 4 << 20;  // what no cache of a core holds

// ---- the register tile

// What one tile reads and writes. All strides are in elements.
template <class T>
struct Tile {
  const T* a;  // A(i,k) = a[i a_row + k a_col]
  std::int64_t a_row, a_col;
  const T* b;  // B(k,j) = b[k b_row + j]
  std::int64_t b_row;
  T* c;                       // C(i,j) = c[i c_row + j]
  std::int64_t c_row, depth;  // depth: how many k
  int width;                  // how many j are written
  T alpha, beta;
};

// One row of a tile at the right edge of C: the first `width` numbers.
template <class T, int vectors>
static inline void store_edge(T* to, const typename Simd<T>::Vec* row, int width, T beta) {
  using S = Simd<T>;
  for (int j = 0; j * S::lanes < width; j++) {
    T* const at = to + j * S::lanes;
    const int left = width - j * S::lanes, count = left < S::lanes ? left : S::lanes;
    store_some(at, beta == T(0) ? row[j] : S::fma(S::set(beta), load_some(at, count), row[j]),
               count);
  }
}

template <class T, int rows, int vectors>
static __attribute__((noinline)) void tile(const Tile<T>& t) {
  using S = Simd<T>;
  using Vec = typename S::Vec;
  Vec c[rows][vectors] = {};
  const T *a = t.a, *b = t.b;
  if constexpr (rows > 1) {  // C comes while the sums are made
    UNROLL_FULL_UNROLL
    for (int i = 0; i < rows; i++) {
      UNROLL_FULL_UNROLL
      for (int j = 0; j < vectors; j++) __builtin_prefetch(t.c + i * t.c_row + j * S::lanes, 1);
    }
  }
  for (std::int64_t k = 0; k < t.depth; k++, a += t.a_col, b += t.b_row) {
    Vec row[vectors];
    UNROLL_FULL_UNROLL
    for (int j = 0; j < vectors; j++) row[j] = S::load(b + j * S::lanes);
    UNROLL_FULL_UNROLL
    for (int i = 0; i < rows; i++) {
      const Vec x = S::set(a[i * t.a_row]);
      UNROLL_FULL_UNROLL
      for (int j = 0; j < vectors; j++) c[i][j] = S::fma(x, row[j], c[i][j]);
    }
  }
  const Vec alpha = S::set(t.alpha), beta = S::set(t.beta);
  const bool whole = t.width == vectors * S::lanes, adds = t.beta != T(0);
  UNROLL_FULL_UNROLL
  for (int i = 0; i < rows; i++) {
    T* const to = t.c + i * t.c_row;
    UNROLL_FULL_UNROLL
    for (int j = 0; j < vectors; j++) {
      const Vec value = alpha * c[i][j];
      if (whole) {
        T* const at = to + j * S::lanes;
        S::store(at, adds ? S::fma(beta, S::load(at), value) : value);
      } else {
        c[i][j] = value;
      }
    }
    if (!whole) store_edge<T, vectors>(to, c[i], t.width, t.beta);
  }
}

template <class T, int vectors, int rows>
static void tile_of_rows(int n, const Tile<T>& t) {
  if (n == rows) return tile<T, rows, vectors>(t);
  if constexpr (rows > 1) tile_of_rows<T, vectors, rows - 1>(n, t);
}

template <class T>
static void run_tile(int rows, int vectors, const Tile<T>& t) {
  if (vectors == 2) return tile_of_rows<T, 2, tile_rows>(rows, t);
  if (vectors == 4) return tile_of_rows<T, 4, 3>(rows, t);
  tile<T, 1, widest_panel>(t);
}

// ---- one product, or a rectangle of it

// How a product runs; it follows from the shape alone.
template <class T>
struct Plan {
  int vectors, width;           // of a panel
  std::int64_t depth, columns;  // of a block of B
  bool packs_a, packs_b;

  explicit Plan(const MatmulShape& s) {
    // Few rows leave registers for wider panels, which keep the multipliers busy.
    const bool narrow = s.N <= 4 * Simd<T>::lanes;
    vectors = s.M > 3 ? 2 : s.M > 1 || narrow ? 4 : widest_panel;
    width = vectors * Simd<T>::lanes;
    // Rows that are far apart share few sets of the first-level cache and few pages.
    packs_a = s.a_col != 1 ? s.N > 4 * width : s.N >= 16 * width && s.M >= 4 * tile_rows;
    // Few rows use each number of B too rarely to pay for moving it; a small B is in the
    // first-level cache as it is.
    const bool cheap = s.M <= 2 * tile_rows || s.N * s.K * std::int64_t(sizeof(T)) <= 16384;
    packs_b = s.b_col != 1 || !cheap;
    // One row of A reads B once: where that comes from memory, along a few rows at a time. So many
    // sums would be rounded to the grid of a large C.
    const bool far =
        s.M == 1 && s.beta == 0 && !packs_b && s.N * s.K * std::int64_t(sizeof(T)) > far_bytes;
    depth = far ? 8 : K_block;
    columns = far ? s.N : N_block<T>;
  }
};

// Bytes of a packed block of A; the packed block of B lies behind it.
template <class T>
static std::size_t packed_a_bytes(const MatmulShape& s, const Plan<T>& plan) {
  if (!plan.packs_a) return 0;
  const std::int64_t count =
      smaller(rounded_up(s.M, tile_rows), M_block<T>) * smaller(s.K, K_block);
  return std::size_t(rounded_up(count * std::int64_t(sizeof(T)), 64));
}

template <class T>
std::size_t matmul_slot_bytes(const MatmulShape& s) noexcept {
  if (dot_sides(s) != DotSides::none) {
    return std::size_t(rounded_up(dot_copy(s) * std::int64_t(sizeof(T)), 64));
  }
  const Plan<T> plan(s);
  const std::int64_t widest = widest_panel * Simd<T>::lanes;
  const std::int64_t columns =
      plan.packs_b ? smaller(rounded_up(s.N, widest), N_block<T>) : plan.width;
  const std::int64_t count = columns * smaller(s.K, K_block);
  return packed_a_bytes(s, plan) + std::size_t(rounded_up(count * std::int64_t(sizeof(T)), 64));
}

template <class T>
std::size_t matmul_slot_bytes_within(const MatmulShape& most) noexcept {
  MatmulShape s = most;
  if (s.M > s.N) s.N = s.M;                            // the product may be turned
  s.a_row = 1, s.a_col = 2, s.b_row = 2, s.b_col = 2;  // what must be packed
  const std::size_t copy = std::size_t(4 * dot_few) * std::size_t(s.K) * sizeof(T);
  const std::size_t tiles = matmul_slot_bytes<T>(s);
  return tiles > copy ? tiles : (copy + 63) / 64 * 64;
}

// The rows and columns of C that one task computes.
struct Rectangle {
  std::int64_t row, rows, column, columns;
};

// One block of K, one block of columns: every tile of the rectangle.
template <class T>
static void block(const MatmulShape& s, const Plan<T>& plan, const Rectangle& r,
                  const Tile<T>& origin, T* packed_a, T* packed_b, std::int64_t column,
                  std::int64_t columns) {
  const std::int64_t depth = origin.depth;
  const T* b = origin.b + column * s.b_col;
  const std::int64_t whole =
      columns / plan.width * plan.width;  // only a last, narrower panel must be packed
  const std::int64_t direct = plan.packs_b ? 0 : whole;
  pack_b(Source<T>{b + direct * s.b_col, s.b_row, s.b_col}, depth, columns - direct, plan.width,
         packed_b);
  for (std::int64_t i = 0; i < r.rows; i += M_block<T>) {
    const std::int64_t height = smaller(M_block<T>, r.rows - i);
    const T* a = origin.a + (r.row + i) * s.a_row;
    if (plan.packs_a) pack_a(a, s.a_row, s.a_col, depth, height, packed_a);
    for (std::int64_t j = 0; j < columns; j += plan.width) {
      Tile<T> t = origin;
      t.b = j < direct ? b + j : packed_b + (j - direct) * depth;
      t.b_row = j < direct ? s.b_row : plan.width;
      t.width = int(smaller(plan.width, columns - j));
      const int most = plan.vectors == 2 ? tile_rows : plan.vectors == 4 ? 3 : 1;
      for (std::int64_t k = 0; k < height; k += most) {
        t.a = plan.packs_a ? packed_a + k * depth : a + k * s.a_row;
        if (plan.packs_a) t.a_row = 1, t.a_col = tile_rows;
        t.c = origin.c + (r.row + i + k) * s.c_row + column + j;
        run_tile(int(smaller(most, height - k)), plan.vectors, t);
      }
    }
  }
}

template <class T>
static void rectangle(const MatmulShape& s, const MatmulArgs<T>& args, const Rectangle& r,
                      void* scratch) {
  const Plan<T> plan(s);
  T* const packed_a = static_cast<T*>(scratch);
  T* const packed_b = packed_a + packed_a_bytes(s, plan) / sizeof(T);
  for (std::int64_t j = 0; j < r.columns; j += plan.columns) {
    const std::int64_t columns = smaller(plan.columns, r.columns - j);
    std::int64_t k = 0;
    do {  // once even when K is 0: that still defines C
      const Tile<T> origin{.a = args.a + k * s.a_col,
                           .a_row = s.a_row,
                           .a_col = s.a_col,
                           .b = args.b + k * s.b_row,
                           .b_row = 0,
                           .c = args.c,
                           .c_row = s.c_row,
                           .depth = smaller(plan.depth, s.K - k),
                           .width = 0,
                           .alpha = T(s.alpha),
                           .beta = k == 0 ? T(s.beta) : T(1)};
      block(s, plan, r, origin, packed_a, packed_b, r.column + j, columns);
      k += plan.depth;
    } while (k < s.K);
  }
}

// ---- sharing the work

static std::int64_t work_of(const MatmulShape& s) { return s.batch * s.M * s.N * s.K / 8; }

// Threads of a product, however it is split.
static int threads_of(const MatmulShape& s) { return threads_for(1 << 30, work_of(s)); }

// Part `i` of `parts` of 0..n-1, cut at multiples of step.
static void cut(std::int64_t n, std::int64_t step, std::int64_t i, std::int64_t parts,
                std::int64_t& begin, std::int64_t& count) {
  const std::int64_t steps = (n + step - 1) / step;
  begin = smaller(steps * i / parts * step, n);
  count = smaller(steps * (i + 1) / parts * step, n) - begin;
}

// Into how many rows of rectangles C is cut for `parts` tasks: what leaves the least to multiply
// and to pack for each.
static int row_parts(const MatmulShape& s, int parts) {
  int best = 1;
  double least = 0;
  for (int rows = 1; rows <= parts; rows++) {
    if (parts % rows != 0) continue;
    const double height = double(rounded_up((s.M + rows - 1) / rows, tile_rows));
    const double width = double(rounded_up((s.N + parts / rows - 1) / (parts / rows), 16));
    const double cost = height * width / 8 + 2 * width + height;
    if (rows == 1 || cost < least) best = rows, least = cost;
  }
  return best;
}

// A matrix times a column, with the matrix adjacent along the column: C^T = B^T A^T reads it along
// its rows.
static bool turns(const MatmulShape& s) {
  return s.N == 1 && s.M > 1 && s.c_row == 1 && s.a_row == 1;
}

static MatmulShape turned(MatmulShape s) {
  const MatmulShape before = s;
  s.M = before.N, s.N = before.M, s.c_row = before.M;
  s.a_row = before.b_col, s.a_col = before.b_row, s.a_batch = before.b_batch;
  s.b_row = before.a_col, s.b_col = before.a_row, s.b_batch = before.a_batch;
  return s;
}

template <class T>
std::size_t matmul_scratch(const MatmulShape& s) noexcept {
  if (turns(s)) return matmul_scratch<T>(turned(s));
  return std::size_t(threads_of(s)) * matmul_slot_bytes<T>(s);
}

template <class T>
void matmul(const MatmulShape& s, const MatmulArgs<T>& args) noexcept {
  if (s.M == 0 || s.N == 0 || s.batch == 0) return;
  if (turns(s)) {
    return matmul<T>(turned(s), {.a = args.b, .b = args.a, .c = args.c, .scratch = args.scratch});
  }
  const DotSides dots = dot_sides(s);
  const std::size_t slot_bytes = matmul_slot_bytes<T>(s);
  const int threads = threads_of(s), width = Plan<T>(s).width;
  const int parts = s.batch >= 4 * threads ? 1 : threads;  // many products: each stays whole
  const int rows = dots == DotSides::few_rows      ? 1
                   : dots == DotSides::few_columns ? parts
                                                   : row_parts(s, parts);
  const int columns = parts / rows;
  for_each_index_in_slot(s.batch * parts, work_of(s), [&](std::int64_t i, int slot) {
    const std::int64_t batch = i / parts, part = i % parts;
    Rectangle r;
    cut(s.M, tile_rows, part / columns, rows, r.row, r.rows);
    cut(s.N, width, part % columns, columns, r.column, r.columns);
    if (r.rows == 0 || r.columns == 0) return;
    const MatmulArgs<T> one{.a = args.a + batch * s.a_batch,
                            .b = args.b + batch * s.b_batch,
                            .c = args.c + batch * s.c_batch,
                            .scratch = nullptr};
    char* const own = static_cast<char*>(args.scratch) + std::size_t(slot) * slot_bytes;
    if (dots == DotSides::none) return rectangle(s, one, r, own);
    const bool by_rows = dots == DotSides::few_columns;  // then those of A are the many
    const std::int64_t begin = by_rows ? r.row : r.column;
    dot_rows(s, one, begin, begin + (by_rows ? r.rows : r.columns), reinterpret_cast<T*>(own));
  });
}

#define UNROLL_INSTANTIATE(T)                                                    \
  template std::size_t matmul_slot_bytes<T>(const MatmulShape&) noexcept;        \
  template std::size_t matmul_slot_bytes_within<T>(const MatmulShape&) noexcept; \
  template std::size_t matmul_scratch<T>(const MatmulShape&) noexcept;           \
  template void matmul<T>(const MatmulShape&, const MatmulArgs<T>&) noexcept;
UNROLL_INSTANTIATE(float)
UNROLL_INSTANTIATE(double)
#undef UNROLL_INSTANTIATE

}  // namespace unroll::UNROLL_ISA_NS
