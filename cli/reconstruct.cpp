// unroll reconstruct: a series through a trained model, as csv and, if wanted, as a picture.
#include <filesystem>
#include <memory>

#include "cli/command.h"
#include "cli/output_files.h"
#include "cli/plot.h"
#include "cli/rebuild.h"
#include "cli/run_folder.h"
#include "cli/terminal.h"
#include "core/view.h"
#include "io/atomic_file.h"
#include "io/csv.h"

namespace unroll::cli {
namespace {

struct Arguments {
  std::string directory, data, out, plot;
  Device device;
};

std::vector<double> column(const Tensor& values, std::int64_t c) {
  return to_vector<double>(contiguous_copy(view::select(values, 1, c)));
}

// [T, 1 + 2 C]: step, and each column beside its reconstruction.
void write_table(const std::string& path, const Series& series, const Tensor& y) {
  const std::int64_t T = series.steps(), C = series.channels();
  Tensor rows = empty({T, 1 + 2 * C}, Dtype::float64);
  std::vector<std::string> names = {"step"};
  Tensor steps = view::select(rows, 1, 0);
  copy_into(steps, arange(T, Dtype::float64));
  for (std::int64_t c = 0; c < C; c++) {
    const std::string& name = series.names[static_cast<std::size_t>(c)];
    names.insert(names.end(), {name, name + "_reconstruction"});
    Tensor original = view::select(rows, 1, 1 + 2 * c);
    Tensor back = view::select(rows, 1, 2 + 2 * c);
    copy_into(original, view::select(series.values, 1, c));
    copy_into(back, view::select(y, 1, c));
  }
  write_csv(path, rows, names);
}

void write_plot(const Arguments& arguments, const RunConfig& config, const Series& series,
                const Tensor& y, const Score& score) {
  const std::string model = name(config.model.kind);
  Plot plot{.title = "Original and reconstruction",
            .subtitle = std::filesystem::path(arguments.data).filename().string() + ", " + model +
                        " with " + std::to_string(config.model.hidden) + " hidden units, " +
                        "windows of " + std::to_string(config.window) + " steps",
            .x_label = "step",
            .mark_every = config.window};
  for (std::int64_t c = 0; c < series.channels(); c++)
    plot.panels.push_back(
        {.title = series.names[static_cast<std::size_t>(c)] + "   NMSE " + number(score.nmse(c)),
         .curves = {{"original", 0, column(series.values, c)}, {model, 1, column(y, c)}},
         .axis = static_cast<int>(c)});
  write_file(arguments.plot, to_svg(plot));
}

// What would be written over what is read, or over each other.
void check_outputs(const Arguments& a) {
  for (const auto& [option, path] : {std::pair("--out", a.out), std::pair("--plot", a.plot)}) {
    if (path.empty()) continue;
    const auto refuse = [&, o = option, p = path](const std::string& what) {
      throw UsageError(std::string(o) + " " + p + " " + what + "; take another name");
    };
    if (is_same_file(path, a.data)) refuse("is the series itself");
    for (const char* file : kRunFiles)
      if (is_same_file(path, (std::filesystem::path(a.directory) / file).string()))
        refuse("belongs to the run");
  }
  if (!a.plot.empty() && is_same_file(a.out, a.plot))
    throw UsageError("--out and --plot are the same file; take another name for one");
}

void run_reconstruct(const Arguments& arguments) {
  check_outputs(arguments);
  const RunConfig config = load_config(arguments.directory);
  Model model = Model::load(config, arguments.directory);
  model.move_to(arguments.device);
  const Series series = read_data(arguments.data, config);
  const Standardizer standardizer(config.mean, config.sd);
  const Tensor x = standardizer.apply(series.values);
  const Tensor standard = rebuild(model, x, config);
  const Score score = score_steps(standard, x);
  const Tensor y = standardizer.invert(standard);
  write_table(arguments.out, series, y);
  if (!arguments.plot.empty()) write_plot(arguments, config, series, y, score);

  std::vector<std::vector<std::string>> rows = {{"column", "NMSE"}};
  for (std::int64_t c = 0; c < series.channels(); c++)
    rows.push_back({shortened(series.names[static_cast<std::size_t>(c)]), number(score.nmse(c))});
  if (series.channels() > 1) rows.push_back({"overall", number(score.nmse())});
  print(table(rows));
}

}  // namespace

void add_reconstruct(Command& unroll) {
  const auto a = std::make_shared<Arguments>();
  Command command =
      unroll.subcommand("reconstruct", "put a series through a trained model and write it back");
  command.argument("DIR", a->directory, "folder of a run of unroll train");
  command.argument("DATA", a->data, "series with the columns of the run: csv or npy");
  command.text("--out", a->out, "csv: step, and each column beside its reconstruction",
               Need::required);
  command.text("--plot", a->plot, "picture: svg");
  command.device(a->device);
  command.threads();
  command.footer(
      "Windows cover the series without overlap; the last one ends with the series.\n\n"
      "Example:\n"
      "  unroll reconstruct run weather.csv --out back.csv --plot back.svg");
  command.on_run([a] { run_reconstruct(*a); });
}

}  // namespace unroll::cli
