#include "io/sharded_safetensors.h"

#include <algorithm>
#include <filesystem>
#include <string_view>
#include <utility>

#include <nlohmann/json.hpp>

#include "io/allowance.h"
#include "io/input_file.h"
#include "io/safetensors_file.h"

namespace unroll {
namespace {

using Json = nlohmann::json;

constexpr std::uint64_t kLongestIndex = 100'000'000;

// {"metadata": {"total_size": 8}, "weight_map": {"w": "model-00001-of-00002.safetensors"}}
//
// Whatever stands beside the map is skipped.
class Handler final : public nlohmann::json_sax<Json> {
 public:
  std::vector<ShardedEntry> entries;
  std::string error;
  bool has_map = false;

  explicit Handler(std::string_view text) : allowance_(text.size()) {
    // Reserved, since growth would hold the list twice. Each entry needs a colon and 6 bytes.
    const auto colons = static_cast<std::size_t>(std::count(text.begin(), text.end(), ':'));
    const std::size_t most = std::min(colons, text.size() / 6 + 1);
    if (take(text.size() + detail::json_buffers(text) +
             most * (sizeof(ShardedEntry) + 2 * sizeof(void*))))
      entries.reserve(most);
  }

  bool null() override { return other(); }
  bool boolean(bool) override { return other(); }
  bool number_integer(std::int64_t) override { return other(); }
  bool number_unsigned(std::uint64_t) override { return other(); }
  bool number_float(double, const std::string&) override { return other(); }
  bool binary(Json::binary_t&) override { return other(); }
  bool start_array(std::size_t) override {
    if (!other()) return false;
    depth_++;
    return true;
  }
  bool end_array() override {
    depth_--;
    return true;
  }

  bool string(std::string& value) override {
    if (!in_map_ || depth_ != 2) return other();
    if (!take(key_.size() + value.size() + 2)) return false;
    entries.push_back({key_, value});
    return true;
  }
  bool start_object(std::size_t) override {
    if (depth_ == 1 && key_ == "weight_map") {
      if (std::exchange(has_map, true)) return refuse("has 'weight_map' twice");
      in_map_ = true;
    } else if (depth_ > 0 && !other()) {
      return false;
    }
    depth_++;
    return true;
  }
  bool end_object() override {
    if (--depth_ == 1) in_map_ = false;
    return true;
  }
  bool key(std::string& value) override {
    key_ = value;
    return true;
  }
  bool parse_error(std::size_t position, const std::string&, const Json::exception&) override {
    return refuse("is not JSON: error at its byte " + std::to_string(position));
  }

 private:
  // A value that is no part of the map, and must not be.
  bool other() {
    if (depth_ == 0) return refuse("is not a JSON object");
    if (in_map_) return refuse("names no file for the tensor " + in_quotes(key_));
    if (key_ == "weight_map" && depth_ == 1) return refuse("has a 'weight_map' that is no object");
    return true;
  }
  bool refuse(const std::string& what) {
    error = what;
    return false;
  }
  bool take(std::uint64_t bytes) {
    return allowance_.take(bytes) || refuse("has too much text or too many small parts");
  }

