#include "io/safetensors_header.h"

#include <algorithm>
#include <array>
#include <limits>
#include <numeric>
#include <utility>

#include <nlohmann/json.hpp>

#include "io/allowance.h"
#include "io/input_file.h"

namespace unroll::detail {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kMostAxes = 64;         // more than NumPy and PyTorch have
constexpr std::uint64_t kMetadataNode = 128;  // of a map of strings, without their texts

// {"name": {"dtype": "F32", "shape": [2,3], "data_offsets": [0,24]}, "__metadata__": {"a": "b"}}
//
// Parsed as a stream of events: duplicate keys are seen, nesting is bounded, and a header of a
// million names costs a million steps.
class Handler final : public nlohmann::json_sax<Json> {
 public:
  SafetensorsList list;
  std::string error;

  explicit Handler(std::string_view text) : allowance_(text.size()) {
    // Reserved, since growth would hold the list twice. Each entry needs a brace and 49 bytes.
    const auto braces = static_cast<std::size_t>(std::count(text.begin(), text.end(), '{'));
    const std::size_t most = std::min(braces, text.size() / 49 + 1);
    if (take(text.size() + json_buffers(text) + most * (sizeof(SafetensorsEntry) + sizeof(void*))))
      list.entries.reserve(most);
  }

  bool null() override { return wrong_value(); }
  bool boolean(bool) override { return wrong_value(); }
  bool number_integer(std::int64_t) override { return wrong_value(); }  // negative
  bool number_float(double, const std::string&) override { return wrong_value(); }
  bool binary(Json::binary_t&) override { return wrong_value(); }

  bool number_unsigned(std::uint64_t value) override {
    if (place_ == Place::shape) {
      if (value > std::uint64_t{std::numeric_limits<std::int64_t>::max()})
        return refuse("a size that does not fit 63 bits" + of_tensor());
      if (list.entries.back().shape.size() == kMostAxes)
        return refuse("more than " + std::to_string(kMostAxes) + " axes" + of_tensor());
      if (!take(2 * sizeof value)) return false;
      list.entries.back().shape.push_back(static_cast<std::int64_t>(value));
      return true;
    }
    if (place_ != Place::offsets || offsets_ == 2) return wrong_value();
    SafetensorsEntry& entry = list.entries.back();
    (offsets_++ == 0 ? entry.begin : entry.end) = value;
    return true;
  }

  bool string(std::string& value) override {
    if (place_ == Place::metadata) {
      if (!take(kMetadataNode + key_.size() + value.size())) return false;
      if (!list.metadata.emplace(key_, std::move(value)).second)
        return refuse("the metadata key " + in_quotes(key_) + " twice");
      return true;
    }
    if (place_ != Place::tensor || key_ != "dtype") return wrong_value();
    list.entries.back().dtype = std::move(value);
    return true;
  }

  bool start_object(std::size_t) override {
    if (place_ == Place::start) {
      place_ = Place::top;
    } else if (place_ != Place::top) {
      return wrong_value();
    } else if (key_ == "__metadata__") {
      if (std::exchange(has_metadata_, true)) return refuse("the name '__metadata__' twice");
      place_ = Place::metadata;
    } else {
      place_ = Place::tensor;
      if (!take(key_.size())) return false;
      list.entries.emplace_back().name = key_;
      has_dtype_ = has_shape_ = has_offsets_ = false;
    }
    return true;
  }

  bool key(std::string& value) override {
    key_ = value;
    if (place_ != Place::tensor) return true;
    bool* const seen = key_ == "dtype"          ? &has_dtype_
                       : key_ == "shape"        ? &has_shape_
                       : key_ == "data_offsets" ? &has_offsets_
                                                : nullptr;
    if (!seen) return refuse("the unknown key " + in_quotes(key_) + of_tensor());
    if (std::exchange(*seen, true))
      return refuse("the key " + in_quotes(key_) + " twice" + of_tensor());
    return true;
  }

  bool end_object() override {
    if (place_ == Place::tensor && !(has_dtype_ && has_shape_ && has_offsets_))
      return refuse("no dtype, shape or data_offsets" + of_tensor());
    place_ = place_ == Place::top ? Place::end : Place::top;
    return true;
  }

  bool start_array(std::size_t) override {
    if (place_ != Place::tensor || (key_ != "shape" && key_ != "data_offsets"))
      return wrong_value();
    place_ = key_ == "shape" ? Place::shape : Place::offsets;
    offsets_ = 0;
    return true;
  }

  bool end_array() override {
    if (place_ == Place::offsets && offsets_ != 2)
      return refuse("data_offsets that are not two numbers" + of_tensor());
    place_ = Place::tensor;
    return true;
  }

  bool parse_error(std::size_t position, const std::string&, const Json::exception&) override {
    error = "the header is not JSON: error at its byte " + std::to_string(position);
    return false;
  }

 private:
  enum class Place { start, top, metadata, tensor, shape, offsets, end };

  std::string of_tensor() const { return " for the tensor " + in_quotes(list.entries.back().name); }

  bool refuse(const std::string& what) {
    error = "the header has " + what;
    return false;
  }

  bool take(std::uint64_t bytes) {
    return allowance_.take(bytes) || refuse("too much text or too many small parts for its length");
  }

