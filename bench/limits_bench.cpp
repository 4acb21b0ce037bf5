// The limits of this machine that the other benchmarks compare with: multiply-adds in registers,
// and bytes through each level of memory, for 1 to OMP_NUM_THREADS threads.
//
//   OMP_NUM_THREADS=2 build/bench/limits_bench
//   UNROLL_ISA=avx2 build/bench/limits_bench --json
#include <cstdio>
#include <cstring>
#include <exception>

#ifdef _OPENMP
#include <omp.h>
#endif

#include "bench/limits.h"
#include "kernels/isa.h"

namespace unroll::bench {
namespace {

int most_threads() {
#ifdef _OPENMP
  return omp_get_max_threads();
#else
  return 1;
#endif
}

struct Level {
  const char* name;
  std::size_t bytes;  // for each thread, well inside it
};
constexpr Level levels[] = {
    {"L1", 24 << 10}, {"L2", 384 << 10}, {"L3", 6 << 20}, {"memory", 96 << 20}};
constexpr Traffic traffics[] = {Traffic::read, Traffic::write, Traffic::copy, Traffic::add,
                                Traffic::update};

void print_table(int threads) {
  std::printf("%s, %d thread%s\n", isa_name(isa()), threads, threads == 1 ? "" : "s");
  std::printf("  multiply-add  float32 %7.1f  float64 %7.1f GFLOP/s\n",
              fma_peak(Dtype::float32, threads) / 1e9, fma_peak(Dtype::float64, threads) / 1e9);
  for (const Level& level : levels) {
    std::printf("  %-6s", level.name);
    for (const Traffic traffic : traffics) {
      const double rate = bandwidth(traffic, level.bytes * std::size_t(threads), threads);
      std::printf("  %s %6.1f", name_of(traffic), rate / 1e9);
    }
    std::printf(" GB/s\n");
  }
}

void print_json(int threads, bool last) {
  std::printf("    {\"threads\": %d, \"float32_gflops\": %.2f, \"float64_gflops\": %.2f", threads,
              fma_peak(Dtype::float32, threads) / 1e9, fma_peak(Dtype::float64, threads) / 1e9);
  for (const Level& level : levels) {
    for (const Traffic traffic : traffics) {
      const double rate = bandwidth(traffic, level.bytes * std::size_t(threads), threads);
      std::printf(", \"%s_%s_gbs\": %.2f", level.name, name_of(traffic), rate / 1e9);
    }
  }
  std::printf("}%s\n", last ? "" : ",");
}

int run(bool json) {
  require_isa();
  if (json) std::printf("{\"isa\": \"%s\", \"limits\": [\n", isa_name(isa()));
  const int most = most_threads();
  for (int threads = 1; threads <= most; threads++) {
    json ? print_json(threads, threads == most) : print_table(threads);
  }
  if (json) std::printf("]}\n");
  return 0;
}

}  // namespace
}  // namespace unroll::bench

int main(int argc, char** argv) {
  try {
    return unroll::bench::run(argc > 1 && std::strcmp(argv[1], "--json") == 0);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
