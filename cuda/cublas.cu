#include "cuda/cublas.h"

#ifdef __CUDACC__
#include <dlfcn.h>
#endif

namespace unroll::UNROLL_GPU {

#ifdef __CUDACC__
namespace {

// The part of cuBLAS's interface that is called, as cublas_api.h of versions 12 and 13 declares it.
using Handle = void*;
constexpr int success = 0, as_it_is = 0, turned = 1, any_algorithm = -1;
constexpr int compute_32f = 68, compute_64f = 70, compute_fast_tf32 = 77;
using Create = int (*)(Handle*);
using SetStream = int (*)(Handle, cudaStream_t);
using Multiply = int (*)(Handle, int, int, std::int64_t, std::int64_t, std::int64_t, const void*,
                         const void*, cudaDataType, std::int64_t, long long, const void*,
                         cudaDataType, std::int64_t, long long, const void*, void*, cudaDataType,
                         std::int64_t, long long, std::int64_t, int, int);

struct Library {
  Create create = nullptr;
  SetStream set_stream = nullptr;
  Multiply multiply = nullptr;
  const char* missing = nullptr;

  Library() noexcept {
    void* library = dlopen("libcublas.so.13", RTLD_NOW | RTLD_LOCAL);
    if (!library) library = dlopen("libcublas.so.12", RTLD_NOW | RTLD_LOCAL);
    if (!library) {
      missing = "neither libcublas.so.13 nor libcublas.so.12 can be loaded";
      return;
    }
    create = reinterpret_cast<Create>(dlsym(library, "cublasCreate_v2"));
    set_stream = reinterpret_cast<SetStream>(dlsym(library, "cublasSetStream_v2"));
    multiply = reinterpret_cast<Multiply>(dlsym(library, "cublasGemmStridedBatchedEx_64"));
    if (!create || !set_stream || !multiply) missing = "libcublas.so lacks a function";
  }
};
const Library& library() noexcept {
  static const Library loaded;
  return loaded;
}

// One for each thread and device; it lives as long as the program.
Handle handle() noexcept {
  constexpr int most_devices = 64;
  thread_local Handle handles[most_devices] = {};
  int device = 0;
  if (cudaGetDevice(&device) != cudaSuccess || device >= most_devices) return nullptr;
  if (!handles[device] && library().create(&handles[device]) != success) handles[device] = nullptr;
  return handles[device];
}

}  // namespace

const char* cublas_missing() noexcept { return library().missing; }

template <class T>
bool cublas_matmul(const MatmulShape& s, const MatmulArgs<T>& args, bool tf32) noexcept {
  const gpu::CublasLayout x = gpu::cublas_layout(s);
  if (!x.takes || cublas_missing()) return false;
  const Handle h = handle();
  if (!h || library().set_stream(h, current_stream()) != success) return false;
  constexpr bool wide = sizeof(T) == 8;
  constexpr cudaDataType type = wide ? CUDA_R_64F : CUDA_R_32F;
  const int compute = wide ? compute_64f : tf32 ? compute_fast_tf32 : compute_32f;
  const T alpha = T(s.alpha), beta = T(s.beta);
  return library().multiply(h, x.turn_b ? turned : as_it_is, x.turn_a ? turned : as_it_is, s.N, s.M,
                            s.K, &alpha, args.b, type, x.b, s.b_batch, args.a, type, x.a, s.a_batch,
                            &beta, args.c, type, s.c_row, s.c_batch, s.batch, compute,
                            any_algorithm) == success;
}

#else

const char* cublas_missing() noexcept {
  return "the simulator has the library's own kernels alone";
}

template <class T>
bool cublas_matmul(const MatmulShape&, const MatmulArgs<T>&, bool) noexcept {
  return false;
}

#endif

template bool cublas_matmul<float>(const MatmulShape&, const MatmulArgs<float>&, bool) noexcept;
template bool cublas_matmul<double>(const MatmulShape&, const MatmulArgs<double>&, bool) noexcept;

}  // namespace unroll::UNROLL_GPU
