// npz: one byte, whose lowest bit says whether checksums count, and the archive.
#include "io/npz.h"

#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  fuzz::pretend_checksums_are_zero(data[0] & 1);
  const fuzz::File file(data + 1, size - 1);
  std::vector<unroll::NpzEntry> list;
  const bool listed = fuzz::call(file, [&] { list = unroll::list_npz(file.path()); });
  std::vector<unroll::NamedTensor> all;
  fuzz::call(file, [&] {
    all = unroll::read_npz(file.path());
    if (!listed || all.size() != list.size()) fuzz::finding("other arrays are read than listed");
  });
  for (std::size_t i = 0; i < all.size(); i++)
    if (all[i].name != list[i].name || all[i].tensor.shape() != unroll::Shape(list[i].array.shape))
      fuzz::finding("another array is read than listed");
  if (!list.empty()) fuzz::call(file, [&] { unroll::read_npz(file.path(), list.back().name); });
  return 0;
}
