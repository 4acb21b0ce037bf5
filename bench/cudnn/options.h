// What cudnn_bench is asked for.
#pragma once

#include <stdexcept>
#include <string>
#include <vector>

#include "bench/cudnn/problem.h"
#include "core/device.h"

namespace unroll::bench {

struct Options {
  std::vector<std::string> ops = {"lstm", "gru", "rnn"};
  std::vector<Pass> passes = {Pass::forward, Pass::step};
  std::vector<Precision> precisions = {Precision::float32, Precision::tf32, Precision::float16,
                                       Precision::bfloat16};
  std::vector<bool> variable = {false, true};
  std::vector<Size> sizes;
  Device device;
  int runs = 30;
  std::string json, cudnn;
  bool help = false;
};

/// An option that is not there, or has a value that it cannot have.
class UsageError : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// What --help prints.
extern const char* const usage;

/// `usual` is the device where none is asked for. Throws UsageError.
Options parse_options(const std::vector<std::string>& arguments, Device usual);

}  // namespace unroll::bench
