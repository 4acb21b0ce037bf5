// unroll identify: whether what is seen of a run says what its input was, before it is inverted.
#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/command.h"
#include "cli/inversion_json.h"
#include "cli/inversion_options.h"
#include "cli/output_files.h"
#include "cli/plot.h"
#include "cli/terminal.h"
#include "core/view.h"
#include "inversion/identifiability.h"
#include "io/atomic_file.h"

namespace unroll::cli {
namespace {

constexpr std::int64_t kShown = 24;  // steps of the table

struct Arguments {
  std::string input, json, plot;
  std::int64_t steps = 0;
  IdentifyOptions options;
};

using Table = std::vector<std::vector<std::string>>;

// ---- What is shown

std::string share_text(double share) {
  char text[16];
  std::snprintf(text, sizeof text, "%.0f %%", 100 * share);
  return text;
}

std::string numbers_text(const Identifiability& a) {
  const std::string about = a.exact ? "" : "about ";
  std::string condition = number(a.condition);
  if (!a.exact && std::isfinite(a.condition))
    condition += " (from " + number(a.condition_from) + " to " + number(a.condition_to) + ")";
  std::string text = "unknowns        " + std::to_string(a.unknowns) + "\nfacts           " +
                     std::to_string(a.facts) + "\nrank            " + about +
                     std::to_string(a.rank) + "\ncondition       " + condition +
                     "\neffective rank  " + about + number(a.effective_rank) +
                     "\ninverse radius  " + number(a.inverse_radius);
  if (a.inverse_radius > 1)
    text += ", errors of a stepwise inversion grow: solve all steps at once";
  return text + "\n";
}

std::string digits_table(const Identifiability& a) {
  Table rows = {{"computed in", "error of outputs", "digits, median", "of the worst number"}};
  for (const PredictedDigits& d : a.digits) {
    char median[16], worst[16];
    std::snprintf(median, sizeof median, "%.1f", d.median);
    std::snprintf(worst, sizeof worst, "%.1f", d.worst);
    rows.push_back({name(d.dtype), number(d.error), median, worst});
  }
  return table(rows);
}

std::string steps_table(const Identifiability& a) {
  const std::int64_t T = a.gain.shape()[0], I = a.gain.shape()[1], runs = a.saturation.shape()[1];
  Table rows = {{"step", "largest gain", "numbers lost", "known", "units saturated"}};
  for (std::int64_t t = 0; t < std::min(T, kShown); t++) {
    double gain = 0, known = 0, saturated = 0;
    std::int64_t lost = 0;
    for (std::int64_t i = 0; i < I; i++) {
      gain = std::max(gain, a.gain.item({t, i}));
      lost += std::isinf(a.gain.item({t, i}));
      known += a.known.item({t, i}) / static_cast<double>(I);
    }
    for (std::int64_t r = 0; r < runs; r++)
      saturated += a.saturation.item({t, r}) / static_cast<double>(runs);
    rows.push_back({std::to_string(t + 1), number(gain),
                    std::to_string(lost) + "/" + std::to_string(I), share_text(known),
                    share_text(saturated)});
  }
  std::string text = table(rows);
  if (T > kShown) text += "and " + std::to_string(T - kShown) + " more: see --json\n";
  return text;
}

std::string identify_json(const Identifiability& a, const Facts& facts) {
  nlohmann::json all = {{"encoder", facts.encoder().describe()},
                        {"observe", name(facts.observation())},
                        {"steps", facts.T()},
                        {"verdict", a.verdict},
                        {"determined", a.determined()},
                        {"unknowns", a.unknowns},
                        {"facts", a.facts},
                        {"rank", a.rank},
                        {"condition", a.condition},
                        {"condition_from", a.condition_from},
                        {"condition_to", a.condition_to},
                        {"exact", a.exact},
                        {"converged", a.converged},
                        {"effective_rank", a.effective_rank},
                        {"inverse_radius", a.inverse_radius},
                        {"singular_values", json_of(a.singular_values)},
                        {"gain", json_of(a.gain)},
                        {"known", json_of(a.known)},
                        {"lost_steps", a.lost_steps},
                        {"saturation", json_of(a.saturation)},
                        {"digits", nlohmann::json::array()}};
  for (const PredictedDigits& d : a.digits)
    all["digits"].push_back(
        {{"dtype", name(d.dtype)}, {"error", d.error}, {"median", d.median}, {"worst", d.worst}});
  return all.dump(2) + "\n";
}

// log10; a gap where it is no number.
std::vector<double> logs(const Tensor& values) {
  std::vector<double> out = to_vector<double>(contiguous_copy(values));
  for (double& value : out)
    value = value > 0 && std::isfinite(value) ? std::log10(value)
                                              : std::numeric_limits<double>::quiet_NaN();
  return out;
}

std::string plot_of(const Identifiability& a, const Facts& facts) {
  const Tensor gain = view::reshape(a.gain, {a.gain.numel()});
  return to_svg({.title = "Can the outputs predict the input?",
                 .subtitle = facts.encoder().describe() + ", seen " + name(facts.observation()) +
                             ", " + std::to_string(facts.T()) + " steps: " + a.verdict,
                 .x_label = "singular values in descending order; numbers of the input by steps",
                 .first_x = 1,
                 .panels = {{.title = "log10 of the singular values",
                             .curves = {{"singular value", 1, logs(a.singular_values)}},
                             .axis = 0},
                            {.title = "log10 of the gain onto each number (gap: lost)",
                             .curves = {{"gain", 2, logs(gain)}},
                             .axis = 1}}});
}

// ---- The work

void run_identify(const InversionOptions& asked, Arguments& a) {
  std::vector<std::string> inputs = asked.files();
  inputs.push_back(a.input);
  check_output_files("identify", {{"--json", a.json}, {"--plot", a.plot}}, inputs);
  if (a.input.empty() && a.steps == 0)
    throw UsageError("how many steps the run has is not said; add --steps T or --input X.npy");
  const Encoder encoder = asked.encoder();
  if (!a.input.empty()) {
    a.options.x = read_input("--input", a.input);
    const std::int64_t T = a.options.x.shape()[0];
    if (a.steps != 0 && a.steps != T)
      throw UsageError("--steps " + std::to_string(a.steps) + " and --input " + a.input + " of " +
                       std::to_string(T) + " steps contradict each other");
    a.steps = T;
  }
  const Facts facts(encoder, asked.observation(encoder), a.steps);
  const Identifiability answer = identify(facts, a.options);
  if (!a.json.empty()) write_file(a.json, identify_json(answer, facts));
  if (!a.plot.empty()) write_file(a.plot, plot_of(answer, facts));
  print(encoder.describe() + ", seen " + asked.observe() + ", " + std::to_string(a.steps) +
        (a.steps == 1 ? " step\n" : " steps\n") + answer.verdict + "\n\n" + numbers_text(answer) +
        "\n" + digits_table(answer) + "\n" + steps_table(answer));
}

}  // namespace

void add_identify(Command& unroll) {
  const auto a = std::make_shared<Arguments>();
  Command command =
      unroll.subcommand("identify", "whether an RNN's outputs determine its input, and how well");
  const auto asked = std::make_shared<InversionOptions>(command);
  command.whole("--steps", a->steps, 1, "T, where no --input says it");
  command.text("--input", a->input, "npy [T,N,I]: inputs to look at; default random ones");
  command.whole("--inputs", a->options.inputs, 1, "how many random ones");
  command.real("--scale", a->options.scale, 0, 1e300, "their standard deviation");
  command.seed("--seed", a->options.seed, "of those");
  command.real("--saturated", a->options.saturated, 0, 1,
               "a unit with a smaller derivative counts as saturated");
  command.text("--json", a->json, "also write everything to this file");
  command.text("--plot", a->plot, "picture of the spectrum and the gains: svg");
  asked->device();
  command.threads();
  command.footer(
      "The gain is the error of a number of the input for outputs that are off by 1; known is the\n"
      "share of it that the outputs fix.\n\n"
      "Examples:\n"
      "  unroll identify --weights lstm.safetensors --steps 20 --observe final\n"
      "  unroll identify --weights rnn.safetensors --input x.npy --observe readout:c.npy \\\n"
      "      --json answer.json --plot spectrum.svg");
  command.on_run([asked, a] { run_identify(*asked, *a); });
}

}  // namespace unroll::cli
