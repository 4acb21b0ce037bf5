#include "bench/turns.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <string>

#include "core/error.h"

namespace unroll::bench {
namespace {

using Call = std::function<void()>;

double seconds_of(const Call& call, long count) {
  const auto start = std::chrono::steady_clock::now();
  for (long i = 0; i < count; i++) call();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// How many calls take about `batch` seconds.
long calls_of(const Call& call, double batch) {
  long count = 1;
  double taken = seconds_of(call, 1);
  while (taken < batch / 4) {
    const double wanted = std::ceil(double(count) * batch / 2 / std::max(taken, 1e-7));
    count = std::min(count * 8, long(wanted));
    taken = seconds_of(call, count);
  }
  return std::max(1L, std::lround(double(count) * batch / taken));
}

}  // namespace

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t half = values.size() / 2;
  return values.size() % 2 ? values[half] : (values[half - 1] + values[half]) / 2;
}

void require_turns(const Turns& turns) {
  if (turns.rounds < 1)
    fail("bench", "rounds " + std::to_string(turns.rounds) + ": at least 1 is needed");
  if (!(turns.batch > 0 && std::isfinite(turns.batch)))
    fail("bench", "batch " + std::to_string(turns.batch) + ": seconds above 0 are needed");
}

void stop_if(const std::atomic<bool>* stop) {
  if (stop && *stop) fail("bench", "stopped before the end");
}

std::vector<double> time_in_turns(const std::vector<Call>& calls, const Turns& turns) {
  require_turns(turns);
  std::vector<long> count;
  for (const Call& call : calls) {
    stop_if(turns.stop);
    count.push_back(calls_of(call, turns.batch));
  }
  std::vector<std::vector<double>> taken(calls.size());
  for (int round = 0; round < turns.rounds; round++)
    for (std::size_t turn = 0; turn < calls.size(); turn++) {
      stop_if(turns.stop);
      const std::size_t i = (std::size_t(round) + turn) % calls.size();
      seconds_of(calls[i], count[i] / 16);
      taken[i].push_back(seconds_of(calls[i], count[i]) / double(count[i]));
    }
  std::vector<double> medians;
  for (const auto& each : taken) medians.push_back(median(each));
  return medians;
}

}  // namespace unroll::bench
