#include "inversion/certificate.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>

#include "autograd/ops.h"
#include "autograd/tape.h"
#include "core/view.h"
#include "inversion/numbers.h"
#include "io/npz.h"
#include "io/safetensors.h"
#include "models/weights.h"

namespace unroll {
namespace {

constexpr const char* kReadme = "readme";
constexpr const char* kCheck =
    "Load the weights into torch.nn's layer of this cell as float64, run x and other, and compare "
    "what is seen of the two runs: it is y and y_other.";

using Words = std::map<std::string, std::string>;

std::string text_of(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.17g", value);
  return text;
}

// One line "key: value" for each, as code points.
Tensor code_points(const Words& words) {
  std::vector<std::int64_t> points;
  for (const auto& [key, value] : words)
    for (const char c : key + ": " + value + "\n") points.push_back(static_cast<unsigned char>(c));
  return from_values(points, {static_cast<std::int64_t>(points.size())});
}

Words words_of(const Tensor& points) {
  Words words;
  std::string line;
  for (const std::int64_t point : to_vector<std::int64_t>(points)) {
    if (point != '\n') {
      line += static_cast<char>(point);
      continue;
    }
    const std::size_t colon = line.find(": ");
    if (colon != std::string::npos) words[line.substr(0, colon)] = line.substr(colon + 2);
    line.clear();
  }
  return words;
}

void add(std::vector<NamedTensor>& to, const std::string& name, const Tensor& tensor) {
  if (tensor) to.push_back({name, detail::on_host(tensor)});
}

bool is_npz(const std::string& path) { return path.ends_with(".npz"); }

}  // namespace

void write_certificate(const std::string& path, const Facts& facts, const Collision& c) {
  const NoTape none;
  if (!c.row || !c.other) fail("certificate", "a collision without two inputs cannot be written");
  const Observation& seen = facts.observation();
  const EncoderState start = facts.state_of(c.row);
  std::vector<NamedTensor> tensors;
  add(tensors, "x", facts.input_of(c.row));
  add(tensors, "other", facts.input_of(c.other));
  add(tensors, "y", select(facts.of_unknowns(c.row), 0, 0));
  add(tensors, "y_other", select(facts.of_unknowns(c.other), 0, 0));
  add(tensors, "h0", start.h);
  add(tensors, "c0", start.c);
  if (!seen.initial_known) {
    const EncoderState other = facts.state_of(c.other);
    add(tensors, "h0_other", other.h);
    add(tensors, "c0_other", other.c);
  }
  add(tensors, "readout", seen.readout);
  for (const NamedTensor& weight : facts.encoder().tensors())
    add(tensors, weight.name, weight.tensor);
  const Words words = {{"cell", name(facts.encoder().sizes().cell)},
                       {"check", kCheck},
                       {"encoder", facts.encoder().describe()},
                       {"input_distance", text_of(c.input_distance)},
                       {"observe", name(seen)},
                       {"output_distance", text_of(c.output_distance)}};
  if (!is_npz(path)) return write_safetensors(path, {tensors, words});
  tensors.push_back({kReadme, code_points(words)});
  write_npz(path, tensors);
}

namespace {

// The parts of a certificate's file.
class File {
 public:
  explicit File(const std::string& path) : path_(path), tensors_(read_weights(path)) {
    words_ = is_npz(path) ? words_of(get(kReadme)) : list_safetensors(path).metadata;
  }

  Tensor find(const std::string& name) const {
    for (const NamedTensor& each : tensors_)
      if (each.name == name) return each.tensor;
    return {};
  }
  Tensor get(const std::string& name) const {
    const Tensor found = find(name);
    if (!found) refuse("has no " + name);
    return found;
  }
  const std::string& word(const std::string& key) const {
    const auto found = words_.find(key);
    if (found == words_.end()) refuse("does not say its " + key);
    return found->second;
  }
  [[noreturn]] void refuse(const std::string& why) const {
    fail("certificate", path_ + " " + why + ", so it is no certificate of a collision");
  }
  Encoder encoder() const {
    return Encoder::from_tensors(path_, tensors_, {.prefix = "", .cell = cell_type(word("cell"))});
  }
  Observation seen() const {
    Observation o = observation(word("observe"));
    o.readout = find("readout");
    o.initial = {find("h0"), find("c0")};
    return o;
  }

 private:
  std::string path_;
  std::vector<NamedTensor> tensors_;
  Words words_;
};

double farthest(const Tensor& a, const Tensor& b) {
  return a.numel() ? amax(abs(a - b), {0, 1}).item() : 0;
}

}  // namespace

Collision check_certificate(const std::string& path, double agreement) {
  const NoTape none;
  const File file(path);
  const Encoder encoder = file.encoder();
  const Tensor x = file.get("x"), other = file.get("other");
  for (const Tensor& each : {x, other})
    if (each.rank() != 3 || each.shape()[1] != 1 || each.shape()[2] != encoder.sizes().I ||
        each.dtype() != Dtype::float64 || !(each.shape() == x.shape()))
      file.refuse("has inputs " + to_string(x.shape()) + " and " + to_string(other.shape()));
  const Observation seen = file.seen();
  const EncoderState from = seen.initial;
  EncoderState other_from = {file.find("h0_other"), file.find("c0_other")};
  if (!other_from.h) other_from = from;
  const Facts facts(encoder, seen, x.shape()[0]);
  const Tensor y = facts(x, from), y_other = facts(other, other_from);
  const Tensor kept = file.get("y");
  if (!(kept.shape() == Shape{facts.count()})) file.refuse("has y " + to_string(kept.shape()));

  Observation sought = seen;
  sought.initial_known = !file.find("h0_other");
  const Facts rows(encoder, sought, x.shape()[0]);
  Collision c{.row = rows.rows_of(x, from), .other = rows.rows_of(other, other_from)};
  c.input_distance = std::sqrt(sum(square(c.other - c.row)).item());
  c.output_distance = farthest(y_other, y);
  const double allowed = agreement * std::max(1.0, farthest(y, zeros(y.shape(), Dtype::float64)));
  c.found = c.input_distance > 0 && c.output_distance <= allowed &&
            farthest(unsqueeze(kept, 0), y) <= allowed;
  return c;
}

}  // namespace unroll
