// unroll bench: how fast the kernels are on this machine, results checked first.
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include <unistd.h>

#include "bench/limits.h"
#include "bench/turns.h"
#include "bench/work.h"
#include "cli/command.h"
#include "cli/signals.h"
#include "cli/terminal.h"
#include "core/parallel.h"
#include "kernels/isa.h"

namespace unroll::cli {
namespace {

using bench::Pass;

struct Arguments {
  std::vector<std::string> ops = {"lstm"}, passes = {"forward", "step"};
  std::string size;
  std::int64_t rounds = 5;
  bool json = false;
};

struct Row {
  std::string op;
  Pass pass;
  bench::Size size;
  double ms = 0, gflops = 0, percent_of_peak = 0, error = 0;
};

std::vector<bench::Size> sizes_of(const std::string& op, const std::string& asked) {
  if (asked.empty()) return bench::usual_sizes(op);
  const std::optional<bench::Size> size = bench::size_of(asked);
  if (!size) throw UsageError("--size " + asked + " is not N,T,I,H, four whole numbers from 1");
  try {
    bench::require_size(op, *size);
  } catch (const Error& error) {
    throw UsageError(error.what());
  }
  return {*size};
}

// Everything that is asked for, before any of it is done.
std::vector<Row> rows_of(const Arguments& a) {
  std::vector<Row> rows;
  for (const std::string& op : a.ops)
    for (const bench::Size& size : sizes_of(op, a.size))
      for (const std::string& pass : a.passes)
        rows.push_back({op, pass == "step" ? Pass::step : Pass::forward, size});
  return rows;
}

std::string name_of(const Row& row) {
  return row.op + " " + bench::name_of(row.pass) + " " + bench::text_of(row.size);
}

void measure(Row& row, const bench::Turns& turns) {
  const bench::Work work = bench::make_work(row.op, row.pass, row.size);
  row.error = bench::error_of(work.results(), work.reference());
  if (!(row.error <= bench::tolerance))
    throw Error("bench: the result of " + name_of(row) + " is wrong: off by " + number(row.error) +
                " of its largest number");
  bench::stop_if(turns.stop);
  const double seconds = bench::time_in_turns({work.call}, turns)[0];
  row.ms = 1e3 * seconds;
  row.gflops = work.flops / seconds / 1e9;
  row.percent_of_peak = 100 * work.flops / seconds / bench::fma_peak(Dtype::float32, num_threads());
}

// "AMD EPYC 9R14, 2 processors".
std::string processor() {
  const std::string count = std::to_string(::sysconf(_SC_NPROCESSORS_ONLN)) + " processors";
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);)
    if (const std::size_t colon = line.find(": ");
        line.starts_with("model name") && colon != line.npos)
      return shortened(line.substr(colon + 2)) + ", " + count;
  return count;
}

nlohmann::json json_of(const std::vector<Row>& rows, const Arguments& a) {
  nlohmann::json all = nlohmann::json::array();
  for (const Row& row : rows)
    all.push_back({{"op", row.op},
                   {"pass", bench::name_of(row.pass)},
                   {"size", {row.size.N, row.size.T, row.size.I, row.size.H}},
                   {"threads", num_threads()},
                   {"ms", row.ms},
                   {"gflops", row.gflops},
                   {"percent_of_peak", row.percent_of_peak},
                   {"error", row.error}});
  return {{"version", UNROLL_VERSION},
          {"isa", isa_name(isa())},
          {"processor", processor()},
          {"peak_gflops", bench::fma_peak(Dtype::float32, num_threads()) / 1e9},
          {"rounds", a.rounds},
          {"rows", all}};
}

std::string text_of(const std::vector<Row>& rows) {
  std::vector<std::vector<std::string>> lines = {
      {"op", "pass", "N,T,I,H", "ms", "GFLOP/s", "% of peak", "error"}};
  for (const Row& row : rows)
    lines.push_back({row.op, bench::name_of(row.pass), bench::text_of(row.size), number(row.ms),
                     number(row.gflops), number(row.percent_of_peak), number(row.error)});
  const double peak = bench::fma_peak(Dtype::float32, num_threads());
  return "unroll " UNROLL_VERSION ", " + std::string(isa_name(isa())) + ", " + processor() +
         "; threads " + std::to_string(num_threads()) + ", float32; peak of multiply-adds " +
         number(peak / 1e9) + " GFLOP/s\n\n" + table(lines);
}

void run_bench(const Arguments& a) {
  if (a.rounds > 1000) throw UsageError("--rounds is above 1000");
  std::vector<Row> rows = rows_of(a);
  const bench::Turns turns{.rounds = static_cast<int>(a.rounds), .stop = stop_on_signals()};
  const auto total = static_cast<std::int64_t>(rows.size());
  Progress progress(stderr, total);
  for (std::int64_t i = 0; i < total; i++) {
    Row& row = rows[static_cast<std::size_t>(i)];
    if (progress.on_terminal()) progress.show(i, name_of(row));
    measure(row, turns);
  }
  progress.clear();
  print(a.json ? json_of(rows, a).dump(2) + "\n" : text_of(rows));
}

}  // namespace

void add_bench(Command& unroll) {
  const auto a = std::make_shared<Arguments>();
  Command bench =
      unroll.subcommand("bench", "how fast the kernels are here, results checked first");
  bench.list("--op", a->ops, "ops to time; default lstm", bench::op_names());
  bench.list("--pass", a->passes, "default both", {"forward", "step"});
  bench.text("--size", a->size,
             "N,T,I,H: sequences, steps, inputs, hidden units (attention: sequences, steps, heads, "
             "width of a head); default six sizes");
  bench.whole("--rounds", a->rounds, 1, "batches of calls of each; the median counts");
  bench.threads();
  bench.flag("--json", a->json, "print JSON");
  bench.footer(
      "Examples:\n"
      "  unroll bench\n"
      "  unroll bench --op lstm --size 8,100,64,128 --threads 2 --json\n\n"
      "Use an idle machine. A step is forward, then backward to all inputs and weights. matmul is\n"
      "[N T,I] x [I,H].");
  bench.on_run([a] { run_bench(*a); });
}

}  // namespace unroll::cli
