// unroll bench: how fast the kernels are on this machine, results checked first.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <new>
#include <nlohmann/json.hpp>
#include <optional>

#include <sys/resource.h>
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
  bool has_size = false;
  std::int64_t rounds = 5;
  bool json = false;
};

struct Row {
  std::string op;
  Pass pass;
  bench::Size size;
  double ms = 0, gflops = 0, error = 0;
};

std::vector<bench::Size> sizes_of(const std::string& op, const Arguments& a) {
  if (!a.has_size) return bench::usual_sizes(op);
  const std::optional<bench::Size> size = bench::size_of(a.size);
  if (!size)
    throw UsageError("--size " + in_shell(a.size) + " is not N,T,I,H, four whole numbers from 1");
  try {
    bench::require_size(op, *size);
  } catch (const Error& error) {
    throw UsageError(error.what());
  }
  return {*size};
}

std::string name_of(const Row& row) {
  return row.op + " " + bench::name_of(row.pass) + " " + bench::text_of(row.size);
}

// Bytes that this process can have without swapping; infinite where the system does not say.
double free_memory() {
  double free = INFINITY;
  rlimit limit{};
  if (::getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
    free = double(limit.rlim_cur);
  std::ifstream file("/proc/meminfo");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("MemAvailable:"))
      free = std::min(free, 1024 * std::atof(line.c_str() + 13));
  return free;
}

void require_memory(const Row& row) {
  const double needed = bench::bytes_of(row.op, row.pass, row.size), free = free_memory();
  if (needed > free)
    throw UsageError(name_of(row) + " needs about " + number(needed / 1e9) +
                     " GB with its check in float64, and " + number(free / 1e9) +
                     " GB are free: ask for a smaller --size" +
                     (row.pass == Pass::step ? ", or for --pass forward" : ""));
}

// Everything that is asked for, before any of it is done.
std::vector<Row> rows_of(const Arguments& a) {
  std::vector<Row> rows;
  for (const std::string& op : a.ops)
    for (const bench::Size& size : sizes_of(op, a))
      for (const std::string& pass : a.passes) {
        rows.push_back({op, pass == "step" ? Pass::step : Pass::forward, size});
        require_memory(rows.back());
      }
  return rows;
}

// GFLOP/s.
double peak() { return bench::fma_peak(Dtype::float32, num_threads()) / 1e9; }

void measure(Row& row, const bench::Turns& turns) {
  const bench::Work work = bench::make_work(row.op, row.pass, row.size);
  const Tensors results = work.results();
  bench::stop_if(turns.stop);
  row.error = work.reference().error_of(results);
  if (!(row.error <= bench::tolerance))
    throw Error("bench: the result of " + name_of(row) + " is wrong: off by " + number(row.error) +
                " of its largest number");
  bench::stop_if(turns.stop);
  const double seconds = bench::time_in_turns({work.call}, turns)[0];
  row.ms = 1e3 * seconds;
  row.gflops = work.flops / seconds / 1e9;
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
  const double best = peak();
  nlohmann::json all = nlohmann::json::array();
  for (const Row& row : rows)
    all.push_back({{"op", row.op},
                   {"pass", bench::name_of(row.pass)},
                   {"size", {row.size.N, row.size.T, row.size.I, row.size.H}},
                   {"threads", num_threads()},
                   {"ms", row.ms},
                   {"gflops", row.gflops},
                   {"percent_of_peak", 100 * row.gflops / best},
                   {"error", row.error}});
  return {{"version", UNROLL_VERSION}, {"isa", isa_name(isa())}, {"processor", processor()},
          {"peak_gflops", best},       {"rounds", a.rounds},     {"rows", all}};
}

// One line of the table, which is printed row by row.
std::string line(const std::vector<std::string>& words) {
  char text[160];
  std::snprintf(text, sizeof text, "%-9s  %-7s  %18s  %9s  %8s  %9s  %8s\n", words[0].c_str(),
                words[1].c_str(), words[2].c_str(), words[3].c_str(), words[4].c_str(),
                words[5].c_str(), words[6].c_str());
  return text;
}

std::string head() {
  return "unroll " UNROLL_VERSION ", " + std::string(isa_name(isa())) + ", " + processor() +
         "; threads " + std::to_string(num_threads()) + ", float32; peak of multiply-adds " +
         number(peak()) + " GFLOP/s\n\n" +
         line({"op", "pass", "N,T,I,H", "ms", "GFLOP/s", "% of peak", "error"}) +
         std::string(80, '-') + "\n";
}

std::string line_of(const Row& row) {
  return line({row.op, bench::name_of(row.pass), bench::text_of(row.size), number(row.ms),
               number(row.gflops), number(100 * row.gflops / peak()), number(row.error)});
}

// Runs the row, or says why it cannot be.
void run_row(Row& row, const bench::Turns& turns) {
  const auto no_memory = [&] {
    return Error("bench: there is no memory for " + name_of(row) + ": ask for a smaller --size");
  };
  try {
    measure(row, turns);
  } catch (const std::bad_alloc&) {
    throw no_memory();
  } catch (const Error& error) {
    if (std::string(error.what()).starts_with("memory: ")) throw no_memory();
    throw;
  }
}

void run_bench(const Arguments& a) {
  if (a.rounds > 1000) throw UsageError("--rounds is above 1000");
  if (a.json && stdout_was_closed()) throw Error("bench: --json has no stdout to print to");
  std::vector<Row> rows = rows_of(a), done;
  const bench::Turns turns{.rounds = static_cast<int>(a.rounds), .stop = stop_on_signals()};
  const auto total = static_cast<std::int64_t>(rows.size());
  Progress progress(stderr, total);
  if (!a.json) print(head());
  const auto finish = [&] {
    progress.clear();
    if (a.json) print(json_of(done, a).dump(2) + "\n");
  };
  try {
    for (Row& row : rows) {
      if (progress.on_terminal())
        progress.show(static_cast<std::int64_t>(done.size()), name_of(row));
      run_row(row, turns);
      done.push_back(row);
      progress.clear();
      if (!a.json) print(line_of(row));
    }
  } catch (...) {  // what is measured is not lost
    finish();
    throw;
  }
  finish();
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
      "Use an idle machine. Rows are printed as they come; Ctrl-C keeps those that are done. A "
      "step is forward, then backward to all inputs and weights. matmul is\n"
      "[N T,I] x [I,H].");
  bench.on_run([a, bench] {
    a->has_size = bench.is_given("--size");
    run_bench(*a);
  });
}

}  // namespace unroll::cli
