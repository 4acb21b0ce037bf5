#include "kernels/matmul.h"

#include <string>

#include "core/error.h"
#include "cuda/cublas.h"
#include "cuda/matmul_kernel.h"
#include "cuda/matmul_parts.h"
#include "cuda/tensor_tile.h"
#include "kernels/matmul_backend.h"

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

// The same tiles by tensor cores; thin ones, which memory bounds, stay exact.
void run_tf32(const MatmulShape& s, const gpu::MatmulPlan& plan, const MatmulArgs<float>& args) {
  using gpu::MatmulTile;
  switch (plan.tile) {
    case MatmulTile::large: return product<TensorTile<float, 128, 128, 16, 2, 4>>(s, plan, args);
    case MatmulTile::medium: return product<TensorTile<float, 64, 64, 16, 2, 2>>(s, plan, args);
    default: return run(s, plan, args);
  }
}

}  // namespace

void require_matmul_backend() {
  matmul_options_of_environment();
  if (matmul_options().backend != MatmulBackend::cublas) return;
  if (const char* const why = cublas_missing())
    fail("matmul", std::string("cuBLAS was chosen, but ") + why +
                       "; choose UNROLL_MATMUL=own or set_matmul_options({})");
}

template <class T>
std::size_t matmul_scratch(const MatmulShape& s) noexcept {
  return std::size_t(gpu::matmul_plan(s, sizeof(T)).sums(s)) * sizeof(T);
}

template <class T>
void matmul(const MatmulShape& s, const MatmulArgs<T>& args) noexcept {
  if (s.M == 0 || s.N == 0 || s.batch == 0) return;
  const MatmulOptions options = matmul_options();
  if (options.backend == MatmulBackend::cublas && cublas_matmul(s, args, options.tf32)) return;
  const gpu::MatmulPlan plan = gpu::matmul_plan(s, sizeof(T));
  if constexpr (sizeof(T) == 4)
    if (options.tf32) return run_tf32(s, plan, args);
  run(s, plan, args);
}

template <class T>
void matmul_in_parts(const MatmulShape& s, std::int64_t parts, std::int64_t depth,
                     const MatmulArgs<T>& args) noexcept {
  if (s.M == 0 || s.N == 0 || s.batch == 0) return;
  gpu::MatmulPlan plan = gpu::matmul_tiling(s, sizeof(T), parts);
  plan.parts = parts, plan.depth = depth;
  run(s, plan, args);
}
template void matmul_in_parts(const MatmulShape&, std::int64_t, std::int64_t,
                              const MatmulArgs<float>&) noexcept;
template void matmul_in_parts(const MatmulShape&, std::int64_t, std::int64_t,
                              const MatmulArgs<double>&) noexcept;

UNROLL_GPU_SHAPE(matmul_scratch, std::size_t, MatmulShape)
UNROLL_GPU_KERNEL(matmul, void, MatmulShape, MatmulArgs)

}  // namespace unroll::UNROLL_GPU
