// What was measured: rows, as a table in Markdown and as JSON.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "bench/cudnn/gpu.h"
#include "bench/cudnn/options.h"
#include "bench/cudnn/problem.h"

namespace unroll::bench {

enum class Status {
  timed,
  not_supported,  // the contender does not take the problem
  wrong,          // the result is off by more than tolerance_of(): not timed
  failed,         // the device or the contender failed
};

/// "timed", "not supported", "wrong", "failed".
const char* name_of(Status status);

struct Row {
  Problem problem;
  std::string contender;
  Status status = Status::timed;
  std::string reason;  // of all that is not timed
  double error = -1;   // the largest difference from float64; -1: no result
  double ms = 0;       // the median
  double ratio = 0;    // its time over ours; 0 where either is not timed
};

/// Where and how it was measured.
struct Machine {
  Device device;
  std::string description, cudnn;
  Ceilings ceilings;
  int runs = 0;
  bool simulated() const { return device.kind == DeviceKind::sim; }
};

/// The ceiling of products in this precision.
double peak_of(const Ceilings& ceilings, Precision precision);

/// What stands above the table: device, cuDNN, ceilings, and the head of the table.
std::string head_of(const Machine& machine);
/// One line of it.
std::string line_of(const Row& row, const Machine& machine);

/// docs/benchmarks.md has the form.
nlohmann::json json_of(const std::vector<Row>& rows, const Machine& machine);

}  // namespace unroll::bench