  detail::Allowance allowance_;
  std::string key_;
  std::uint64_t depth_ = 0;
  bool in_map_ = false;
};

bool is_plain_name(std::string_view name) {
  return !name.empty() && name != "." && name != ".." &&
         std::none_of(name.begin(), name.end(), [](char c) {
           return c == '/' || c == '\\' || c == ':' || static_cast<unsigned char>(c) < 32;
         });
}

void check(const InputFile& file, const std::vector<ShardedEntry>& entries) {
  std::vector<const ShardedEntry*> order;
  order.reserve(entries.size());
  for (const ShardedEntry& entry : entries) {
    if (!is_plain_name(entry.shard))
      file.fail("names the shard " + in_quotes(entry.shard) + " for the tensor " +
                in_quotes(entry.name) + "; a shard lies in the folder of its index");
    order.push_back(&entry);
  }
  const auto by_name = [](const auto* a, const auto* b) { return a->name < b->name; };
  std::sort(order.begin(), order.end(), by_name);
  for (std::size_t i = 1; i < order.size(); i++)
    if (order[i - 1]->name == order[i]->name)
      file.fail("names the tensor " + in_quotes(order[i]->name) + " twice");
}

std::vector<ShardedEntry> read_index(InputFile& file) {
  if (file.size() > kLongestIndex)
    file.fail("has " + std::to_string(file.size()) + " bytes; an index has at most 100000000");
  std::string text(file.size(), '\0');
  file.read(text.data(), text.size());
  Handler handler(text);
  if (handler.error.empty()) Json::sax_parse(text.begin(), text.end(), &handler);
  if (!handler.error.empty()) file.fail(handler.error);
  if (!handler.has_map) file.fail("has no 'weight_map': is it the index of a sharded model?");
  text = std::string();
  check(file, handler.entries);
  return std::move(handler.entries);
}

std::string shard_path(const InputFile& index, const std::string& shard) {
  const auto path = std::filesystem::path(index.path()).parent_path() / shard;
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored))
    index.fail("names the shard " + in_quotes(shard) + ", which does not exist beside it");
  return path.string();
}

// An entry of a list that is sorted by name.
const SafetensorsEntry* find(const std::vector<const SafetensorsEntry*>& sorted,
                             const std::string& name) {
  const auto it = std::lower_bound(sorted.begin(), sorted.end(), name,
                                   [](const auto* e, const std::string& n) { return e->name < n; });
  return it != sorted.end() && (*it)->name == name ? *it : nullptr;
}

// Reads those of the entries at `wanted` from their one shard.
void read_shard(const InputFile& index, const std::vector<ShardedEntry>& entries,
                const std::vector<std::size_t>& wanted, std::vector<NamedTensor>& tensors) {
  detail::SafetensorsFile file("read_sharded_safetensors",
                               shard_path(index, entries[wanted[0]].shard));
  std::vector<const SafetensorsEntry*> sorted;
  sorted.reserve(file.list().entries.size());
  for (const SafetensorsEntry& entry : file.list().entries) sorted.push_back(&entry);
  std::sort(sorted.begin(), sorted.end(),
            [](const auto* a, const auto* b) { return a->name < b->name; });
  for (const std::size_t i : wanted) {
    const SafetensorsEntry* const entry = find(sorted, entries[i].name);
    if (!entry)
      file.fail("lacks the tensor " + in_quotes(entries[i].name) + ", which the index " +
                in_quotes(index.path()) + " says it holds");
    tensors[i] = {entries[i].name, file.read(*entry)};
  }
}

}  // namespace

std::vector<ShardedEntry> list_sharded_safetensors(const std::string& index) {
  InputFile file("list_sharded_safetensors", index);
  return read_index(file);
}

Safetensors read_sharded_safetensors(const std::string& index) {
  InputFile file("read_sharded_safetensors", index);
  const std::vector<ShardedEntry> entries = read_index(file);
  std::vector<std::size_t> order(entries.size());  // by shard, then as in the index
  for (std::size_t i = 0; i < order.size(); i++) order[i] = i;
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return entries[a].shard != entries[b].shard ? entries[a].shard < entries[b].shard : a < b;
  });
  Safetensors content;
  content.tensors.resize(entries.size());
  for (auto begin = order.begin(); begin != order.end();) {
    const auto end = std::find_if(begin, order.end(), [&](std::size_t i) {
      return entries[i].shard != entries[*begin].shard;
    });
    read_shard(file, entries, {begin, end}, content.tensors);
    begin = end;
  }
  return content;
}

Tensor read_sharded_safetensors(const std::string& index, const std::string& name) {
  InputFile file("read_sharded_safetensors", index);
  const std::vector<ShardedEntry> entries = read_index(file);
  for (std::size_t i = 0; i < entries.size(); i++) {
    if (entries[i].name != name) continue;
    std::vector<NamedTensor> tensors(entries.size());
    read_shard(file, entries, {i}, tensors);
    return std::move(tensors[i].tensor);
  }
  file.fail("names no tensor " + in_quotes(name));
}

}  // namespace unroll
