// How far back the states of a network remember: linear readouts of x_{t-k} from h_t, by lag.
//
//   MemoryProfile p = memory_profile(encoder, {.lags = 40}, random);
//   p.r2[k]            // held-out R^2 of lag k: 1 exact, 0 as good as the mean, below: worse
//   p.capacity         // sampled memory capacity of Jaeger (2001)
//
// Works for every Encoder: any cell, layers, both directions (whose outputs also see what comes
// after t). Calls are thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/random.h"
#include "models/encoder.h"

namespace UNROLL_API unroll {

/// The law of the inputs.
enum class Drive : std::uint8_t { normal, uniform };  // N(0,1); U(-1,1)

struct MemoryOptions {
  std::int64_t lags = 150;      // k = 0 .. lags-1
  std::int64_t washout = 1000;  // first steps left out, at least `lags`
  std::int64_t steps = 20000;   // of each run, behind the washout
  double ridge = 0;             // on weights, per sample
  Drive drive = Drive::normal;
};

struct MemoryProfile {
  std::vector<double> r2;   // 1 - NMSE of x_{t-k}, mean over the channels, held out
  std::vector<double> m;    // what is explained of x_{t-k} (readout.h), summed over the channels
  double capacity = 0;      // sum of m, which theory bounds by the number of states
  std::int64_t states = 0;  // D*P
  std::int64_t rank = 0;    // of the states
  double condition = 1;
  std::string warning;  // one line where theory and number disagree or the lags are too few
};

/// Driven with white numbers; two runs, each of which tests what the other fits. Throws Error for
/// counts below 1 and as score_readout.
MemoryProfile memory_profile(const Encoder& encoder, const MemoryOptions& options, Random& random);

/// On two parts of given inputs [T,N,I], of any statistics, in the same way; `steps` and `drive`
/// are not used. The first max(washout, lags - 1) steps of every sequence are left out; throws
/// Error where none remain.
MemoryProfile memory_profile(const Encoder& encoder, const Tensor& one, const Tensor& other,
                             const MemoryOptions& options);

}  // namespace unroll
