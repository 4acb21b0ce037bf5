// The measures of `unroll capacity`, each as a line of its table.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "inversion/attention_share.h"
#include "models/encoder.h"

namespace unroll::cli {

struct CapacityOptions {
  std::int64_t lags = 150, steps = 20000;
  std::uint64_t seed = 1;
};

struct Measured {
  std::string name, value, theory;  // theory: "" where there is none to compare with
  std::int64_t rank = 0;
  double condition = 1;
  std::string warning;
  nlohmann::json json;
  std::string curve_title;  // "": no curve
  std::vector<double> curve;
};

/// "jaeger", "sampled", "information", "fisher", "lyapunov", "profile".
const std::vector<std::string>& measure_names();
/// Why a measure cannot be taken of this encoder; "" where it can.
std::string obstacle(const std::string& measure, const Encoder& encoder);
/// One line, or two for jaeger: the sound way and the naive one.
std::vector<Measured> measure(const std::string& name, const Encoder& encoder,
                              const CapacityOptions& options);
Measured describe(const AttentionShare& share);

}  // namespace unroll::cli
