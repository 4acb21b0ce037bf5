// npy: any bytes.
#include "io/npy.h"

#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const fuzz::File file(data, size);
  unroll::NpyInfo info;
  const bool listed = fuzz::call(file, [&] { info = unroll::inspect_npy(file.path()); });
  fuzz::call(file, [&] {
    const unroll::Tensor x = unroll::read_npy(file.path());
    if (!listed || x.shape() != unroll::Shape(info.shape)) fuzz::finding("another shape");
  });
  return 0;
}
