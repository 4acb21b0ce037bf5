#include "core/tensor.h"

#include <cmath>
#include <cstring>
#include <memory>

#include "core/device_memory.h"
#include "core/memory.h"

namespace unroll {

using detail::TensorNode;

namespace {

constexpr std::size_t kHeader = (sizeof(TensorNode) + 63) / 64 * 64;

// Birth numbers come in blocks per thread, so that a fresh tensor touches no shared counter.
std::uint64_t next_id() noexcept {
  constexpr std::uint64_t block = 1 << 16;
  static std::atomic<std::uint64_t> blocks{1};
  thread_local std::uint64_t next = 0, end = 0;
  if (next == end) {
    next = blocks.fetch_add(1, std::memory_order_relaxed) * block;
    end = next + block;
  }
  return next++;
}

// Calls f(linear, offset) for every element in row-major order; offset is in elements.
template <class F>
void for_each_offset(const Shape& shape, const Shape& strides, F f) {
  std::int64_t index[Shape::max_rank] = {}, offset = 0;
  const std::int64_t count = shape.numel();
  for (std::int64_t i = 0; i < count; i++) {
    f(i, offset);
    for (int a = shape.rank(); a-- > 0;) {
      offset += strides[a];
      if (++index[a] < shape[a]) break;
      offset -= strides[a] * shape[a];
      index[a] = 0;
    }
  }
}

// An element that lies anywhere.
template <class T>
T element(const T* at, Device device) {
  if (device.is_cpu()) return *at;
  T value;
  device_memory::download(device, &value, at, sizeof value);
  return value;
}

Tensor on_host(const Tensor& x) { return on_device(x, Device::cpu()); }

// Of one dtype and device, which is not the CPU; a source of one element fills the target.
void copy_on_device(Tensor& target, const Tensor& source) {
  const Shape& shape = target.shape();
  if (shape.numel() == 0) return;
  const std::size_t element = size_of(target.dtype());
  if (source.shape() == shape && source.is_contiguous() && target.is_contiguous())
    return device_memory::copy(target.device(), target.mutable_raw_data(), source.raw_data(),
                               shape.numel() * element);
  Shape strides = source.strides();
  if (!(source.shape() == shape)) {
    strides = shape;
    for (int i = 0; i < shape.rank(); i++) strides[i] = 0;
  }
  device_memory::copy(target.device(), {source.raw_data(), target.mutable_raw_data(), shape,
                                        strides, target.strides(), element});
}

template <class T>
constexpr bool is_half_v = std::is_same_v<T, Float16> || std::is_same_v<T, Bfloat16>;

template <class To, class From>
To convert(From value) {
  if constexpr (std::is_same_v<To, From>) {
    return value;
  } else if constexpr (is_half_v<From>) {
    return convert<To>(to_double(value));
  } else if constexpr (is_half_v<To>) {
    double wide;
    if constexpr (std::is_same_v<From, std::int64_t>)
      wide = odd_double(value);
    else
      wide = static_cast<double>(value);
    if constexpr (std::is_same_v<To, Float16>) return to_float16(wide);
    if constexpr (std::is_same_v<To, Bfloat16>) return to_bfloat16(wide);
  } else if constexpr (std::is_same_v<To, bool>) {
    return value != From(0);
  } else {
    if constexpr (std::is_same_v<To, std::int64_t> && std::is_floating_point_v<From>) {
      if (!(value >= From(-0x1p63) && value < From(0x1p63)))
        fail("to", std::to_string(value) + " does not fit int64");
    }
    return static_cast<To>(value);
  }
}

}  // namespace

namespace detail {

void destroy(TensorNode* node) noexcept {
  TensorNode* const storage = node->storage;
  const std::size_t bytes = node->bytes;
  if (!node->device.is_cpu() && storage == node)
    device_memory::deallocate(node->device, node->data);
  const std::unique_ptr<Foreign> foreign(node->foreign);
  if (foreign && foreign->release) foreign->release();
  if (node->derived) destroy(node->derived);
  node->~TensorNode();
  memory::deallocate(node, bytes);
  if (storage != node && storage->refs.fetch_sub(1, std::memory_order_acq_rel) == 1)
    destroy(storage);
}

}  // namespace detail

bool Tensor::is_contiguous() const noexcept {
  std::uint64_t step = 1;  // may overflow where a size further left is 0
  const Shape &size = shape(), &stride = strides();
  for (int i = rank(); i-- > 0;) {
    if (size[i] == 0) return true;
    if (size[i] != 1 && static_cast<std::uint64_t>(stride[i]) != step) return false;
    step *= static_cast<std::uint64_t>(size[i]);
  }
  return true;
}

void Tensor::wrong_type(Dtype wanted) const {
  if (!node_) fail("data", "the tensor is undefined");
  fail("data", std::string("the tensor holds ") + name(dtype()) + ", not " + name(wanted) +
                   "; convert with to()");
}

void Tensor::require_writable() const {
  if (is_read_only())
    fail("mutable_data", std::string("the memory of this ") + name(dtype()) + " tensor " +
                             to_string(shape()) + " is read-only; copy it first");
}

double Tensor::item(std::initializer_list<std::int64_t> index) const {
  if (!node_) fail("item", "the tensor is undefined");
  if (static_cast<int>(index.size()) != rank())
    fail("item", std::to_string(index.size()) + " indices for shape " + to_string(shape()));
  std::int64_t offset = 0;
  int axis = 0;
  for (std::int64_t i : index) {
    if (i < 0 || i >= shape()[axis])
      fail("item", "index " + std::to_string(i) + " is out of range for axis " +
                       std::to_string(axis) + " of shape " + to_string(shape()));
    offset += i * strides()[axis++];
  }
  return with_stored(dtype(), [&](auto type) {
    using T = decltype(type);
    return convert<double>(element(data<T>() + offset, device()));
  });
}

double Tensor::item() const {
  if (!node_) fail("item", "the tensor is undefined");
  if (numel() != 1) fail("item", "shape " + to_string(shape()) + " has more than one element");
  return with_stored(dtype(), [&](auto type) {
    return convert<double>(element(data<decltype(type)>(), device()));
  });
}

Tensor empty(const Shape& shape, Dtype dtype, Device device) {
  std::size_t elements, bytes;
  if (__builtin_mul_overflow(static_cast<std::size_t>(shape.numel()), size_of(dtype), &elements) ||
      __builtin_add_overflow(elements, kHeader, &bytes))
    fail("empty", to_string(shape) + " is too large");
  std::byte* apart = nullptr;
  if (!device.is_cpu()) {
    apart = static_cast<std::byte*>(device_memory::allocate(device, elements));
    bytes = kHeader;
  }
  auto* block = static_cast<std::byte*>(memory::allocate(bytes));
  auto* node = new (block) TensorNode{.storage = nullptr,
                                      .data = device.is_cpu() ? block + kHeader : apart,
                                      .bytes = bytes,
                                      .id = next_id(),
                                      .dtype = dtype,
                                      .device = device,
                                      .shape = shape,
                                      .strides = contiguous_strides(shape)};
  node->storage = node;
  return Tensor::adopt(node);
}

Tensor empty_like(const Tensor& x) { return empty(x.shape(), x.dtype(), x.device()); }

Tensor zeros(const Shape& shape, Dtype dtype, Device device) {
  Tensor x = empty(shape, dtype, device);
  const std::size_t bytes = x.numel() * size_of(dtype);
  if (device.is_cpu())
    std::memset(x.mutable_raw_data(), 0, bytes);
  else
    device_memory::clear(device, x.mutable_raw_data(), bytes);
  return x;
}

Tensor full(const Shape& shape, double value, Dtype dtype, Device device) {
  // One upload; what is larger is then spread on the device.
  if (!device.is_cpu() && shape.numel() == 1) return on_device(full(shape, value, dtype), device);
  Tensor x = empty(shape, dtype, device);
  fill(x, value);
  return x;
}

Tensor ones(const Shape& shape, Dtype dtype, Device device) {
  return full(shape, 1, dtype, device);
}

Tensor scalar(double value, Dtype dtype, Device device) { return full({}, value, dtype, device); }

Tensor arange(std::int64_t count, Dtype dtype, double start, double step, Device device) {
  Tensor x = empty({count}, dtype);
  with_stored(dtype, [&](auto type) {
    using T = decltype(type);
    T* out = x.mutable_data<T>();
    for (std::int64_t i = 0; i < count; i++)
      out[i] = convert<T>(start + static_cast<double>(i) * step);
  });
  return on_device(x, device);
}

Tensor eye(std::int64_t n, Dtype dtype, Device device) {
  Tensor x = zeros({n, n}, dtype);
  with_stored(dtype, [&](auto type) {
    using T = decltype(type);
    for (std::int64_t i = 0; i < n; i++) x.mutable_data<T>()[i * (n + 1)] = convert<T>(1.0);
  });
  return on_device(x, device);
}

template <class T>
Tensor from_values(std::span<const T> values, const Shape& shape, Device device) {
  if (shape.numel() != static_cast<std::int64_t>(values.size()))
    fail("from_values",
         std::to_string(values.size()) + " values do not fill shape " + to_string(shape));
  Tensor x = empty(shape, dtype_of<T>(), device);
  if (values.empty()) return x;
  if (device.is_cpu())
    std::memcpy(x.mutable_raw_data(), values.data(), values.size_bytes());
  else
    device_memory::upload(device, x.mutable_raw_data(), values.data(), values.size_bytes());
  return x;
}
template Tensor from_values(std::span<const float>, const Shape&, Device);
template Tensor from_values(std::span<const double>, const Shape&, Device);
template Tensor from_values(std::span<const std::int64_t>, const Shape&, Device);
template Tensor from_values(std::span<const bool>, const Shape&, Device);
template Tensor from_values(std::span<const Float16>, const Shape&, Device);
template Tensor from_values(std::span<const Bfloat16>, const Shape&, Device);

Tensor on_device(const Tensor& x, Device device) {
  if (x.device() == device) return x;
  if (!x.device().is_cpu() && !device.is_cpu())
    return on_device(on_device(x, Device::cpu()), device);
  const Tensor from = contiguous_copy(x);
  Tensor to = empty(x.shape(), x.dtype(), device);
  const std::size_t bytes = x.numel() * size_of(x.dtype());
  if (device.is_cpu())
    device_memory::download(x.device(), to.mutable_raw_data(), from.raw_data(), bytes);
  else
    device_memory::upload(device, to.mutable_raw_data(), from.raw_data(), bytes);
  return to;
}

Tensor cast_copy(const Tensor& x, Dtype dtype) {
  Tensor out = empty(x.shape(), dtype, x.device());
  if (!x.device().is_cpu()) {
    copy_on_device(out,
                   dtype == x.dtype() ? x : on_device(cast_copy(on_host(x), dtype), x.device()));
    return out;
  }
  with_stored(x.dtype(), [&](auto from) {
    using From = decltype(from);
    with_stored(dtype, [&](auto to) {
      using To = decltype(to);
      const From* source = x.data<From>();
      To* target = out.mutable_data<To>();
      for_each_offset(x.shape(), x.strides(), [&](std::int64_t i, std::int64_t offset) {
        target[i] = convert<To>(source[offset]);
      });
    });
  });
  return out;
}

Tensor contiguous_copy(const Tensor& x) { return x.is_contiguous() ? x : cast_copy(x, x.dtype()); }

void copy_into(Tensor& target, const Tensor& source) {
  if (!(target.shape() == source.shape()) || target.dtype() != source.dtype())
    fail("copy_into", std::string("cannot copy ") + name(source.dtype()) +
                          to_string(source.shape()) + " into " + name(target.dtype()) +
                          to_string(target.shape()));
  const Tensor near = on_device(source, target.device());
  if (!target.device().is_cpu()) return copy_on_device(target, near);
  const Tensor dense = contiguous_copy(near);
  with_stored(target.dtype(), [&](auto type) {
    using T = decltype(type);
    const T* from = dense.data<T>();
    T* to = target.mutable_data<T>();
    for_each_offset(target.shape(), target.strides(),
                    [&](std::int64_t i, std::int64_t offset) { to[offset] = from[i]; });
  });
}

void fill(Tensor& target, double value) {
  if (!target.device().is_cpu()) {
    const Tensor one = on_device(scalar(value, target.dtype()), target.device());
    return copy_on_device(target, one);
  }
  with_stored(target.dtype(), [&](auto type) {
    using T = decltype(type);
    const T v = convert<T>(value);
    T* to = target.mutable_data<T>();
    if (target.is_contiguous()) {
      std::fill_n(to, target.numel(), v);
    } else {
      for_each_offset(target.shape(), target.strides(),
                      [&](std::int64_t, std::int64_t offset) { to[offset] = v; });
    }
  });
}

template <class T>
std::vector<T> to_vector(const Tensor& any) {
  const Tensor x = on_host(any);
  const Tensor dense =
      x.dtype() == dtype_of<T>() ? contiguous_copy(x) : cast_copy(x, dtype_of<T>());
  const T* data = dense.data<T>();
  return std::vector<T>(data, data + dense.numel());
}
template std::vector<float> to_vector(const Tensor&);
template std::vector<double> to_vector(const Tensor&);
template std::vector<std::int64_t> to_vector(const Tensor&);
template std::vector<Float16> to_vector(const Tensor&);
template std::vector<Bfloat16> to_vector(const Tensor&);

}  // namespace unroll
