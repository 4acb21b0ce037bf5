// The clock of the device, and its ceilings.
#include "bench/cudnn/gpu.h"

#include <mma.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <string>

#include "core/device_memory.h"
#include "cuda/runtime.h"

namespace unroll::UNROLL_GPU {
namespace {

namespace wmma = nvcuda::wmma;
constexpr int block = 256;

// ---- The device

struct Sizes {
  unsigned blocks;         // that fill it
  std::size_t l2;          // bytes
  std::size_t copied;      // bytes of each array of the copy
  int fma_rounds, rounds;  // of the loops in registers
  int trials;
};

#ifdef __CUDACC__

Sizes sizes() {
  cudaDeviceProp properties;
  require(cudaGetDeviceProperties(&properties, current_device()), "properties");
  return {.blocks = unsigned(8 * properties.multiProcessorCount),
          .l2 = std::size_t(properties.l2CacheSize),
          .copied = std::size_t{512} << 20,
          .fma_rounds = 1 << 16,
          .rounds = 1 << 13,
          .trials = 10};
}

class Clock {
 public:
  Clock() {
    require(cudaEventCreate(&begin_), "event");
    require(cudaEventCreate(&end_), "event");
  }
  ~Clock() {
    cudaEventDestroy(begin_);
    cudaEventDestroy(end_);
  }
  Clock(const Clock&) = delete;
  Clock& operator=(const Clock&) = delete;

  void start() { require(cudaEventRecord(begin_, current_stream()), "event"); }
  double stop() {
    require(cudaEventRecord(end_, current_stream()), "event");
    require(cudaEventSynchronize(end_), "wait");
    float ms = 0;
    require(cudaEventElapsedTime(&ms, begin_, end_), "event");
    return 1e-3 * double(ms);
  }

 private:
  cudaEvent_t begin_ = {}, end_ = {};
};

#else

Sizes sizes() {
  return {.blocks = 2, .l2 = 4096, .copied = 8192, .fma_rounds = 3, .rounds = 2, .trials = 1};
}

class Clock {
 public:
  void start() {
    finish();
    begin_ = std::chrono::steady_clock::now();
  }
  double stop() {
    finish();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
  }

 private:
  std::chrono::steady_clock::time_point begin_;
};

#endif

// Memory of the device.
template <class T>
class Array {
 public:
  explicit Array(std::size_t count)
      : count_(count), data_(static_cast<T*>(allocate(count * sizeof(T)))) {}
  ~Array() { deallocate(data_); }
  Array(const Array&) = delete;
  Array& operator=(const Array&) = delete;

  T* data() const { return data_; }
  std::int64_t count() const { return std::int64_t(count_); }
  /// Throws Error unless every number of it is `value`.
  void require_all(float value, const char* what) const {
    std::vector<float> host(count_ * sizeof(T) / sizeof(float));
    download(host.data(), data_, count_ * sizeof(T));
    for (const float each : host)
      if (each != value)
        fail("cudnn_bench", std::string("the kernel for the ceiling of ") + what + " gave " +
                                std::to_string(each) + ", not " + std::to_string(value));
  }

