// unroll capacity: what a recurrent network keeps of its past input.
#include <cmath>
#include <filesystem>
#include <memory>
#include <numeric>
#include <optional>

#include "cli/capacity_measures.h"
#include "cli/command.h"
#include "cli/output_files.h"
#include "cli/plot.h"
#include "cli/run.h"
#include "cli/run_folder.h"
#include "cli/terminal.h"
#include "cli/training_options.h"
#include "inversion/reservoir.h"
#include "io/atomic_file.h"
#include "models/windows.h"

namespace unroll::cli {
namespace {

struct Arguments {
  std::string weights, prefix, run, json, plot;
  std::optional<Cell> cell;
  bool has_prefix = false;
  ReservoirOptions reservoir;
  std::vector<std::string> measures;
  CapacityOptions options;
};

constexpr const char* kAll = "all";

Encoder encoder_of(const Arguments& a) {
  if (!a.weights.empty()) {
    EncoderHints hints{.cell = a.cell};
    if (a.has_prefix) hints.prefix = a.prefix;
    return Encoder::load(a.weights, hints);
  }
  ReservoirOptions drawn = a.reservoir;
  Random random(a.options.seed);
  return reservoir(drawn, random);
}

std::string title_of(const Arguments& a, const Encoder& encoder) {
  if (!a.weights.empty())
    return std::filesystem::path(a.weights).filename().string() + ": " + encoder.describe();
  return std::string(name(a.reservoir.kind)) + " reservoir: " + encoder.describe() + ", rho " +
         number(a.reservoir.rho) + ", gain " + number(a.reservoir.gain) + ", seed " +
         std::to_string(a.options.seed);
}

// The measures that were asked for; of `all` those that can be taken. What is left out is told.
std::vector<std::string> wanted(const Arguments& a, const Encoder& encoder, std::string& left_out) {
  std::vector<std::string> names;
  const bool all = a.measures.empty() || a.measures == std::vector<std::string>{kAll};
  for (const std::string& measure : all ? measure_names() : a.measures) {
    if (measure == kAll) throw UsageError("--measure all stands alone");
    const std::string why = obstacle(measure, encoder);
    if (why.empty())
      names.push_back(measure);
    else if (all)
      left_out += "left out: " + measure + ", which " + why + "\n";
    else
      throw Error("capacity: " + measure + " " + why + ", and this is a " + encoder.describe() +
                  "; measure sampled or profile instead");
  }
  return names;
}

// The held-out windows of a run of the attention model, or all of them where none were held out.
Measured attention_of(const std::string& directory) {
  const RunConfig config = load_config(directory);
  const Model model = Model::load(config, directory);
  const Data data(read_data(config.data, config), config);
  const Tensor windows = data.test ? data.test : data.train;
  std::vector<std::int64_t> all(static_cast<std::size_t>(windows.shape()[0]));
  std::iota(all.begin(), all.end(), 0);
  return describe(
      attention_share(model.reconstruction, gather_windows(windows, all, config.dtype)));
}

std::string summary(const std::vector<Measured>& lines) {
  std::vector<std::vector<std::string>> rows = {{"measure", "value", "theory", "rank", "cond"}};
  std::string warnings;
  for (const Measured& m : lines) {
    rows.push_back({m.name, m.value, m.theory, std::to_string(m.rank),
                    std::isinf(m.condition) ? "inf" : number(m.condition)});
    if (!m.warning.empty()) warnings += "warning: " + m.name + ": " + m.warning + "\n";
  }
  return table(rows) + (warnings.empty() ? "" : "\n" + warnings);
}

std::string json_text(const std::string& network, const std::vector<Measured>& lines) {
  nlohmann::json all = {{"network", network}, {"measures", nlohmann::json::object()}};
  for (const Measured& m : lines)
    all["measures"][m.name == "jaeger, naive" ? "jaeger_naive" : m.name] = m.json;
  return all.dump(2) + "\n";
}

std::string picture(const std::string& network, const std::vector<Measured>& lines) {
  Plot plot{.title = "Memory", .subtitle = network, .x_label = "lag", .columns = 2};
  for (const Measured& m : lines)
    if (!m.curve.empty())
      plot.panels.push_back({.title = m.curve_title,
                             .curves = {{m.name, 1, m.curve}},
                             .axis = static_cast<int>(plot.panels.size())});
  return to_svg(plot);
}

void run_capacity(const Arguments& a) {
  check_output_files("capacity", {{"--json", a.json}, {"--plot", a.plot}}, {a.weights});
  std::string network, left_out;
  std::vector<Measured> lines;
  if (!a.run.empty()) {
    network = "run " + a.run;
    lines.push_back(attention_of(a.run));
  } else {
    const Encoder encoder = encoder_of(a);
    network = title_of(a, encoder);
    const std::vector<std::string> names = wanted(a, encoder, left_out);
    Progress progress(stderr, static_cast<std::int64_t>(names.size()));
    for (std::size_t i = 0; i < names.size(); i++) {
      if (progress.on_terminal()) progress.show(static_cast<std::int64_t>(i), names[i]);
      for (Measured& m : measure(names[i], encoder, a.options)) lines.push_back(std::move(m));
    }
  }
  if (!a.json.empty()) write_file(a.json, json_text(network, lines));
  if (!a.plot.empty()) write_file(a.plot, picture(network, lines));
  print(network + "\n\n" + summary(lines) + left_out);
}

void add_network(Command& command, Arguments& a) {
  command.text("--weights", a.weights, "weights under PyTorch's names: safetensors or npz");
  command.text("--prefix", a.prefix, "of the layer's names, as in encoder.rnn.; else it is found");
  command.choice(
      "--cell", cell_names(), [&a](const std::string& text) { a.cell = cell_type(text); },
      "what an RNN's weights do not say (default tanh)");
  command.text("--run", a.run, "folder of a run of the attention model: attention's share");
  ReservoirOptions& r = a.reservoir;
  command.whole("--N", r.N, 1, "units of a reservoir that is drawn, without --weights or --run");
  command.choice(
      "--kind", reservoir_kinds(), [&r](const std::string& text) { r.kind = reservoir_kind(text); },
      "its weights (default orth)");
  command.real("--rho", r.rho, 0, 1e6, "their spectral radius");
  command.real("--gain", r.gain, 0, 1e6, "length of its input weights");
  command.choice(
      "--activation", {"linear", "tanh", "relu"},
      [&r](const std::string& text) { r.cell = cell_type(text); }, "its units (default linear)");
}

void check(const Command& command, Arguments& a) {
  a.has_prefix = command.is_given("--prefix");
  for (const char* drawn : {"--N", "--kind", "--rho", "--gain", "--activation"})
    if (command.is_given(drawn) && !(a.weights.empty() && a.run.empty()))
      throw UsageError(std::string(drawn) + " is of a drawn reservoir, not of --weights or --run");
  for (const char* loaded : {"--prefix", "--cell"})
    if (command.is_given(loaded) && a.weights.empty())
      throw UsageError(std::string(loaded) + " says how to read --weights, which is missing");
  if (!a.run.empty() && !(a.weights.empty() && a.measures.empty()))
    throw UsageError("--run measures attention's share alone: leave --weights and --measure out");
  if (!a.json.empty() && a.json == a.plot)
    throw UsageError("--json and --plot are the same file; take another name for one");
}

}  // namespace

void add_capacity(Command& unroll) {
  const auto a = std::make_shared<Arguments>();
  Command command =
      unroll.subcommand("capacity", "what a recurrent network keeps of its past input");
  add_network(command, *a);
  std::vector<std::string> names = measure_names();
  names.emplace_back(kAll);
  command.list("--measure", a->measures, "what to measure; default all that applies", names);
  command.whole("--lags", a->options.lags, 1, "of sampled and profile");
  command.whole("--steps", a->options.steps, 1, "of the sampled measures");
  command.seed("--seed", a->options.seed, "of reservoir and inputs");
  command.text("--json", a->json, "also write the measures to this file");
  command.text("--plot", a->plot, "picture of their curves: svg");
  command.threads();
  command.footer(
      "rank and cond are of what a number was computed from; a warning says where number and "
      "theory disagree.\n\n"
      "Examples:\n"
      "  unroll capacity --N 50 --kind gaussian --measure jaeger\n"
      "  unroll capacity --N 8 --activation tanh --json memory.json --plot memory.svg\n"
      "  unroll capacity --weights lstm.safetensors --measure profile,lyapunov\n"
      "  unroll capacity --run run");
  command.on_run([a, command] {
    check(command, *a);
    run_capacity(*a);
  });
}

}  // namespace unroll::cli
