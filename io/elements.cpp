#include "io/elements.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <memory>
#include <optional>

namespace unroll {
namespace {

static_assert(std::endian::native == std::endian::little,
              "files are read and written as the memory of a little-endian machine lies");

constexpr std::size_t kStep = 1 << 16;  // bytes read at once

template <class T>
T load(const std::byte* from, bool swap) noexcept {
  std::byte raw[sizeof(T)];
  std::memcpy(raw, from, sizeof(T));
  if (swap) std::reverse(raw, raw + sizeof(T));
  T value;
  std::memcpy(&value, raw, sizeof(T));
  return value;
}

template <class T, class To, class F>
void decode(const std::byte* from, std::size_t count, bool swap, void* target, F convert) {
  To* to = static_cast<To*>(target);
  for (std::size_t i = 0; i < count; i++) to[i] = convert(load<T>(from + i * sizeof(T), swap));
}

template <class T>
void decode_integer(const std::byte* from, std::size_t count, bool swap, void* target) {
  decode<T, std::int64_t>(from, count, swap, target, [](T v) { return std::int64_t{v}; });
}

// `beyond` becomes the first uint64 that no int64 holds.
void decode_step(Element element, const std::byte* from, std::size_t count, bool swap, void* to,
                 std::optional<std::uint64_t>& beyond) {
  switch (element) {
    case Element::boolean:
      return decode<std::uint8_t, bool>(from, count, swap, to, [](auto v) { return v != 0; });
    case Element::int8:
      return decode<std::int8_t, float>(from, count, swap, to, [](auto v) { return float(v); });
    case Element::int16: return decode_integer<std::int16_t>(from, count, swap, to);
    case Element::int32: return decode_integer<std::int32_t>(from, count, swap, to);
    case Element::int64: return decode_integer<std::int64_t>(from, count, swap, to);
    case Element::uint8:
      return decode<std::uint8_t, float>(from, count, swap, to, [](auto v) { return float(v); });
    case Element::uint16: return decode_integer<std::uint16_t>(from, count, swap, to);
    case Element::uint32: return decode_integer<std::uint32_t>(from, count, swap, to);
    case Element::uint64:
      return decode<std::uint64_t, std::int64_t>(from, count, swap, to, [&](std::uint64_t v) {
        if (v >> 63 && !beyond) beyond = v;
        return static_cast<std::int64_t>(v);
      });
    case Element::float16:
    case Element::bfloat16:
      return decode<std::uint16_t, std::uint16_t>(from, count, swap, to, [](auto v) { return v; });
    case Element::float32:
      return decode<float, float>(from, count, swap, to, [](float v) { return v; });
    case Element::float64:
      return decode<double, double>(from, count, swap, to, [](double v) { return v; });
  }
}

// The bytes in the source are the tensor's bytes. A bool is not: it may only be 0 or 1 in memory.
bool is_held_as_it_is(const ElementLayout& layout) noexcept {
  return layout.order == ByteOrder::little && !layout.fortran_order &&
         (layout.element == Element::float32 || layout.element == Element::float64 ||
          layout.element == Element::int64 || layout.element == Element::float16 ||
          layout.element == Element::bfloat16);
}

// Puts elements that come with the first axis fastest to their row-major places.
class Scatter {
 public:
  explicit Scatter(const Shape& shape) : shape_(shape), strides_(contiguous_strides(shape)) {}

  template <class T>
  void put(const T* from, std::size_t count, T* to) {
    for (std::size_t i = 0; i < count; i++) {
      to[at_] = from[i];
      for (int axis = 0; axis < shape_.rank(); axis++) {
        at_ += strides_[axis];
        if (++index_[axis] < shape_[axis]) break;
        at_ -= strides_[axis] * index_[axis];
        index_[axis] = 0;
      }
    }
  }

 private:
  Shape shape_, strides_;
  std::int64_t index_[Shape::max_rank] = {};
  std::int64_t at_ = 0;
};

}  // namespace

std::size_t size_of(Element element) noexcept {
  switch (element) {
    case Element::boolean:
    case Element::int8:
    case Element::uint8: return 1;
    case Element::int16:
    case Element::uint16:
    case Element::float16:
    case Element::bfloat16: return 2;
    case Element::int32:
    case Element::uint32:
    case Element::float32: return 4;
    default: return 8;
  }
}

Dtype held_as(Element element) noexcept {
  switch (element) {
    case Element::boolean: return Dtype::boolean;
    case Element::int8:
    case Element::uint8:
    case Element::float32: return Dtype::float32;
    case Element::float64: return Dtype::float64;
    case Element::float16: return Dtype::float16;
    case Element::bfloat16: return Dtype::bfloat16;
    default: return Dtype::int64;
  }
}

void require_elements(const ByteSource& source, Element element, const Shape& shape) {
  const auto count = static_cast<std::uint64_t>(shape.numel());
  const std::size_t width = size_of(element);
  if (count > source.left() / width)
    source.fail("is truncated: shape " + to_string(shape) + " needs " + std::to_string(count) +
                " elements of " + std::to_string(width) + " bytes, but " +
                std::to_string(source.left()) + " bytes are left");
}

Tensor read_elements(ByteSource& source, const ElementLayout& layout, const Shape& shape) {
  require_elements(source, layout.element, shape);
  const auto count = static_cast<std::uint64_t>(shape.numel());
  const std::size_t width = size_of(layout.element);
  Tensor out = empty(shape, held_as(layout.element));
  auto* to = static_cast<std::byte*>(out.mutable_raw_data());
  if (is_held_as_it_is(layout)) {
    source.read(to, count * width);
    return out;
  }
  const std::size_t held = size_of(out.dtype());
  const std::uint64_t most = std::min<std::uint64_t>(kStep / width, count);
  const auto raw = std::make_unique<std::byte[]>(most * width);
  const auto decoded = std::make_unique<std::byte[]>(layout.fortran_order ? most * held : 0);
  std::optional<std::uint64_t> beyond;
  Scatter scatter(shape);
  for (std::uint64_t done = 0; done < count;) {
    const std::size_t step = std::min(most, count - done);
    source.read(raw.get(), step * width);
    void* const target = layout.fortran_order ? decoded.get() : to + done * held;
    decode_step(layout.element, raw.get(), step, layout.order == ByteOrder::big, target, beyond);
    if (layout.fortran_order)
      with_stored(out.dtype(), [&](auto type) {
        using T = decltype(type);
        scatter.put(reinterpret_cast<const T*>(decoded.get()), step, reinterpret_cast<T*>(to));
      });
    done += step;
  }
  if (beyond) source.fail("holds the uint64 " + std::to_string(*beyond) + ", beyond int64");
  return out;
}

}  // namespace unroll
