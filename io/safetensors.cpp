#include "io/safetensors.h"

#include <algorithm>
#include <array>
#include <numeric>
#include <string_view>
#include <unordered_set>
#include <utility>

#include "io/atomic_file.h"
#include "io/elements.h"
#include "io/input_file.h"
#include "io/safetensors_header.h"

namespace unroll {
namespace {

constexpr std::uint64_t kLongestHeader = 100'000'000;  // the format's own limit

// Leaves the file at its first byte of data.
SafetensorsList read_header(InputFile& file) {
  if (file.size() < 8) file.fail("is truncated: a safetensors file has at least 8 bytes");
  unsigned char field[8];
  file.read(field, sizeof field);
  std::uint64_t length = 0;
  for (int i = 8; i-- > 0;) length = length << 8 | field[i];
  if (length > kLongestHeader)
    file.fail("states a header of " + std::to_string(length) +
              " bytes; at most 100000000 are allowed. Is it a safetensors file?");
  if (length > file.left())
    file.fail("is truncated: the header should have " + std::to_string(length) + " bytes, but " +
              std::to_string(file.left()) + " are left");
  std::string text(length, '\0');
  file.read(text.data(), length);
  std::string error;
  SafetensorsList list = detail::parse_safetensors_header(text, file.left(), error);
  if (!error.empty()) file.fail(error);
  return list;
}

Element element_of(const InputFile& file, const SafetensorsEntry& entry) {
  using enum Element;
  static constexpr std::array<std::pair<std::string_view, Element>, 13> types = {{
      {"BOOL", boolean},
      {"I8", int8},
      {"I16", int16},
      {"I32", int32},
      {"I64", int64},
      {"U8", uint8},
      {"U16", uint16},
      {"U32", uint32},
      {"U64", uint64},
      {"F16", float16},
      {"BF16", bfloat16},
      {"F32", float32},
      {"F64", float64},
  }};
  for (const auto& [name, element] : types)
    if (name == entry.dtype) return element;
  file.fail("the tensor " + in_quotes(entry.name) + " has the dtype " + entry.dtype +
            ", which is not supported; convert it to F32, F64, I64 or BOOL");
}

Tensor read_tensor(InputFile& file, std::uint64_t data_start, const SafetensorsEntry& entry) {
  const Element element = element_of(file, entry);
  if (entry.shape.size() > Shape::max_rank)
    file.fail("the tensor " + in_quotes(entry.name) + " has " + std::to_string(entry.shape.size()) +
              " axes; a tensor has at most " + std::to_string(Shape::max_rank));
  file.seek(data_start + entry.begin);
  return read_elements(file, {element}, Shape(entry.shape));
}

std::string_view dtype_name(Dtype dtype) {
  switch (dtype) {
    case Dtype::float32: return "F32";
    case Dtype::float64: return "F64";
    case Dtype::int64: return "I64";
    case Dtype::boolean: break;
  }
  return "BOOL";
}

void check_content(const std::string& path, const Safetensors& content) {
  const auto refuse = [&](const NamedTensor& entry, const std::string& what) {
    fail("write_safetensors", path + ": the tensor " + in_quotes(entry.name) + " " + what);
  };
  std::unordered_set<std::string_view> names;
  for (const NamedTensor& entry : content.tensors) {
    if (!entry.tensor) refuse(entry, "is undefined");
    if (entry.tensor.device().kind != DeviceKind::cpu)
      refuse(entry, "is on " + name(entry.tensor.device()) + "; copy it to the cpu");
    if (entry.name == "__metadata__") refuse(entry, "has a reserved name; choose another");
    if (!names.insert(entry.name).second) refuse(entry, "is named twice");
  }
}

// Indices of the tensors in the order of their data: wider elements first.
std::vector<std::size_t> data_order(const Safetensors& content) {
  std::vector<std::size_t> order(content.tensors.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return size_of(content.tensors[a].tensor.dtype()) > size_of(content.tensors[b].tensor.dtype());
  });
  return order;
}

std::uint64_t bytes_of(const Tensor& x) {
  return static_cast<std::uint64_t>(x.numel()) * size_of(x.dtype());
}

}  // namespace

const Tensor* Safetensors::find(const std::string& name) const noexcept {
  for (const NamedTensor& entry : tensors)
    if (entry.name == name) return &entry.tensor;
  return nullptr;
}

const Tensor& Safetensors::operator[](const std::string& name) const {
  if (const Tensor* tensor = find(name)) return *tensor;
  fail("safetensors", "there is no tensor " + in_quotes(name));
}

SafetensorsList list_safetensors(const std::string& path) {
  InputFile file("list_safetensors", path);
  return read_header(file);
}

Safetensors read_safetensors(const std::string& path) {
  InputFile file("read_safetensors", path);
  SafetensorsList list = read_header(file);
  const std::uint64_t data_start = file.position();
  Safetensors content{{}, std::move(list.metadata)};
  content.tensors.reserve(list.entries.size());
  for (const SafetensorsEntry& entry : list.entries)
    content.tensors.push_back({entry.name, read_tensor(file, data_start, entry)});
  return content;
}

Tensor read_safetensors(const std::string& path, const std::string& name) {
  InputFile file("read_safetensors", path);
  const SafetensorsList list = read_header(file);
  const std::uint64_t data_start = file.position();
  for (const SafetensorsEntry& entry : list.entries)
    if (entry.name == name) return read_tensor(file, data_start, entry);
  file.fail("has no tensor " + in_quotes(name));
}

void write_safetensors(const std::string& path, const Safetensors& content) {
  check_content(path, content);
  const std::vector<std::size_t> order = data_order(content);
  SafetensorsList list{{}, content.metadata};
  for (const NamedTensor& entry : content.tensors) {
    const Shape& shape = entry.tensor.shape();
    list.entries.push_back({.name = entry.name,
                            .dtype = std::string(dtype_name(entry.tensor.dtype())),
                            .shape = {shape.begin(), shape.end()}});
  }
  std::uint64_t at = 0;
  for (const std::size_t i : order) {
    list.entries[i].begin = at;
    list.entries[i].end = at += bytes_of(content.tensors[i].tensor);
  }
  std::string error;
  std::string header = detail::safetensors_header(list, error);
  if (!error.empty()) fail("write_safetensors", path + ": " + error);
  header.append((8 - header.size() % 8) % 8, ' ');
  if (header.size() > kLongestHeader)
    fail("write_safetensors", path + ": the names need a header of " +
                                  std::to_string(header.size()) +
                                  " bytes; at most 100000000 are allowed");

  AtomicFile file("write_safetensors", path);
  unsigned char field[8];
  for (int i = 0; i < 8; i++) field[i] = static_cast<unsigned char>(header.size() >> 8 * i);
  file.write(field, sizeof field);
  file.write(header);
  for (const std::size_t i : order) {
    const Tensor dense = contiguous_copy(content.tensors[i].tensor);
    file.write(dense.raw_data(), bytes_of(dense));
  }
  file.commit();
}

}  // namespace unroll
