#include "bench/cudnn/rows.h"

#include <cstdio>
#include <nlohmann/json.hpp>

namespace unroll::bench {
namespace {

std::string number(const char* format, double value) {
  char text[64];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

std::string line(const std::vector<std::string>& cells) {
  std::string text = "|";
  for (const std::string& cell : cells) text += " " + cell + " |";
  return text + "\n";
}

// Rates of a row; all 0 where it was not timed on a GPU.
struct Rates {
  double flops = 0, bytes = 0, of_peak = 0, of_copy = 0;
  Rates(const Row& row, const Machine& machine) {
    if (row.status != Status::timed || machine.simulated()) return;
    flops = flops_of(row.problem) / (1e-3 * row.ms);
    bytes = bytes_of(row.problem) / (1e-3 * row.ms);
    of_peak = flops / peak_of(machine.ceilings, row.problem.precision);
    of_copy = bytes / machine.ceilings.copy;
  }
};

nlohmann::json or_null(double value) {
  return value > 0 ? nlohmann::json(value) : nlohmann::json();
}

}  // namespace

const char* name_of(Status status) {
  switch (status) {
    case Status::timed: return "timed";
    case Status::not_supported: return "not supported";
    case Status::wrong: return "wrong";
    case Status::failed: return "failed";
  }
  return "?";
}

double peak_of(const Ceilings& ceilings, Precision precision) {
  switch (precision) {
    case Precision::tf32: return ceilings.tf32;
    case Precision::float16: return ceilings.float16;
    case Precision::bfloat16: return ceilings.bfloat16;
    default: return ceilings.fma;
  }
}

std::string head_of(const Machine& m) {
  std::string text = name(m.device) + ": " + m.description + "; " + m.cudnn + "\n";
  if (m.simulated()) {
    text += "Times are the simulator's and say nothing of a GPU.\n";
  } else {
    const Ceilings& c = m.ceilings;
    text += "Ceilings: copy " + number("%.0f", c.copy / 1e9) +
            " GB/s; multiply-adds, TFLOP/s: " + "float32 " + number("%.1f", c.fma / 1e12) +
            ", tf32 " + number("%.1f", c.tf32 / 1e12) + ", float16 " +
            number("%.1f", c.float16 / 1e12) + ", bfloat16 " + number("%.1f", c.bfloat16 / 1e12) +
            ". Medians of " + std::to_string(m.runs) + " calls, L2 cache flushed before each.\n";
  }
  const std::vector<std::string> cells = {"op",
                                          "pass",
                                          "dtype",
                                          "lengths",
                                          "N,T,I,H",
                                          "contender",
                                          m.simulated() ? "ms of the simulator" : "ms",
                                          "its time / ours",
                                          "GFLOP/s",
                                          "% of peak",
                                          "GB/s",
                                          "% of copy",
                                          "error",
                                          ""};
  return text + "\n" + line(cells) + line(std::vector<std::string>(cells.size(), "---"));
}

std::string line_of(const Row& row, const Machine& machine) {
  const Problem& p = row.problem;
  const Rates rates(row, machine);
  const auto or_dash = [](const char* format, double value) {
    return value > 0 ? number(format, value) : std::string("-");
  };
  return line({p.op, name_of(p.pass), name_of(p.precision), p.variable ? "variable" : "full",
               text_of(p.size), row.contender, or_dash("%.4f", row.ms),
               or_dash("%.2f", machine.simulated() ? 0 : row.ratio),
               or_dash("%.1f", rates.flops / 1e9), or_dash("%.1f", 100 * rates.of_peak),
               or_dash("%.1f", rates.bytes / 1e9), or_dash("%.1f", 100 * rates.of_copy),
               row.error < 0 ? "-" : number("%.1e", row.error),
               row.status == Status::timed ? "" : name_of(row.status) + (": " + row.reason)});
}

nlohmann::json json_of(const std::vector<Row>& rows, const Machine& machine) {
  nlohmann::json all = nlohmann::json::array();
  for (const Row& row : rows) {
    const Problem& p = row.problem;
    const Rates rates(row, machine);
    all.push_back({{"op", p.op},
                   {"pass", name_of(p.pass)},
                   {"dtype", name_of(p.precision)},
                   {"lengths", p.variable ? "variable" : "full"},
                   {"size", {p.size.N, p.size.T, p.size.I, p.size.H}},
                   {"contender", row.contender},
                   {"status", name_of(row.status)},
                   {"reason", row.reason},
                   {"ms", or_null(row.ms)},
                   {"time_over_ours", or_null(machine.simulated() ? 0 : row.ratio)},
                   {"flops", flops_of(p)},
                   {"bytes", bytes_of(p)},
                   {"percent_of_peak", or_null(100 * rates.of_peak)},
                   {"percent_of_copy", or_null(100 * rates.of_copy)},
                   {"error", row.error < 0 ? nlohmann::json() : nlohmann::json(row.error)}});
  }
  const Ceilings& c = machine.ceilings;
  return {{"device", name(machine.device)},
          {"description", machine.description},
          {"times_of", machine.simulated() ? "simulator" : "GPU"},
          {"cudnn", machine.cudnn},
          {"runs", machine.runs},
          {"ceilings",
           {{"copy_bytes_per_second", or_null(c.copy)},
            {"float32_flops", or_null(c.fma)},
            {"tf32_flops", or_null(c.tf32)},
            {"float16_flops", or_null(c.float16)},
            {"bfloat16_flops", or_null(c.bfloat16)}}},
          {"rows", all}};
}

}  // namespace unroll::bench
