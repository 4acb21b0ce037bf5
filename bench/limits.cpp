#include "bench/limits.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <map>
#include <thread>
#include <tuple>

#ifdef _OPENMP
#include <omp.h>
#endif

#include "bench/limit_loops.h"
#include "core/error.h"
#include "core/memory.h"
#include "kernels/isa.h"

namespace unroll {
namespace bench {
namespace {

using Clock = std::chrono::steady_clock;

// Short enough that some trials are not disturbed.
constexpr double trial_bytes = 16e6, trial_flops = 2e7;
constexpr int fewest_trials = 8;
constexpr double most_seconds = 0.3, agreement = 0.98;
// A neighbour may take half of a processor for as long as all trials last, so the first figure of
// the peak is the best of several moments.
constexpr int moments = 5;
constexpr std::chrono::milliseconds between_moments{30};

// What `threads` threads do per second, each of them run(thread), from when all have come until the
// last is done.
template <class Run>
double rate_of(int threads, Run run) {
  double total = 0, begin = INFINITY, end = -INFINITY;
  std::atomic<int> missing{threads};
  const Clock::time_point origin = Clock::now();
  const auto now = [&] { return std::chrono::duration<double>(Clock::now() - origin).count(); };
#ifdef _OPENMP
#pragma omp parallel num_threads(threads) reduction(+ : total) reduction(min : begin) \
    reduction(max : end)
  {
    missing--;
    while (missing > 0) std::this_thread::yield();
    begin = now();
    total = run(omp_get_thread_num());
    end = now();
  }
#else
  begin = now();
  for (int i = 0; i < threads; i++) total += run(i);
  end = now();
#endif
  return total / (end - begin);
}

// The best of many trials, until two agree that nothing better is to be had, or the time is up.
template <class Run>
double best_rate(int threads, Run run) {
  double best = 0, second = 0;
  const Clock::time_point start = Clock::now();
  const auto goes_on = [&] {
    const std::chrono::duration<double> spent = Clock::now() - start;
    return second < agreement * best && spent.count() < most_seconds;
  };
  for (int trial = 0; trial < fewest_trials || goes_on(); trial++) {
    const double rate = rate_of(threads, run);
    second = std::max(second, std::min(best, rate));
    best = std::max(best, rate);
  }
  return best;
}

template <class T>
double measure_fma(int threads) {
  const auto run = [](std::int64_t rounds) {
    alignas(64) T sink[64 / sizeof(T)];
    return cpu::fma_loop<T>({.rounds = rounds}, {.sink = sink});
  };
  const double each = run(1);
  return best_rate(threads, [&](int) { return run(std::int64_t(trial_flops / each)); });
}

int arrays_of(Traffic traffic) {
  return traffic == Traffic::copy ? 2 : traffic == Traffic::add ? 3 : 1;
}

double measure_stream(Traffic traffic, std::size_t bytes, int threads) {
  const int arrays = arrays_of(traffic);
  const std::int64_t wanted = std::int64_t(bytes / sizeof(float)) / (arrays * threads);
  const std::int64_t count = std::max<std::int64_t>(1, wanted / stream_step) * stream_step;
  const std::size_t whole = std::size_t(count) * std::size_t(arrays * threads) * sizeof(float);
  memory::Vector<float> buffer(whole / sizeof(float), 1.0f);
  StreamShape shape{.traffic = traffic, .count = count};
  shape.passes = std::max<std::int64_t>(1, std::int64_t(trial_bytes / double(whole)));
  const auto run = [&](int thread) {
    float* const own = buffer.data() + thread * arrays * count;
    alignas(64) float sink[16];
    return cpu::stream_loop<float>(
        shape, {.a = own, .b = own + count, .out = own + (arrays - 1) * count, .sink = sink});
  };
  const double plain = best_rate(threads, run);
  if (traffic == Traffic::read) return plain;
  shape.past_caches = true;
  return std::max(plain, best_rate(threads, run));
}

// figures[key], measured when it is first asked for.
template <class Key, class Measure>
double kept(std::map<Key, double>& figures, const Key& key, Measure measure) {
  const auto found = figures.find(key);
  if (found != figures.end()) return found->second;
  return figures[key] = measure();
}

}  // namespace

double fma_peak(Dtype dtype, int threads) {
  if (dtype != Dtype::float32 && dtype != Dtype::float64)
    fail("fma_peak", "has figures for float32 and float64 alone");
  static std::map<std::tuple<Isa, Dtype, int>, double> figures;
  double& best = figures[{isa(), dtype, threads}];
  for (int left = best > 0 ? 1 : moments; left > 0; left--) {
    best = std::max(
        best, dtype == Dtype::float32 ? measure_fma<float>(threads) : measure_fma<double>(threads));
    if (left > 1) std::this_thread::sleep_for(between_moments);
  }
  return best;
}

double bandwidth(Traffic traffic, std::size_t bytes, int threads) {
  static std::map<std::tuple<Isa, Traffic, std::size_t, int>, double> figures;
  return kept(figures, {isa(), traffic, bytes, threads},
              [&] { return measure_stream(traffic, bytes, threads); });
}

const char* name_of(Traffic traffic) {
  switch (traffic) {
    case Traffic::read: return "read";
    case Traffic::write: return "write";
    case Traffic::copy: return "copy";
    case Traffic::add: return "add";
    case Traffic::update: return "update";
  }
  return "";
}

}  // namespace bench

UNROLL_DISPATCH(fma_loop, double, bench::FmaShape, bench::FmaArgs)
UNROLL_DISPATCH_TEMPLATE(stream_loop, double, bench::StreamShape, bench::StreamArgs)
UNROLL_DISPATCH_FOR(float, stream_loop, double, bench::StreamShape, bench::StreamArgs)

}  // namespace unroll
