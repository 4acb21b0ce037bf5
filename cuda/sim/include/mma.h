// Stands in for CUDA's header of this name: products of small matrices by a warp (f16, bf16, tf32).
// Which elements a lane holds is open by contract, so it is a scramble here.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

namespace nvcuda::wmma {

struct matrix_a;
struct matrix_b;
struct accumulator;
struct row_major;
struct col_major;
namespace precision {
struct tf32;
}
enum layout_t { mem_row_major, mem_col_major };

namespace detail {

using unroll::sim::Site;
namespace device = unroll::sim::device;

template <class T>
struct Storage {
  using type = T;
};
template <>
struct Storage<precision::tf32> {
  using type = float;
};

template <class Use, int M, int N, int K>
struct Size;
template <int M, int N, int K>
struct Size<matrix_a, M, N, K> {
  static constexpr int rows = M, columns = K;
};
template <int M, int N, int K>
struct Size<matrix_b, M, N, K> {
  static constexpr int rows = K, columns = N;
};
template <int M, int N, int K>
struct Size<accumulator, M, N, K> {
  static constexpr int rows = M, columns = N;
};

// The shapes that the hardware has.
template <class T, int M, int N, int K>
constexpr bool exists = std::is_same_v<T, precision::tf32>
                            ? M == 16 && N == 16 && K == 8
                            : K == 16 && M* N == 256 && (M == 8 || M == 16 || M == 32);

// What the product sees of an element: tf32 has 10 bits of fraction, whatever the float holds.
template <class T>
float operand(const typename Storage<T>::type& x) {
  if constexpr (std::is_same_v<T, precision::tf32>)
    return std::bit_cast<float>(std::bit_cast<unsigned>(x) & 0xffffe000u);
  else
    return float(x);
}

// Moves the elements of a lane between its fragment and the matrix; Each(e, element).
template <class Fragment, class Element, class Each>
void for_elements(Element* matrix, unsigned stride, bool by_rows, Site site, Each each) {
  if (reinterpret_cast<std::uintptr_t>(matrix) % 32 != 0)
    device::misuse("wmma: the matrix is not aligned to 32 bytes", site);
  if (stride * sizeof(Element) % 16 != 0)
    device::misuse("wmma: rows are not a multiple of 16 bytes apart", site);
  device::warp_barrier(~0u, site);
  for (int e = 0; e < Fragment::num_elements; e++) {
    const int i = device::fragment_index(int(device::here.lane), e, Fragment::total);
    const unsigned row = unsigned(i / Fragment::columns), column = unsigned(i % Fragment::columns);
    each(e, matrix[by_rows ? row * stride + column : column * stride + row]);
  }
  device::warp_barrier(~0u, site);
}

}  // namespace detail

template <class Use, int M, int N, int K, class T, class Layout = void>
struct fragment : detail::Size<Use, M, N, K> {
  using Size = detail::Size<Use, M, N, K>;
  using element_type = typename detail::Storage<T>::type;
  static constexpr int total = Size::rows * Size::columns, num_elements = total / 32;
  element_type x[num_elements];
};

/// The nearest number with 10 bits of fraction, ties away from zero.
inline float __float_to_tf32(float x) {
  const unsigned bits = std::bit_cast<unsigned>(x);
  const bool finite = (bits & 0x7f800000u) != 0x7f800000u;
  return finite ? std::bit_cast<float>((bits + 0x1000u) & 0xffffe000u) : x;
}

template <class Use, int M, int N, int K, class T, class Layout, class Value>
void fill_fragment(fragment<Use, M, N, K, T, Layout>& f, const Value& value) {
  for (auto& element : f.x) element = static_cast<std::decay_t<decltype(element)>>(value);
}

template <class Use, int M, int N, int K, class T, class Layout>
void load_matrix_sync(fragment<Use, M, N, K, T, Layout>& f,
                      const typename detail::Storage<T>::type* matrix, unsigned stride,
                      unroll::sim::Site site = unroll::sim::Site::here()) {
  using Fragment = fragment<Use, M, N, K, T, Layout>;
  detail::for_elements<Fragment>(matrix, stride, std::is_same_v<Layout, row_major>, site,
                                 [&](int e, const auto& element) { f.x[e] = element; });
}
template <int M, int N, int K, class T>
void load_matrix_sync(fragment<accumulator, M, N, K, T>& f, const T* matrix, unsigned stride,
                      layout_t layout, unroll::sim::Site site = unroll::sim::Site::here()) {
  using Fragment = fragment<accumulator, M, N, K, T>;
  detail::for_elements<Fragment>(matrix, stride, layout == mem_row_major, site,
                                 [&](int e, const T& element) { f.x[e] = element; });
}
template <int M, int N, int K, class T>
void store_matrix_sync(T* matrix, const fragment<accumulator, M, N, K, T>& f, unsigned stride,
                       layout_t layout, unroll::sim::Site site = unroll::sim::Site::here()) {
  using Fragment = fragment<accumulator, M, N, K, T>;
  detail::for_elements<Fragment>(matrix, stride, layout == mem_row_major, site,
                                 [&](int e, T& element) { element = f.x[e]; });
}

/// d = a b + c
template <int M, int N, int K, class T, class LayoutA, class LayoutB, class Sum>
void mma_sync(fragment<accumulator, M, N, K, Sum>& d,
              const fragment<matrix_a, M, N, K, T, LayoutA>& a,
              const fragment<matrix_b, M, N, K, T, LayoutB>& b,
              const fragment<accumulator, M, N, K, Sum>& c,
              unroll::sim::Site site = unroll::sim::Site::here()) {
  static_assert(detail::exists<T, M, N, K>, "no GPU has a product of this shape");
  constexpr int from_a = std::decay_t<decltype(a)>::num_elements,
                from_b = std::decay_t<decltype(b)>::num_elements,
                from_d = std::decay_t<decltype(d)>::num_elements;
  float mine_a[from_a], mine_b[from_b], mine_d[from_d];
  for (int e = 0; e < from_a; e++) mine_a[e] = detail::operand<T>(a.x[e]);
  for (int e = 0; e < from_b; e++) mine_b[e] = detail::operand<T>(b.x[e]);
  for (int e = 0; e < from_d; e++) mine_d[e] = float(c.x[e]);
  unroll::sim::device::mma({M, N, K}, mine_a, mine_b, mine_d, site);
  for (int e = 0; e < from_d; e++) d.x[e] = Sum(mine_d[e]);
}

}  // namespace nvcuda::wmma
