#include "io/npy.h"

#include "core/error.h"
#include "core/view.h"
#include "io/atomic_file.h"
#include "io/input_file.h"
#include "io/npy_format.h"

namespace unroll {

NpyInfo inspect_npy(const std::string& path) {
  InputFile file("inspect_npy", path);
  return detail::inspect_npy_array(file);
}

Tensor read_npy(const std::string& path) {
  InputFile file("read_npy", path);
  return detail::read_npy_array(file);
}

void write_npy(const std::string& path, const Tensor& x) {
  if (!x) fail("write_npy", path + ": the tensor is undefined");
  if (x.dtype() == Dtype::bfloat16)
    fail("write_npy", path + ": NumPy has no bfloat16; convert with to() or write safetensors");
  const Tensor dense = contiguous_copy(on_device(x, Device::cpu()));
  AtomicFile file("write_npy", path);
  file.write(detail::npy_header(x));
  file.write(dense.raw_data(), static_cast<std::size_t>(x.numel()) * size_of(x.dtype()));
  file.commit();
}

}  // namespace unroll
