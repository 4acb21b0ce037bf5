// unroll invert: the input of a run from its outputs, with a bound and a verdict for each sequence.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "autograd/ops.h"
#include "cli/command.h"
#include "cli/inversion_json.h"
#include "cli/inversion_options.h"
#include "cli/output_files.h"
#include "cli/plot.h"
#include "cli/signals.h"
#include "cli/terminal.h"
#include "core/view.h"
#include "inversion/decoder_start.h"
#include "inversion/invert.h"
#include "inversion/rounding.h"
#include "io/atomic_file.h"
#include "io/npy.h"

namespace unroll::cli {
namespace {

constexpr std::size_t kShown = 20;         // sequences of the table
constexpr std::chrono::seconds kQuiet{2};  // before progress is shown
constexpr std::size_t kCurves = 6;         // of the plot
constexpr Verdict kVerdicts[] = {Verdict::recovered, Verdict::ambiguous, Verdict::ill_conditioned,
                                 Verdict::local_minimum};

struct Arguments {
  std::string outputs, lengths, start, decoder, prior, out, json, plot;
  InvertOptions options;
};

bool is_sequence(Seen seen) { return seen == Seen::all || seen == Seen::every; }

Lengths read_lengths(const std::string& path) {
  const Tensor read = read_npy(path);
  if (read.dtype() != Dtype::int64 || read.rank() != 1)
    throw Error(path + ": --lengths is " + name(read.dtype()) + " " + to_string(read.shape()) +
                " but must be whole numbers [N]");
  return Lengths(to_vector<std::int64_t>(read));
}

// Samples [count,T,I] or [count,n], of the unknowns of one sequence.
Prior read_prior(const std::string& path, std::int64_t unknowns) {
  Tensor x = read_numbers(path);
  if (x.rank() == 3) x = view::reshape(x, {x.shape()[0], x.shape()[1] * x.shape()[2]});
  if (x.rank() != 2 || x.shape()[0] < 2 || x.shape()[1] != unknowns)
    throw Error(path + ": --prior is " + to_string(x.shape()) +
                " but must be at least two samples of the " + std::to_string(unknowns) +
                " unknowns of a sequence");
  return Prior::of_samples(x);
}

// ---- What is shown

std::string plural(std::size_t count, const std::string& what) {
  return std::to_string(count) + " " + what + (count == 1 ? "" : "s");
}

std::string count_text(const Inversion& found) {
  std::string text;
  for (const Verdict verdict : kVerdicts) {
    const auto count = std::count_if(found.sequences.begin(), found.sequences.end(),
                                     [=](const auto& s) { return s.verdict == verdict; });
    if (count > 0) text += (text.empty() ? "" : ", ") + std::to_string(count) + " " + name(verdict);
  }
  return text.empty() ? "no sequences" : text;
}

std::string summary(const Inversion& found) {
  std::vector<std::vector<std::string>> rows = {
      {"sequence", "verdict", "bound", "residual", "rank", "condition", "method"}};
  std::string reasons;
  const std::size_t shown = std::min(kShown, found.sequences.size());
  for (std::size_t n = 0; n < shown; n++) {
    const SequenceInversion& s = found.sequences[n];
    rows.push_back({std::to_string(n), name(s.verdict), number(s.error_bound), number(s.residual),
                    std::to_string(s.rank) + "/" + std::to_string(s.unknowns), number(s.condition),
                    name(s.method)});
    reasons += std::to_string(n) + ": " + s.reason + "\n";
  }
  std::string text = table(rows) + "\n" + reasons;
  if (shown < found.sequences.size())
    text += "and " + plural(found.sequences.size() - shown, "more sequence") + ": see --json\n";
  return text;
}

nlohmann::json sequence_json(const SequenceInversion& s) {
  nlohmann::json row = {{"verdict", name(s.verdict)}, {"reason", s.reason},
                        {"method", name(s.method)},   {"error_bound", s.error_bound},
                        {"bound", json_of(s.bound)},  {"residual", s.residual},
                        {"fact_error", s.fact_error}, {"unknowns", s.unknowns},
                        {"facts", s.facts},           {"rank", s.rank},
                        {"condition", s.condition}};
  if (s.other)
    row["other"] = {{"x", json_of(s.other)},
                    {"distance", s.other_distance},
                    {"difference", s.other_difference}};
  return row;
}

std::string inversion_json(const Inversion& found, const Encoder& encoder, const Facts& facts) {
  nlohmann::json all = {{"encoder", encoder.describe()},
                        {"observe", name(facts.observation())},
                        {"dtype", name(facts.observation().dtype)},
                        {"steps", facts.T()},
                        {"verdict", name(found.verdict())},
                        {"error_bound", found.error_bound()},
                        {"sequences", nlohmann::json::array()}};
  for (const SequenceInversion& s : found.sequences) all["sequences"].push_back(sequence_json(s));
  if (!facts.observation().initial_known) {
    all["h0"] = json_of(found.initial.h);
    if (found.initial.c) all["c0"] = json_of(found.initial.c);
  }
  return all.dump(2) + "\n";
}

// log10 of the largest bound of each step; where there is none, or it is 0, a gap.
std::vector<double> bound_curve(const SequenceInversion& s) {
  const std::int64_t T = s.bound.shape()[0], I = s.bound.shape()[1];
  const double* bound = s.bound.data<double>();
  std::vector<double> curve;
  for (std::int64_t t = 0; t < T; t++) {
    const double most = *std::max_element(bound + t * I, bound + (t + 1) * I);
    curve.push_back(std::isfinite(most) && most > 0 ? std::log10(most)
                                                    : std::numeric_limits<double>::quiet_NaN());
  }
  return curve;
}

std::string plot_of(const Inversion& found, const Encoder& encoder, const Facts& facts) {
  PlotPanel panel{.title = "log10 of the error bound (gap: not determined)"};
  for (std::size_t n = 0; n < std::min(kCurves, found.sequences.size()); n++)
    panel.curves.push_back({"sequence " + std::to_string(n), static_cast<int>(n) + 1,
                            bound_curve(found.sequences[n])});
  return to_svg({.title = "How far the input may be off",
                 .subtitle = encoder.describe() + ", seen " + name(facts.observation()) + ": " +
                             count_text(found),
                 .x_label = "step",
                 .first_x = 1,
                 .panels = {panel}});
}

// ---- The work

// The guess of a run's decoder, which works where the encoder does.
Tensor decoded(const std::string& run, const Facts& facts, const Tensor& outputs) {
  Model model = Model::open(run);
  model.move_to(facts.device());
  return decoder_start(facts, facts.from_outputs(outputs), model);
}

// x as the file holds it; what its type rounds off is added to the bounds.
Tensor as_written(Inversion& found, Dtype dtype) {
  if (dtype == Dtype::float64) return found.x;
  const Tensor rounding = abs(cast_copy(cast_copy(found.x, dtype), Dtype::float64) - found.x);
  for (std::size_t n = 0; n < found.sequences.size(); n++) {
    SequenceInversion& s = found.sequences[n];
    const std::int64_t T = s.bound.shape()[0];
    if (s.bound.numel() == 0) continue;
    const Tensor own = view::select(rounding, 1, static_cast<std::int64_t>(n));
    s.bound = contiguous_copy(s.bound + contiguous_copy(view::slice(own, 0, 0, T)));
    s.error_bound = amax(s.bound, {0, 1}).item();
  }
  return cast_copy(found.x, dtype);
}

// With progress on stderr, once it has taken a while.
Inversion inverted(const Encoder& encoder, const Tensor& outputs, const Observation& seen,
                   InvertOptions& options) {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point start = Clock::now();
  std::optional<Progress> progress;
  options.progress = [&](std::int64_t done, std::int64_t total) {
    if (Clock::now() - start < kQuiet || done == total) return;
    if (!progress) progress.emplace(stderr, total, done - 1);
    if (progress->is_due(done)) progress->show(done, "sequences");
  };
  return invert(encoder, outputs, seen, options);
}

void run_invert(const InversionOptions& asked, Arguments& a) {
  std::vector<std::string> inputs = asked.files();
  inputs.insert(inputs.end(), {a.outputs, a.lengths, a.start, a.prior});
  check_output_files("invert", {{"--out", a.out}, {"--json", a.json}, {"--plot", a.plot}}, inputs);
  const Encoder encoder = asked.encoder();
  const Dtype stored = read_npy(a.outputs).dtype();
  const Tensor outputs = read_numbers(a.outputs);
  const Observation seen = asked.observation(encoder, stored);
  if (!is_sequence(seen.outputs) && a.options.steps == 0)
    throw UsageError("--observe " + asked.observe() +
                     " does not say how many steps the run had; add --steps T");
  if (a.options.steps == 0) a.options.steps = steps_of_outputs(outputs, seen);
  const Facts facts(encoder, seen, a.options.steps);
  if (!a.lengths.empty()) a.options.lengths = read_lengths(a.lengths);
  if (!a.start.empty()) a.options.start = read_input("--start", a.start);
  if (!a.decoder.empty()) a.options.start = decoded(a.decoder, facts, outputs);
  if (!a.prior.empty()) a.options.prior = read_prior(a.prior, facts.unknowns());

  a.options.stop = stop_on_signals();
  Inversion found = inverted(encoder, outputs, seen, a.options);
  const bool real = stored != Dtype::int64 && stored != Dtype::boolean;
  const Tensor x = as_written(found, real ? stored : Dtype::float64);
  write_npy(a.out, x);
  if (!a.json.empty()) write_file(a.json, inversion_json(found, encoder, facts));
  if (!a.plot.empty()) write_file(a.plot, plot_of(found, encoder, facts));
  print(encoder.describe() + ", seen " + asked.observe() + ", " +
        plural(static_cast<std::size_t>(facts.T()), "step") + ", computed in " + name(seen.dtype) +
        "\n" + count_text(found) + ", error bound " + number(found.error_bound()) + "\n\n" +
        summary(found));
}

}  // namespace

void add_invert(Command& unroll) {
  const auto a = std::make_shared<Arguments>();
  Command command =
      unroll.subcommand("invert", "get the input of an RNN back from its outputs, with a bound");
  const auto asked = std::make_shared<InversionOptions>(command);
  command.text("--outputs", a->outputs,
               "npy of what was seen: [T,N,width], of a last state [N,width]; or without N",
               Need::required);
  command.text("--out", a->out, "npy [T,N,I]: the input, in the type of the outputs",
               Need::required);
  command.whole("--steps", a->options.steps, 1, "T, where the outputs do not say it");
  command.text("--lengths", a->lengths, "npy [N]: valid steps of each sequence; default all");
  command.text("--start", a->start, "npy [T,N,I]: a guess to start from");
  command.text("--decoder", a->decoder,
               "folder of a run of unroll train --encoder: its decoder's guess is the start");
  command.exclude("--start", "--decoder");
  command.text("--prior", a->prior,
               "npy [count,T,I]: samples of inputs, used where facts are fewer than unknowns");
  command.whole("--restarts", a->options.restarts, 0, "random starts");
  command.seed("--seed", a->options.seed, "of the random starts");
  command.text("--json", a->json, "also write everything to this file");
  command.text("--plot", a->plot, "picture of the bound at each step: svg");
  asked->device();
  command.threads();
  command.footer(
      "The verdict of a sequence is one of recovered, ambiguous, ill-conditioned, local minimum.\n"
      "The exit code is 0 whatever it is: it is in the output and in --json.\n\n"
      "Examples:\n"
      "  unroll invert --weights lstm.safetensors --outputs y.npy --out x.npy\n"
      "  unroll invert --weights rnn.safetensors --outputs last.npy --observe final --steps 20 \\\n"
      "      --out x.npy --json verdict.json");
  command.on_run([asked, a] { run_invert(*asked, *a); });
}

}  // namespace unroll::cli