  bool wrong_value() {
    switch (place_) {
      case Place::start: return refuse("something else than an object");
      case Place::top:
      case Place::metadata: return refuse("a value of the wrong kind for " + in_quotes(key_));
      default: return refuse("a value of the wrong kind for " + in_quotes(key_) + of_tensor());
    }
  }

  Place place_ = Place::start;
  std::string key_;
  Allowance allowance_;
  bool has_metadata_ = false;
  bool has_dtype_ = false, has_shape_ = false, has_offsets_ = false;
  int offsets_ = 0;
};

// Bits of one element; 0: no such type.
std::uint64_t bits_of(std::string_view dtype) {
  static constexpr std::array<std::pair<std::string_view, int>, 22> types = {{
      {"BOOL", 8},        {"F4", 4},          {"F6_E2M3", 6}, {"F6_E3M2", 6}, {"U8", 8},
      {"I8", 8},          {"F8_E5M2", 8},     {"F8_E4M3", 8}, {"F8_E8M0", 8}, {"I16", 16},
      {"U16", 16},        {"F16", 16},        {"BF16", 16},   {"I32", 32},    {"U32", 32},
      {"F32", 32},        {"F64", 64},        {"I64", 64},    {"U64", 64},    {"C64", 64},
      {"F8_E4M3FNUZ", 8}, {"F8_E5M2FNUZ", 8},
  }};
  for (const auto& [name, bits] : types)
    if (name == dtype) return static_cast<std::uint64_t>(bits);
  return 0;
}

// Empty where the entry's offsets, type and shape agree. The sizes that are not 0 must multiply to
// less than 63 bits, wherever a 0 stands: strides are such products.
std::string fault_of(const SafetensorsEntry& entry, std::uint64_t data) {
  if (entry.end < entry.begin || entry.end > data)
    return "lies at bytes " + std::to_string(entry.begin) + " to " + std::to_string(entry.end) +
           " of " + std::to_string(data);
  std::uint64_t bits = bits_of(entry.dtype);
  if (bits == 0) return "has the unknown dtype " + in_quotes(entry.dtype);
  std::int64_t count = 1;
  bool overflow = false, zero = false;
  for (const std::int64_t size : entry.shape) {
    zero |= size == 0;
    overflow |= size != 0 && __builtin_mul_overflow(count, size, &count);
  }
  if (zero) count = 0;
  overflow |= __builtin_mul_overflow(bits, static_cast<std::uint64_t>(count), &bits);
  if (overflow) return "has a shape whose size overflows";
  if (bits % 8 != 0 || bits / 8 != entry.end - entry.begin)
    return "has a shape that needs " + std::to_string(bits) + " bits, but " +
           std::to_string(entry.end - entry.begin) + " bytes of data";
  return "";
}

// The tensors must have a name each and fill the data without a hole or an overlap.
std::string fault_of(const std::vector<SafetensorsEntry>& entries, std::uint64_t data) {
  std::vector<std::size_t> order(entries.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(),
            [&](std::size_t a, std::size_t b) { return entries[a].name < entries[b].name; });
  for (std::size_t i = 1; i < order.size(); i++)
    if (entries[order[i - 1]].name == entries[order[i]].name)
      return "the header has the name " + in_quotes(entries[order[i]].name) + " twice";
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return std::pair(entries[a].begin, entries[a].end) <
           std::pair(entries[b].begin, entries[b].end);
  });
  std::uint64_t at = 0;
  for (const std::size_t i : order) {
    const std::string fault = fault_of(entries[i], data);
    if (!fault.empty()) return "the tensor " + in_quotes(entries[i].name) + " " + fault;
    if (entries[i].begin != at)
      return "the tensor " + in_quotes(entries[i].name) + " begins at byte " +
             std::to_string(entries[i].begin) + " of the data, where byte " + std::to_string(at) +
             " is next: " + (entries[i].begin < at ? "an overlap" : "a hole");
    at = entries[i].end;
  }
  if (at != data) return std::to_string(data - at) + " bytes lie behind the last tensor";
  return "";
}

}  // namespace

SafetensorsList parse_safetensors_header(std::string_view text, std::uint64_t data,
                                         std::string& error) {
  if (text.empty() || text[0] != '{') {
    error = "the header does not begin with {";
    return {};
  }
  Handler handler(text);
  if (handler.error.empty()) Json::sax_parse(text.begin(), text.end(), &handler);
  error = handler.error.empty() ? fault_of(handler.list.entries, data) : handler.error;
  return std::move(handler.list);
}

std::string safetensors_header(const SafetensorsList& list, std::string& error) {
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  // Entries are unique (the caller has checked), so they are appended without a search.
  auto& object = json.get_ref<nlohmann::ordered_json::object_t&>();
  if (!list.metadata.empty()) object.emplace_back("__metadata__", list.metadata);
  for (const SafetensorsEntry& entry : list.entries)
    object.emplace_back(entry.name,
                        nlohmann::ordered_json{{"dtype", entry.dtype},
                                               {"shape", entry.shape},
                                               {"data_offsets", {entry.begin, entry.end}}});
  try {
    return json.dump();
  } catch (const nlohmann::json::exception&) {
    error = "a name or the metadata is not UTF-8";
    return "";
  }
}

}  // namespace unroll::detail
