#include "core/shape.h"

#include <algorithm>

#include "core/error.h"

namespace unroll {

Shape::Shape(const std::int64_t* sizes, int rank) : rank_(rank) {
  if (rank > max_rank) fail("shape", "a tensor has at most " + std::to_string(max_rank) + " axes");
  std::copy_n(sizes, rank, size_);
}

Axes::Axes(std::initializer_list<int> list) : count(static_cast<int>(list.size())) {
  if (list.size() > Shape::max_rank)
    fail("axes", "a tensor has at most " + std::to_string(Shape::max_rank) + " axes");
  std::copy(list.begin(), list.end(), axis);
}

std::int64_t Shape::numel() const {
  // A zero anywhere makes the product zero, however large the others are.
  std::int64_t product = 1;
  bool overflow = false, zero = false;
  for (std::int64_t size : *this) {
    if (size < 0) fail("shape", to_string(*this) + " has a negative size");
    zero |= size == 0;
    if (!zero) overflow |= __builtin_mul_overflow(product, size, &product);
  }
  if (zero) return 0;
  if (overflow) fail("shape", to_string(*this) + " has more elements than 64 bits can count");
  return product;
}

void Shape::insert(int axis, std::int64_t size) {
  if (rank_ == max_rank)
    fail("shape", to_string(*this) + " cannot grow: a tensor has at most " +
                      std::to_string(max_rank) + " axes");
  std::copy_backward(size_ + axis, size_ + rank_, size_ + rank_ + 1);
  size_[axis] = size;
  rank_++;
}

void Shape::erase(int axis) noexcept {
  std::copy(size_ + axis + 1, size_ + rank_, size_ + axis);
  rank_--;
}

std::string to_string(const Shape& shape) {
  std::string text = "[";
  for (int i = 0; i < shape.rank(); i++) text += (i ? "," : "") + std::to_string(shape[i]);
  return text + "]";
}

int normal_axis(const char* op, int axis, int rank) {
  if (axis < -rank || axis >= rank)
    fail(op, "axis " + std::to_string(axis) + " is out of range for rank " + std::to_string(rank));
  return axis < 0 ? axis + rank : axis;
}

Shape contiguous_strides(const Shape& shape) noexcept {
  Shape strides = shape;
  std::uint64_t step = 1;  // may wrap around beside a size of 0, where no stride is ever used
  for (int i = shape.rank(); i-- > 0;) {
    strides[i] = static_cast<std::int64_t>(step);
    step *= static_cast<std::uint64_t>(std::max<std::int64_t>(shape[i], 1));
  }
  return strides;
}

Shape broadcast_shapes(const char* op, const Shape& a, const Shape& b) {
  const Shape& small = a.rank() < b.rank() ? a : b;
  Shape out = a.rank() < b.rank() ? b : a;
  for (int i = 1; i <= small.rank(); i++) {
    if (out[-i] == 1)
      out[-i] = small[-i];
    else if (small[-i] != 1 && small[-i] != out[-i])
      fail(op, to_string(a) + " and " + to_string(b) + " do not broadcast");
  }
  return out;
}

}  // namespace unroll
