#include "cuda/matmul_half.h"

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "cuda/matmul_kernel.h"
#include "cuda/tensor_tile.h"

namespace unroll::UNROLL_GPU {
namespace {

template <class Half>
struct OnDevice;
template <>
struct OnDevice<Float16> {
  using type = __half;
};
template <>
struct OnDevice<Bfloat16> {
  using type = __nv_bfloat16;
};

template <class T>
void run(const MatmulShape& s, const gpu::MatmulPlan& plan, const HalfMatmulArgs<T>& args) {
  using gpu::MatmulTile;
  switch (plan.tile) {
    case MatmulTile::large: return product<TensorTile<T, 128, 128, 32, 2, 4>>(s, plan, args);
    case MatmulTile::medium: return product<TensorTile<T, 64, 64, 32, 2, 2>>(s, plan, args);
    case MatmulTile::flat: return product<ProductTile<T, float, 8, 128, 16, 4, 4>>(s, plan, args);
    case MatmulTile::tall: return product<ProductTile<T, float, 128, 8, 16, 4, 4>>(s, plan, args);
  }
}

}  // namespace

std::size_t matmul_half_scratch(const MatmulShape& s) noexcept {
  return std::size_t(gpu::matmul_plan(s, sizeof(float)).sums(s)) * sizeof(float);
}

template <class Half>
void matmul_half(const MatmulShape& s, const HalfMatmulArgs<Half>& args) noexcept {
  using T = typename OnDevice<Half>::type;
  static_assert(sizeof(T) == sizeof(Half));
  if (s.M == 0 || s.N == 0 || s.batch == 0) return;
  run<T>(s, gpu::matmul_plan(s, sizeof(float)),
         {reinterpret_cast<const T*>(args.a), reinterpret_cast<const T*>(args.b), args.c,
          args.scratch});
}

template void matmul_half<Float16>(const MatmulShape&, const HalfMatmulArgs<Float16>&) noexcept;
template void matmul_half<Bfloat16>(const MatmulShape&, const HalfMatmulArgs<Bfloat16>&) noexcept;

}  // namespace unroll::UNROLL_GPU
