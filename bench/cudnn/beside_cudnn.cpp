#include "bench/cudnn/beside_cudnn.h"

#include <algorithm>
#include <cstdio>
#include <exception>
#include <nlohmann/json.hpp>
#include <optional>

#include "bench/cudnn/cudnn_run.h"
#include "bench/cudnn/gpu.h"
#include "bench/reference.h"
#include "bench/turns.h"
#include "core/error.h"
#include "io/atomic_file.h"
#include "kernels/isa.h"

namespace unroll::bench {
namespace {

constexpr int no_device = 77;  // what test runners take for "skipped"
constexpr int warm_calls = 3, least_calls = 5;
constexpr double seconds_of_a_row = 1;

double median_ms(Device device, const Run& run, int runs) {
  int count = runs;
  if (device.kind != DeviceKind::sim) {
    const double one = median(seconds_of_calls(device, run.call, warm_calls));
    const double fit = seconds_of_a_row / std::max(one, 1e-9);
    count = std::clamp(int(std::min(fit, 1e6)), std::min(least_calls, runs), runs);
  }
  return 1e3 * median(seconds_of_calls(device, run.call, count));
}

// The results that a pass has, of those of a step.
Tensors part_for(const Problem& problem, const Tensors& all) {
  if (problem.pass == Pass::step) return all;
  return Tensors(all.begin(), all.begin() + outputs_of(problem.op));
}

Row row_of(const Contender& contender, const Problem& problem, const Inputs& inputs,
           const Tensors& wanted, const Options& options) {
  Row row{.problem = problem, .contender = contender.name};
  try {
    const Run run = contender.prepare(problem, inputs, options.device);
    row.error = error_of(run.results(), wanted);
    row.error = std::max(row.error, error_of(run.results(), wanted));  // with its weights packed
    if (!(row.error <= tolerance_of(problem.precision))) {
      row.status = Status::wrong;
      row.reason = "off by more than a rounded result can be";
      return row;
    }
    row.ms = median_ms(options.device, run, options.runs);
  } catch (const NotSupported& reason) {
    row.status = Status::not_supported;
    row.reason = reason.what();
  } catch (const Error& error) {
    row.status = Status::failed;
    row.reason = error.what();
  }
  return row;
}

// Problems of one op, size and kind of lengths: those of one stored type share inputs and results.
void measure_layer(Problem problem, const Options& options,
                   const std::vector<Contender>& contenders,
                   const std::function<void(const Row&)>& each) {
  const Pass longest = *std::max_element(options.passes.begin(), options.passes.end());
  std::optional<Inputs> inputs;
  Tensors wanted;
  for (const Precision precision : options.precisions) {
    const bool known = inputs && stored_as(problem.precision) == stored_as(precision);
    problem.precision = precision;
    if (!known) {
      problem.pass = longest;
      inputs.emplace(problem);
      wanted = reference(problem, *inputs);
    }
    for (const Pass pass : options.passes) {
      problem.pass = pass;
      double ours = 0;
      for (const Contender& contender : contenders) {
        Row row = row_of(contender, problem, *inputs, part_for(problem, wanted), options);
        if (contender.name == "unroll") ours = row.ms;
        if (ours > 0) row.ratio = row.ms / ours;
        each(row);
      }
    }
  }
}

bool fails(const Row& row, const std::vector<Contender>& contenders) {
  if (row.status != Status::wrong && row.status != Status::failed) return false;
  for (const Contender& contender : contenders)
    if (contender.name == row.contender) return !contender.is_peer;
  return true;
}

int run(const Options& options, const std::vector<Contender>& own) {
  const CudnnContenders cudnn = options.device.kind == DeviceKind::sim
                                    ? CudnnContenders{{}, "cuDNN needs a GPU"}
                                    : cudnn_contenders(options.cudnn);
  std::vector<Contender> contenders = {unroll_contender()};
  contenders.insert(contenders.end(), own.begin(), own.end());
  contenders.insert(contenders.end(), cudnn.all.begin(), cudnn.all.end());
  const Machine machine = {.device = options.device,
                           .description = description(options.device),
                           .cudnn = cudnn.what,
                           .ceilings = ceilings_of(options.device),
                           .runs = options.runs};
  // Made and removed, so that a folder that is not there does not cost an hour of measurements.
  if (!options.json.empty()) AtomicFile("cudnn_bench", options.json);
  std::fputs(head_of(machine).c_str(), stdout);
  bool failed = false;
  const std::vector<Row> rows = measure(options, contenders, [&](const Row& row) {
    std::fputs(line_of(row, machine).c_str(), stdout);
    std::fflush(stdout);
    failed = failed || fails(row, contenders);
  });
  if (!options.json.empty()) write_file(options.json, json_of(rows, machine).dump(2) + "\n");
  return failed ? 1 : 0;
}

}  // namespace

std::vector<Row> measure(const Options& options, const std::vector<Contender>& contenders,
                         const std::function<void(const Row&)>& each) {
  std::vector<Row> rows;
  for (const std::string& op : options.ops)
    for (const Size& size : options.sizes)
      for (const bool variable : options.variable)
        measure_layer({.op = op, .size = size, .variable = variable}, options, contenders,
                      [&](const Row& row) {
                        rows.push_back(row);
                        each(row);
                      });
  return rows;
}

int beside_cudnn(int argc, char** argv, const std::vector<Contender>& own, Device usual) try {
  const Options options = parse_options({argv + 1, argv + argc}, usual);
  if (options.help) {
    std::fputs(usage, stdout);
    return 0;
  }
  if (const std::string why = why_unavailable(options.device); !why.empty()) {
    std::fprintf(stderr, "%s: %s: %s; --device sim checks this program without a GPU\n", argv[0],
                 name(options.device).c_str(), why.c_str());
    return no_device;
  }
  require_isa();
  return run(options, own);
} catch (const UsageError& error) {
  std::fprintf(stderr, "%s: %s\n", argv[0], error.what());
  return 2;
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s: %s\n", argv[0], error.what());
  return 1;
}

}  // namespace unroll::bench
