// safetensors, and the index of a sharded one: any bytes.
#include "io/safetensors.h"

#include "io/sharded_safetensors.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const fuzz::File file(data, size);
  if (size > 0 && data[0] == '{') {
    fuzz::call(file, [&] { unroll::list_sharded_safetensors(file.path()); });
    return 0;
  }
  unroll::SafetensorsList list;
  const bool listed = fuzz::call(file, [&] { list = unroll::list_safetensors(file.path()); });
  unroll::Safetensors all;
  fuzz::call(file, [&] {
    all = unroll::read_safetensors(file.path());
    if (!listed || all.tensors.size() != list.entries.size())
      fuzz::finding("other tensors are read than listed");
  });
  for (std::size_t i = 0; i < all.tensors.size(); i++)
    if (all.tensors[i].name != list.entries[i].name ||
        all.tensors[i].tensor.shape() != unroll::Shape(list.entries[i].shape))
      fuzz::finding("another tensor is read than listed");
  if (!list.entries.empty())
    fuzz::call(file, [&] { unroll::read_safetensors(file.path(), list.entries.back().name); });
  return 0;
}
