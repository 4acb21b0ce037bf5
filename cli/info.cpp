// unroll info: what is in a file or in the folder of a run.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <memory>

#include "cli/command.h"
#include "cli/run.h"
#include "cli/terminal.h"
#include "core/view.h"
#include "io/csv.h"
#include "io/input_file.h"
#include "io/npy.h"
#include "io/npz.h"
#include "io/safetensors.h"

namespace unroll::cli {
namespace {

using Table = std::vector<std::vector<std::string>>;

std::string shape_text(const std::vector<std::int64_t>& shape) {
  std::string text = "[";
  for (std::size_t i = 0; i < shape.size(); i++) text += (i ? "," : "") + std::to_string(shape[i]);
  return text + "]";
}

std::string plural(std::size_t count, const std::string& what) {
  return std::to_string(count) + " " + what + (count == 1 ? "" : "s");
}

void show_safetensors(const std::string& path) {
  const SafetensorsList list = list_safetensors(path);
  std::uint64_t bytes = 0;
  Table rows = {{"name", "dtype", "shape", "bytes"}};
  for (const SafetensorsEntry& e : list.entries) {
    bytes += e.end - e.begin;
    rows.push_back(
        {shortened(e.name), e.dtype, shape_text(e.shape), std::to_string(e.end - e.begin)});
  }
  print("safetensors: " + plural(list.entries.size(), "tensor") + ", " + std::to_string(bytes) +
        " bytes\n");
  for (const auto& [key, value] : list.metadata)
    print("metadata " + shortened(key) + ": " + shortened(value) + "\n");
  print("\n" + table(rows));
}

void show_npz(const std::string& path) {
  const std::vector<NpzEntry> list = list_npz(path);
  Table rows = {{"name", "dtype", "shape", "bytes"}};
  for (const NpzEntry& e : list)
    rows.push_back({shortened(e.name), e.array.dtype, shape_text(e.array.shape),
                    std::to_string(e.compressed) + (e.deflated ? " (deflated)" : "")});
  print("npz: " + plural(list.size(), "array") + "\n\n" + table(rows));
}

void show_npy(const std::string& path) {
  const NpyInfo info = inspect_npy(path);
  print("npy: dtype " + info.dtype + ", shape " + shape_text(info.shape) + ", " +
        (info.fortran_order ? "Fortran order" : "C order") + ", " +
        std::to_string(std::filesystem::file_size(path)) + " bytes with the header\n");
}

// Missing values in each column, which read_csv counts only in all.
std::int64_t missing_in(const std::string& path, const std::string& column, std::int64_t all) {
  if (all == 0) return 0;
  return read_csv(path, {.columns = {column}, .missing = Missing::interpolate}).missing;
}

void show_csv(const std::string& path) {
  const CsvTable csv = read_csv(path, {.missing = Missing::interpolate});
  const std::int64_t T = csv.values.shape()[0], C = csv.values.shape()[1];
  std::string text = "csv: " + plural(static_cast<std::size_t>(T), "row") + ", " +
                     plural(csv.names.size(), "column") + " of numbers, " +
                     plural(static_cast<std::size_t>(csv.missing), "missing value") + "\n";
  for (std::size_t i = 0; i < csv.skipped.size(); i++)
    text += (i ? ", " : "skipped, text or empty: ") + shortened(csv.skipped[i]);
  Table rows = {{"column", "missing", "smallest", "mean", "largest"}};
  for (std::int64_t c = 0; c < C; c++) {
    const std::vector<double> x =
        to_vector<double>(contiguous_copy(view::select(csv.values, 1, c)));
    double sum = 0;
    for (const double value : x) sum += value / static_cast<double>(T);
    const std::string& name = csv.names[static_cast<std::size_t>(c)];
    rows.push_back({shortened(name), std::to_string(missing_in(path, name, csv.missing)),
                    number(*std::min_element(x.begin(), x.end())), number(sum),
                    number(*std::max_element(x.begin(), x.end()))});
  }
  print(text + (csv.skipped.empty() ? "\n" : "\n\n") + table(rows));
}

std::string state_text(const RunConfig& config, const std::string& directory) {
  Model model(config);
  OptimizerState ignored;
  if (!has_checkpoint(directory)) return "not begun";
  const TrainState s = load_checkpoint(directory, *model.parameters, ignored);
  std::string text = "step " + std::to_string(s.step) + " of " + std::to_string(config.train.steps);
  text += !s.finished                   ? ", unfinished"
          : s.step < config.train.steps ? ", finished (stopped early)"
                                        : ", finished";
  if (s.has_best)
    text +=
        "\nbest validation loss  " + number(s.best) + " after step " + std::to_string(s.best_step);
  return text;
}

std::string encoder_text(const RunConfig& config) {
  const auto& given = config.model.given;
  if (!given) return "";
  return "encoder               " + given->encoder.describe() +
         (given->frozen ? ", frozen" : ", fine-tuned") + ", of " + config.encoder.file + "\n";
}

void show_run(const std::string& directory) {
  const RunConfig c = load_config(directory);
  const Model model(c);
  std::string columns;
  for (const std::string& name : c.columns) columns += (columns.empty() ? "" : ", ") + name;
  const std::int64_t bottleneck = model.reconstruction.bottleneck();
  const std::string cell = name(c.model.cell.value_or(default_cell(c.model.kind)));
  print(
      "run of unroll train\n"
      "model                 " +
      std::string(name(c.model.kind)) + ", " + cell + ", " + std::to_string(c.model.hidden) +
      " hidden units, " + name(c.dtype) + "\n" + encoder_text(c) + "parameters            " +
      std::to_string(model.parameters->size()) + "\n" + "bottleneck            " +
      (bottleneck < 0 ? "none" : std::to_string(bottleneck)) + "\n" + "data                  " +
      c.data + ": " + columns + "\n" + "window                " + std::to_string(c.window) +
      " steps\n" + "seed                  " + std::to_string(c.seed) + "\n" +
      "training              " + state_text(c, directory) + "\n");
}

// Each device, what it is, or why it cannot be used.
void show_devices() {
  Table rows = {{"device", ""}};
  for (const Device device : available_devices())
    rows.push_back({name(device), description(device)});
  for (const Device device : {Device::sim(), Device::cuda()})
    if (!is_available(device))
      rows.push_back({device == Device::sim() ? "sim" : "cuda", why_unavailable(device)});
  print(table(rows));
}

void run_info(const std::string& path) {
  namespace fs = std::filesystem;
  if (fs::is_directory(path)) return show_run(path);
  InputFile file("info", path);
  char start[9] = {};
  const std::size_t count = file.read_some(start, sizeof start);
  if (count >= 6 && std::string(start, 6) == "\x93NUMPY") return show_npy(path);
  if (count >= 4 && (std::string(start, 4) == "PK\3\4" || std::string(start, 4) == "PK\5\6"))
    return show_npz(path);
  const bool named = fs::path(path).extension() == ".safetensors";
  if (named || (count == 9 && start[8] == '{' && start[7] == 0)) return show_safetensors(path);
  show_csv(path);
}

}  // namespace

void add_info(Command& unroll) {
  struct Arguments {
    std::string path;
    bool devices = false;
  };
  const auto a = std::make_shared<Arguments>();
  Command info =
      unroll.subcommand("info", "what is in a safetensors, npz, npy or csv file or in a run");
  info.argument("PATH", a->path, "a file, or the folder of a run of unroll train", Need::optional);
  info.flag("--devices", a->devices, "list the devices that can be used, and why others cannot");
  info.footer(
      "Examples:\n  unroll info run\n  unroll info run/model.safetensors\n"
      "  unroll info --devices");
  info.on_run([a] {
    if (a->devices == !a->path.empty()) throw UsageError("give a PATH, or --devices");
    if (a->devices) return show_devices();
    run_info(a->path);
  });
}

}  // namespace unroll::cli
