#include "io/npz.h"

#include <algorithm>
#include <string_view>
#include <unordered_set>

#include <nlohmann/json.hpp>

#include "core/error.h"
#include "core/view.h"
#include "io/atomic_file.h"
#include "io/input_file.h"
#include "io/npy_format.h"
#include "io/zip_directory.h"
#include "io/zip_member.h"
#include "io/zip_writer.h"

namespace unroll {
namespace {

using detail::ZipEntry;
using detail::ZipMember;

constexpr std::string_view kSuffix = ".npy";
constexpr std::size_t kLongestName = 0xffff - kSuffix.size();

// The arrays, without ".npy" on their names. Folders are left out.
std::vector<ZipEntry> arrays_in(InputFile& file) {
  std::vector<ZipEntry> entries = detail::read_zip_directory(file);
  std::erase_if(entries,
                [](const ZipEntry& entry) { return entry.size == 0 && entry.name.ends_with('/'); });
  // From the last to the first: a later member hides an earlier one of its name.
  std::vector<const ZipEntry*> order(entries.size());
  for (std::size_t i = 0; i < entries.size(); i++) order[i] = &entries[i];
  std::sort(order.begin(), order.end(), [](const ZipEntry* a, const ZipEntry* b) {
    return a->name != b->name ? a->name < b->name : a < b;
  });
  std::vector<bool> hidden(entries.size());
  for (std::size_t i = 1; i < order.size(); i++)
    if (order[i - 1]->name == order[i]->name)
      hidden[static_cast<std::size_t>(order[i - 1] - entries.data())] = true;
  std::size_t index = 0;
  std::erase_if(entries, [&](const ZipEntry&) { return hidden[index++]; });
  for (ZipEntry& entry : entries) {
    if (!entry.name.ends_with(kSuffix))
      file.fail("the member " + in_quotes(entry.name) + " is not an array: its name is not *.npy");
  }
  return entries;
}

std::string array_name(const ZipEntry& entry) {
  return entry.name.substr(0, entry.name.size() - kSuffix.size());
}

Tensor read_member(InputFile& file, const ZipEntry& entry) {
  ZipMember member(file, entry);
  Tensor x = detail::read_npy_array(member);
  member.finish();
  return x;
}

void check_content(const std::string& path, const std::vector<NamedTensor>& tensors) {
  std::unordered_set<std::string_view> names;
  for (const NamedTensor& entry : tensors) {
    const auto refuse = [&](const std::string& what) {
      fail("write_npz", path + ": the tensor " + in_quotes(entry.name) + " " + what);
    };
    if (!entry.tensor) refuse("is undefined");
    if (entry.tensor.dtype() == Dtype::bfloat16)
      refuse("is bfloat16, which NumPy lacks; convert with to() or write safetensors");
    if (!names.insert(entry.name).second) refuse("is named twice");
    if (entry.name.find('\0') != std::string::npos) refuse("has a zero byte in its name");
    if (entry.name.size() > kLongestName) refuse("has too long a name");
    if (!is_utf8(entry.name)) refuse("has a name that is not UTF-8");
  }
}

}  // namespace

std::vector<NpzEntry> list_npz(const std::string& path) {
  InputFile file("list_npz", path);
  const std::vector<ZipEntry> entries = arrays_in(file);
  std::vector<NpzEntry> list;
  list.reserve(entries.size());
  for (const ZipEntry& entry : entries) {
    ZipMember member(file, entry);
    list.push_back({array_name(entry), detail::inspect_npy_array(member), entry.compressed,
                    entry.method != 0});
  }
  return list;
}

std::vector<NamedTensor> read_npz(const std::string& path) {
  InputFile file("read_npz", path);
  const std::vector<ZipEntry> entries = arrays_in(file);
  std::vector<NamedTensor> tensors;
  tensors.reserve(entries.size());
  for (const ZipEntry& entry : entries)
    tensors.push_back({array_name(entry), read_member(file, entry)});
  return tensors;
}

Tensor read_npz(const std::string& path, const std::string& name) {
  InputFile file("read_npz", path);
  for (const ZipEntry& entry : arrays_in(file))
    if (array_name(entry) == name) return read_member(file, entry);
  file.fail("has no array " + in_quotes(name));
}

void write_npz(const std::string& path, const std::vector<NamedTensor>& tensors,
               const NpzOptions& options) {
  check_content(path, tensors);
  AtomicFile file("write_npz", path);
  detail::ZipWriter zip(file, options.zip64);
  for (const NamedTensor& entry : tensors) {
    const Tensor dense = contiguous_copy(on_device(entry.tensor, Device::cpu()));
    const std::string_view data(static_cast<const char*>(dense.raw_data()),
                                static_cast<std::size_t>(dense.numel()) * size_of(dense.dtype()));
    zip.add(entry.name + std::string(kSuffix), {detail::npy_header(dense), data}, options.compress);
  }
  zip.finish();
  file.commit();
}

}  // namespace unroll
