#include "io/safetensors.h"

#include <algorithm>
#include <numeric>
#include <string_view>
#include <unordered_set>
#include <utility>

#include "io/atomic_file.h"
#include "io/input_file.h"
#include "io/safetensors_file.h"
#include "io/safetensors_header.h"

namespace unroll {
namespace {

constexpr std::size_t kLongestHeader = 100'000'000;  // the format's own limit

std::string_view dtype_name(Dtype dtype) {
  switch (dtype) {
    case Dtype::float32: return "F32";
    case Dtype::float64: return "F64";
    case Dtype::int64: return "I64";
    case Dtype::boolean: return "BOOL";
    case Dtype::float16: return "F16";
    case Dtype::bfloat16: return "BF16";
  }
  return "?";
}

void check_content(const std::string& path, const Safetensors& content) {
  const auto refuse = [&](const NamedTensor& entry, const std::string& what) {
    fail("write_safetensors", path + ": the tensor " + in_quotes(entry.name) + " " + what);
  };
  std::unordered_set<std::string_view> names;
  for (const NamedTensor& entry : content.tensors) {
    if (!entry.tensor) refuse(entry, "is undefined");
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
  return detail::SafetensorsFile("list_safetensors", path).take_list();
}

Safetensors read_safetensors(const std::string& path) {
  detail::SafetensorsFile file("read_safetensors", path);
  Safetensors content;
  content.tensors.reserve(file.list().entries.size());
  for (const SafetensorsEntry& entry : file.list().entries)
    content.tensors.push_back({entry.name, file.read(entry)});
  content.metadata = file.take_list().metadata;
  return content;
}

Tensor read_safetensors(const std::string& path, const std::string& name) {
  detail::SafetensorsFile file("read_safetensors", path);
  for (const SafetensorsEntry& entry : file.list().entries)
    if (entry.name == name) return file.read(entry);
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
    const Tensor dense = contiguous_copy(on_device(content.tensors[i].tensor, Device::cpu()));
    file.write(dense.raw_data(), bytes_of(dense));
  }
  file.commit();
}

}  // namespace unroll
