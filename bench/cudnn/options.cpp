#include "bench/cudnn/options.h"

#include <algorithm>
#include <charconv>
#include <iterator>
#include <optional>
#include <utility>

#include "core/error.h"

namespace unroll::bench {

const char* const usage =
    "Our recurrent kernels beside cuDNN's on a GPU, results checked first.\n"
    "\n"
    "  --op LIST        lstm, gru, rnn; default all\n"
    "  --pass LIST      forward (inference), step (forward and backward); default both\n"
    "  --dtype LIST     float32, tf32, float16, bfloat16; default all\n"
    "  --lengths LIST   full, variable; default both\n"
    "  --size SIZE      N,T,I,H or a list of sizes: haste, flashrnn, ours, quick, tiny; may be\n"
    "                   given again; default haste, flashrnn and ours, on the simulator tiny\n"
    "  --quick          two sizes\n"
    "  --runs N         timed calls of which the median counts; default 30, on the simulator 1\n"
    "  --device NAME    cuda, cuda:1, ... or sim, which checks this program and times nothing\n"
    "  --cudnn FILE     another cuDNN than libcudnn.so of the usual places\n"
    "  --json FILE      writes the rows to a file too\n"
    "  --help\n"
    "\n"
    "A LIST is separated by commas. Exit status: 0; 1 where a result of ours is wrong; 2 for an\n"
    "option that is not there; 77 where the device is not.\n";

namespace {

std::vector<std::string> parts_of(const std::string& list) {
  std::vector<std::string> parts;
  for (std::size_t at = 0; at <= list.size();) {
    const std::size_t end = std::min(list.find(',', at), list.size());
    parts.push_back(list.substr(at, end - at));
    at = end + 1;
  }
  return parts;
}

// The values that a list names; `names` are all there are.
template <class Value>
std::vector<Value> chosen(const std::string& option, const std::string& list,
                          const std::vector<std::pair<std::string, Value>>& names) {
  std::vector<Value> values;
  for (const std::string& part : parts_of(list)) {
    const std::size_t before = values.size();
    for (const auto& [name, value] : names)
      if (name == part) values.push_back(value);
    if (values.size() > before) continue;
    std::string all;
    for (const auto& [name, value] : names) all += (all.empty() ? "" : ", ") + name;
    throw UsageError(option + ": '" + part + "' is none of " + all);
  }
  return values;
}

int whole_of(const std::string& option, const std::string& text) {
  int value = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || stop != end || value < 1 || value > 100000)
    throw UsageError(option + " " + text + " is no whole number from 1 to 100000");
  return value;
}

std::vector<Size> sizes_of(const std::string& text) {
  const std::optional<Size> size = size_of(text);
  try {
    if (!size) return sizes_named(text);
    require_size("lstm", *size);
    return {*size};
  } catch (const Error& error) {
    throw UsageError("--size " + text + ": " +
                     (size ? error.what()
                           : "neither N,T,I,H, four whole numbers from 1, nor one "
                             "of haste, flashrnn, ours, quick, tiny"));
  }
}

Device device_named(const std::string& text) {
  try {
    const Device device = device_of("--device", text);
    if (device.is_cpu()) fail("--device", "cpu is no GPU; it is cuda, cuda:1, ... or sim");
    return device;
  } catch (const Error& error) {
    throw UsageError(error.what());
  }
}

constexpr const char* options_with_value[] = {
    "--op", "--pass", "--dtype", "--lengths", "--size", "--runs", "--device", "--cudnn", "--json"};

// Sets what the option, one of those, is for.
void set(Options& options, const std::string& option, const std::string& value) {
  if (option == "--op") {
    options.ops =
        chosen<std::string>(option, value, {{"lstm", "lstm"}, {"gru", "gru"}, {"rnn", "rnn"}});
  } else if (option == "--pass") {
    options.passes =
        chosen<Pass>(option, value, {{"forward", Pass::forward}, {"step", Pass::step}});
  } else if (option == "--dtype") {
    std::vector<std::pair<std::string, Precision>> all;
    for (const Precision each : Options{}.precisions) all.emplace_back(name_of(each), each);
    options.precisions = chosen(option, value, all);
  } else if (option == "--lengths") {
    options.variable = chosen<bool>(option, value, {{"full", false}, {"variable", true}});
  } else if (option == "--size") {
    for (const Size& size : sizes_of(value)) options.sizes.push_back(size);
  } else if (option == "--runs") {
    options.runs = whole_of(option, value);
  } else if (option == "--device") {
    options.device = device_named(value);
  } else if (option == "--cudnn") {
    options.cudnn = value;
  } else {
    options.json = value;
  }
}

}  // namespace

Options parse_options(const std::vector<std::string>& arguments, Device usual) {
  Options options;
  options.device = usual;
  bool quick = false, runs = false;
  for (std::size_t i = 0; i < arguments.size(); i++) {
    const std::string& option = arguments[i];
    runs = runs || option == "--runs";
    if (option == "--help") {
      options.help = true;
    } else if (option == "--quick") {
      quick = true;
    } else if (std::find(std::begin(options_with_value), std::end(options_with_value), option) ==
               std::end(options_with_value)) {
      throw UsageError("there is no option " + option + "; see --help");
    } else if (i + 1 == arguments.size()) {
      throw UsageError(option + " needs a value");
    } else {
      set(options, option, arguments[++i]);
    }
  }
  const bool simulated = options.device.kind == DeviceKind::sim;
  if (simulated && !runs) options.runs = 1;
  if (!options.sizes.empty()) return options;
  const auto take = [&](const char* list) {
    for (const Size& size : sizes_named(list)) options.sizes.push_back(size);
  };
  if (simulated) {
    take("tiny");
  } else if (quick) {
    take("quick");
  } else {
    for (const char* const list : {"ours", "flashrnn", "haste"}) take(list);
  }
  return options;
}

}  // namespace unroll::bench
