// Shape: the sizes of a tensor's axes, at most Shape::max_rank of them, held inline.
//
//   Shape s{2, 3};  s[-1] == 3;  s.numel() == 6;  to_string(s) == "[2,3]"
//
// A value type without allocations. Negative indices count from the right, as in PyTorch.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

#include "core/export.h"

namespace UNROLL_API unroll {

/// Sizes of axes.
class Shape {
 public:
  /// The most axes that there may be.
  static constexpr int max_rank = 8;

  Shape() = default;
  /// Throws Error when there are more than max_rank sizes. Sizes may be anything here; tensors
  /// check that none is negative.
  Shape(std::initializer_list<std::int64_t> sizes) : Shape(sizes.begin(), int(sizes.size())) {}
  explicit Shape(const std::vector<std::int64_t>& sizes)
      : Shape(sizes.data(), static_cast<int>(sizes.size() < 99 ? sizes.size() : 99)) {}
  Shape(const std::int64_t* sizes, int rank);

  /// Number of axes, and their sizes as a range.
  int rank() const noexcept { return rank_; }
  const std::int64_t* begin() const noexcept { return size_; }
  const std::int64_t* end() const noexcept { return size_ + rank_; }

  /// Size of an axis, -rank <= axis < rank (not checked: see normal_axis).
  std::int64_t operator[](int axis) const noexcept { return size_[axis < 0 ? axis + rank_ : axis]; }
  std::int64_t& operator[](int axis) noexcept { return size_[axis < 0 ? axis + rank_ : axis]; }

  /// Product of the sizes; 1 for rank 0. Throws Error when it does not fit 63 bits or a size is
  /// negative.
  std::int64_t numel() const;

  /// Inserts a size so that it becomes axis `axis` (0 <= axis <= rank).
  void insert(int axis, std::int64_t size);
  /// Removes axis `axis` (0 <= axis < rank).
  void erase(int axis) noexcept;

  friend bool operator==(const Shape& a, const Shape& b) noexcept {
    if (a.rank_ != b.rank_) return false;
    for (int i = 0; i < a.rank_; i++)
      if (a.size_[i] != b.size_[i]) return false;
    return true;
  }

 private:
  int rank_ = 0;
  std::int64_t size_[max_rank] = {};
};

/// A short list of axes, held inline; converts from one axis or a braced list.
struct Axes {
  int count = 0;
  int axis[Shape::max_rank] = {};

  Axes() = default;
  Axes(int single) : count(1), axis{single} {}
  /// Throws Error for more than max_rank axes.
  Axes(std::initializer_list<int> list);

  /// The axes as a range.
  const int* begin() const noexcept { return axis; }
  const int* end() const noexcept { return axis + count; }
};

/// "[2,3]"; "[]" for rank 0.
std::string to_string(const Shape& shape);

/// Turns an axis of -rank..rank-1 into 0..rank-1; Error, naming `op`, where it is out of range.
int normal_axis(const char* op, int axis, int rank);

/// Row-major strides, in elements.
Shape contiguous_strides(const Shape& shape) noexcept;

/// NumPy broadcasting of two shapes, aligned at the right. Throws Error, naming `op` and both
/// shapes, where they do not fit.
Shape broadcast_shapes(const char* op, const Shape& a, const Shape& b);

}  // namespace unroll
