#include "kernels/layer_norm.h"

#include "kernels/parallel_loop.h"
#include "kernels/vector_loop_simd.h"

namespace unroll::UNROLL_ISA_NS {

// The sum of f(i, count) over the vectors of a row; padded lanes of f must be 0.
template <class T, class F>
static inline T row_sum(std::int64_t n, F f) {
  typename Simd<T>::Vec sum = Simd<T>::zero();
  for_each_vector<T>(n, [&](std::int64_t i, int count) { sum += f(i, count); });
  return sum_of_lanes<T>(sum);
}

// A mean in two parts, so that it is not rounded to the grid of its own size.
template <class T>
struct Mean {
  T high, low;
};

// x - mean for `count` numbers, then zeros.
template <class T>
static inline typename Simd<T>::Vec centred(const T* x, Mean<T> mean, int count) {
  using S = Simd<T>;
  typename S::Vec d = (load_some(x, count) - S::set(mean.high)) - S::set(mean.low);
  for (int j = count; j < S::lanes; j++) d[j] = T(0);
  return d;
}

template <class T>
static inline Mean<T> row_mean(const T* x, std::int64_t n) {
  const T first =
      row_sum<T>(n, [&](std::int64_t i, int count) { return load_some(x + i, count); }) / T(n);
  const Mean<T> about{first, T(0)};
  const T rest =
      row_sum<T>(n, [&](std::int64_t i, int count) { return centred(x + i, about, count); }) / T(n);
  const T high = first + rest;
  return {high, rest - (high - first)};
}

template <class T>
static inline T square_root(T x) {
  return sizeof(T) == 4 ? T(__builtin_sqrtf(float(x))) : T(__builtin_sqrt(double(x)));
}

template <class T>
void layer_norm(const LayerNormShape& s, const LayerNormArgs<T>& args) noexcept {
  using S = Simd<T>;
  for_each_index(s.rows, s.rows * s.n * 4, [&](std::int64_t row) {
    const T* x = args.x + row * s.n;
    T* y = args.y + row * s.n;
    const Mean<T> mean = row_mean(x, s.n);
    const T squares = row_sum<T>(s.n, [&](std::int64_t i, int count) {
      const typename S::Vec d = centred(x + i, mean, count);
      return d * d;
    });
    const T inv_sd = T(1) / square_root(squares / T(s.n) + T(s.eps));
    for_each_vector<T>(s.n, [&](std::int64_t i, int count) {
      typename S::Vec z = centred(x + i, mean, count) * S::set(inv_sd);
      if (args.weight) z = z * load_some(args.weight + i, count);
      if (args.bias) z = z + load_some(args.bias + i, count);
      store_some(y + i, z, count);
    });
    args.mean[row] = mean.high;
    args.mean_low[row] = mean.low;
    args.inv_sd[row] = inv_sd;
  });
}

// v = inv_sd (g - mean(g) - z mean(g z)) for g(i, count), whose padded lanes are 0; what is done
// with v is up to `put`.
template <class T, class G, class Put>
static inline void project_row(const T* x, Mean<T> mean, T inv_sd, std::int64_t n, G g, Put put) {
  using S = Simd<T>;
  using Vec = typename S::Vec;
  const auto z = [&](std::int64_t i, int count) -> Vec {
    return centred(x + i, mean, count) * S::set(inv_sd);
  };
  Vec sum = S::zero(), with_z = S::zero();
  for_each_vector<T>(n, [&](std::int64_t i, int count) {
    const Vec value = g(i, count);
    sum += value;
    with_z = S::fma(value, z(i, count), with_z);
  });
  const Vec by_mean = S::set(sum_of_lanes<T>(sum) / T(n)),
            by_z = S::set(sum_of_lanes<T>(with_z) / T(n));
  for_each_vector<T>(n, [&](std::int64_t i, int count) {
    const Vec at = z(i, count);
    put(i, count, at, S::fnma(at, by_z, g(i, count) - by_mean) * S::set(inv_sd));
  });
}

template <class T>
static void pull_rows(const LayerNormShape& s, const LayerNormPull<T>& args) {
  using S = Simd<T>;
  using Vec = typename S::Vec;
  const T beta = T(args.beta_x);
  const std::int64_t rows = s.directions * s.rows;
  for_each_index(rows, rows * s.n * 4, [&](std::int64_t k) {
    const std::int64_t row = k % s.rows;
    const T* u = args.u + k * s.n;
    T* dx = args.dx + k * s.n;
    const auto g = [&](std::int64_t i, int count) -> Vec {
      const Vec value = load_some(u + i, count);
      return args.weight ? value * load_some(args.weight + i, count) : value;
    };
    project_row(args.x + row * s.n, Mean<T>{args.mean[row], args.mean_low[row]}, args.inv_sd[row],
                s.n, g, [&](std::int64_t i, int count, Vec, Vec v) {
                  if (beta != T(0)) v = S::fma(S::set(beta), load_some(dx + i, count), v);
                  store_some(dx + i, v, count);
                });
  });
}

// Sums over rows, a strip of columns at a time: blocks of rows first, so that the error of many
// rows stays small.
template <class T>
static void pull_columns(const LayerNormShape& s, const LayerNormPull<T>& args) {
  constexpr int width = 64;
  constexpr std::int64_t block = 64;
  const std::int64_t strips = (s.n + width - 1) / width;
  for_each_index(s.directions * strips, s.directions * s.rows * s.n * 3, [&](std::int64_t i) {
    const std::int64_t k = i / strips, first = i % strips * width;
    const int n = s.n - first < width ? int(s.n - first) : width;
    T with_z[width] = {}, plain[width] = {};
    for (std::int64_t begin = 0; begin < s.rows; begin += block) {
      const std::int64_t end = begin + block < s.rows ? begin + block : s.rows;
      T part_z[width] = {}, part[width] = {};
      for (std::int64_t row = begin; row < end; row++) {
        const T* __restrict x = args.x + row * s.n + first;
        const T* __restrict u = args.u + (k * s.rows + row) * s.n + first;
        const T high = args.mean[row], low = args.mean_low[row], inv_sd = args.inv_sd[row];
        for (int j = 0; j < n; j++) {
          part_z[j] += u[j] * (((x[j] - high) - low) * inv_sd);
          part[j] += u[j];
        }
      }
      for (int j = 0; j < n; j++) with_z[j] += part_z[j], plain[j] += part[j];
    }
    const auto put = [&](T* to, T beta, const T* sum) {
      if (!to) return;
      for (int j = 0; j < n; j++) {
        T& at = to[k * s.n + first + j];
        at = beta == T(0) ? sum[j] : beta * at + sum[j];
      }
    };
    put(args.dweight, T(args.beta_weight), with_z);
    put(args.dbias, T(args.beta_bias), plain);
  });
}

template <class T>
void layer_norm_pull(const LayerNormShape& s, const LayerNormPull<T>& args) noexcept {
  if (args.dx) pull_rows(s, args);
  if (args.dweight || args.dbias) pull_columns(s, args);
}

template <class T>
void layer_norm_push(const LayerNormShape& s, const LayerNormPush<T>& args) noexcept {
  using S = Simd<T>;
  using Vec = typename S::Vec;
  const std::int64_t rows = s.directions * s.rows;
  for_each_index(rows, rows * s.n * 4, [&](std::int64_t k) {
    const std::int64_t row = k % s.rows, direction = k / s.rows * s.n;
    const T* tx = args.tx ? args.tx + k * s.n : nullptr;
    T* ty = args.ty + k * s.n;
    const auto g = [&](std::int64_t i, int count) -> Vec {
      return tx ? load_some(tx + i, count) : S::zero();
    };
    project_row(args.x + row * s.n, Mean<T>{args.mean[row], args.mean_low[row]}, args.inv_sd[row],
                s.n, g, [&](std::int64_t i, int count, Vec z, Vec v) {
                  if (args.weight) v = v * load_some(args.weight + i, count);
                  if (args.tweight)
                    v = S::fma(z, load_some(args.tweight + direction + i, count), v);
                  if (args.tbias) v = v + load_some(args.tbias + direction + i, count);
                  store_some(ty + i, v, count);
                });
  });
}

#define UNROLL_INSTANTIATE(T)                                                                \
  template void layer_norm<T>(const LayerNormShape&, const LayerNormArgs<T>&) noexcept;      \
  template void layer_norm_pull<T>(const LayerNormShape&, const LayerNormPull<T>&) noexcept; \
  template void layer_norm_push<T>(const LayerNormShape&, const LayerNormPush<T>&) noexcept;
UNROLL_INSTANTIATE(float)
UNROLL_INSTANTIATE(double)
#undef UNROLL_INSTANTIATE

}  // namespace unroll::UNROLL_ISA_NS
