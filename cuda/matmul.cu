#include "kernels/matmul.h"

#include "cuda/backend.h"
#include "cuda/matmul_kernel.h"

namespace unroll::UNROLL_GPU {
namespace {

template <class T>
struct Tiles {
  using Large = ProductTile<T, T, 128, 128, 16, 8, 8>;
};
template <>
struct Tiles<double> {
  using Large = ProductTile<double, double, 128, 64, 8, 8, 4>;
};

template <class T>
void run(const MatmulShape& s, const gpu::MatmulPlan& plan, const MatmulArgs<T>& args) {
  using gpu::MatmulTile;
  constexpr int depth = 64 / int(sizeof(T));
  switch (plan.tile) {
    case MatmulTile::large: return product<typename Tiles<T>::Large>(s, plan, args);
    case MatmulTile::medium: return product<ProductTile<T, T, 64, 64, depth, 4, 4>>(s, plan, args);
    case MatmulTile::flat: return product<ProductTile<T, T, 8, 128, 16, 4, 4>>(s, plan, args);
    case MatmulTile::tall: return product<ProductTile<T, T, 128, 8, 16, 4, 4>>(s, plan, args);
  }
}

}  // namespace

template <class T>
std::size_t matmul_scratch(const MatmulShape& s) noexcept {
  return std::size_t(gpu::matmul_plan(s, sizeof(T)).sums(s)) * sizeof(T);
}

template <class T>
void matmul(const MatmulShape& s, const MatmulArgs<T>& args) noexcept {
  if (s.M == 0 || s.N == 0 || s.batch == 0) return;
  run(s, gpu::matmul_plan(s, sizeof(T)), args);
}

UNROLL_GPU_SHAPE(matmul_scratch, std::size_t, MatmulShape)
UNROLL_GPU_KERNEL(matmul, void, MatmulShape, MatmulArgs)

}  // namespace unroll::UNROLL_GPU