 private:
  std::size_t count_;
  T* data_;
};

// ---- Kernels

__global__ void fill_kernel(float4* to, std::int64_t count, float value) {
  const std::int64_t step = std::int64_t(gridDim.x) * blockDim.x;
  for (std::int64_t i = std::int64_t(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += step)
    to[i] = make_float4(value, value, value, value);
}

__global__ void copy_kernel(const float4* from, float4* to, std::int64_t count) {
  const std::int64_t step = std::int64_t(gridDim.x) * blockDim.x;
  for (std::int64_t i = std::int64_t(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += step)
    to[i] = from[i];
}

// As many chains of multiply-adds as hide the latency of one: x <- a x + b. Each starts at another
// number, so that no two are one for the compiler.
constexpr int chains = 8;
__global__ void __launch_bounds__(block) fma_kernel(float* sums, float a, float b, int rounds) {
  float x[chains];
#pragma unroll
  for (int i = 0; i < chains; i++) x[i] = float(i);
#pragma unroll 16
  for (int round = 0; round < rounds; round++) {
#pragma unroll
    for (int i = 0; i < chains; i++) x[i] = std::fma(x[i], a, b);
  }
  float sum = 0;
#pragma unroll
  for (int i = 0; i < chains; i++) sum += x[i];
  sums[blockIdx.x * blockDim.x + threadIdx.x] = sum;
}

// The tile of a warp's product: 16 x 16 x depth.
template <class T>
struct Tile {
  using Element = T;
  static constexpr int depth = 16;
};
template <>
struct Tile<wmma::precision::tf32> {
  using Element = float;
  static constexpr int depth = 8;
};

// c <- a b + c, in several tiles at once; their sum is stored.
constexpr int tiles = 4;
template <class T>
__global__ void __launch_bounds__(block) tensor_kernel(float* sums, float value, int rounds) {
  constexpr int depth = Tile<T>::depth;
  wmma::fragment<wmma::matrix_a, 16, 16, depth, T, wmma::row_major> a;
  wmma::fragment<wmma::matrix_b, 16, 16, depth, T, wmma::col_major> b;
  wmma::fragment<wmma::accumulator, 16, 16, depth, float> c[tiles];
  wmma::fill_fragment(a, typename Tile<T>::Element(value));
  wmma::fill_fragment(b, typename Tile<T>::Element(value));
#pragma unroll
  for (int i = 0; i < tiles; i++) wmma::fill_fragment(c[i], float(i));
#pragma unroll 4
  for (int round = 0; round < rounds; round++) {
#pragma unroll
    for (int i = 0; i < tiles; i++) wmma::mma_sync(c[i], a, b, c[i]);
  }
#pragma unroll
  for (int i = 1; i < tiles; i++) {
#pragma unroll
    for (int e = 0; e < c[i].num_elements; e++) c[0].x[e] += c[i].x[e];
  }
  const unsigned warp = (blockIdx.x * blockDim.x + threadIdx.x) / 32;
  wmma::store_matrix_sync(sums + warp * 256, c[0], 16, wmma::mem_row_major);
}

// ---- Measurements

// 0 + 1 + .. below n: what chains and tiles start with.
constexpr int starts(int n) { return n * (n - 1) / 2; }

double best_seconds(const std::function<void()>& call, int trials) {
  Clock clock;
  call();
  double best = 0;
  for (int i = 0; i < trials; i++) {
    clock.start();
    call();
    const double seconds = clock.stop();
    best = i == 0 ? seconds : std::min(best, seconds);
  }
  return best;
}

void fill(const Array<float4>& array, unsigned blocks, float value) {
  launch(fill_kernel, {.name = "fill", .grid = blocks, .block = block, .stream = current_stream()},
         array.data(), array.count(), value);
}

double copy_rate(const Sizes& s) {
  const Array<float4> from(s.copied / sizeof(float4)), to(s.copied / sizeof(float4));
  fill(from, s.blocks, 3);
  const double seconds = best_seconds(
      [&] {
        launch(copy_kernel,
               {.name = "copy", .grid = s.blocks, .block = block, .stream = current_stream()},
               from.data(), to.data(), to.count());
      },
      s.trials);
  to.require_all(3, "copies");
  return 2 * double(s.copied) / seconds;
}

double fma_rate(const Sizes& s) {
  const Array<float> sums(std::size_t(s.blocks) * block);
  const double seconds = best_seconds(
      [&] {
        launch(fma_kernel,
               {.name = "fma", .grid = s.blocks, .block = block, .stream = current_stream()},
               sums.data(), 1.f, 1.f, s.fma_rounds);
      },
      s.trials);
  sums.require_all(float(chains * s.fma_rounds + starts(chains)), "multiply-adds");
  return 2.0 * chains * s.fma_rounds * double(sums.count()) / seconds;
}

template <class T>
double tensor_rate(const Sizes& s, const char* what) {
  const std::size_t warps = std::size_t(s.blocks) * block / 32;
  const Array<float> sums(warps * 256);
  const double seconds = best_seconds(
      [&] {
        launch(tensor_kernel<T>,
               {.name = "tensor", .grid = s.blocks, .block = block, .stream = current_stream()},
               sums.data(), 1.f, s.rounds);
      },
      s.trials);
  sums.require_all(float(tiles * s.rounds * Tile<T>::depth + starts(tiles)), what);
  return 2.0 * 256 * Tile<T>::depth * tiles * s.rounds * double(warps) / seconds;
}

}  // namespace

bench::Ceilings measure_ceilings() {
  const Sizes s = sizes();
  const bench::Ceilings measured = {.copy = copy_rate(s),
                                    .fma = fma_rate(s),
                                    .tf32 = tensor_rate<wmma::precision::tf32>(s, "tf32"),
                                    .float16 = tensor_rate<__half>(s, "float16"),
                                    .bfloat16 = tensor_rate<__nv_bfloat16>(s, "bfloat16")};
  require_launched();
#ifdef __CUDACC__
  return measured;
#else
  (void)measured;
  return {};
#endif
}

std::vector<double> time_calls(const std::function<void()>& call, int count) {
  const Sizes s = sizes();
  const Array<float4> flushed(2 * s.l2 / sizeof(float4));
  Clock clock;
  std::vector<double> seconds;
  for (int i = 0; i < count; i++) {
    fill(flushed, s.blocks, float(i));  // it runs while the host queues the call
    clock.start();
    call();
    seconds.push_back(clock.stop());
  }
  require_launched();
  return seconds;
}

void* stream_handle() noexcept {
#ifdef __CUDACC__
  return current_stream();
#else
  return nullptr;
#endif
}

}  // namespace unroll::UNROLL_GPU
