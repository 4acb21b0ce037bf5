#include "io/safetensors_file.h"

#include <array>
#include <string_view>

#include "io/elements.h"
#include "io/safetensors_header.h"

namespace unroll::detail {
namespace {

constexpr std::uint64_t kLongestHeader = 100'000'000;  // the format's own limit
constexpr std::uint64_t kTensor = 448;  // its header, one line of elements, what the pool adds
constexpr std::uint64_t kBlock = 24;    // what the heap adds to a block

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
  SafetensorsList list = parse_safetensors_header(text, file.left(), error);
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

std::uint64_t list_bytes(const SafetensorsList& list) {
  std::uint64_t bytes = list.entries.capacity() * sizeof(SafetensorsEntry) +
                        list.entries.size() * sizeof(NamedTensor);  // for the caller
  for (const SafetensorsEntry& entry : list.entries)
    bytes += entry.name.size() + entry.shape.capacity() * sizeof(std::int64_t) + 2 * kBlock;
  for (const auto& [key, value] : list.metadata) bytes += 128 + key.size() + value.size();
  return bytes;
}

}  // namespace

SafetensorsFile::SafetensorsFile(const char* op, const std::string& path)
    : file_(op, path), list_(read_header(file_)), data_(file_.position()), allowance_(data_) {
  allowance_.take(list_bytes(list_));
}

Tensor SafetensorsFile::read(const SafetensorsEntry& entry) {
  const Element element = element_of(file_, entry);
  if (entry.shape.size() > Shape::max_rank)
    file_.fail("the tensor " + in_quotes(entry.name) + " has " +
               std::to_string(entry.shape.size()) + " axes; a tensor has at most " +
               std::to_string(Shape::max_rank));
  const std::uint64_t bytes = entry.end - entry.begin;
  allowance_.read(bytes);
  if (!allowance_.take(bytes / size_of(element) * size_of(held_as(element)) + kTensor +
                       entry.name.size() + kBlock))
    file_.fail(
        "holds so many small tensors that they cost far more memory than the file's bytes; "
        "join them, or read them by name");
  file_.seek(data_ + entry.begin);
  return read_elements(file_, {element}, Shape(entry.shape));
}

}  // namespace unroll::detail
