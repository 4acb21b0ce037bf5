// Ops that put copies of elements, or zeros, around others: roll, repeat, tril, triu, pad.
#include <algorithm>

#include "autograd/linear_op.h"

namespace unroll {

using namespace detail;

namespace {

// The places of one padded axis: i counts from the first place of x.
std::int64_t source_of(std::int64_t i, std::int64_t size, Pad mode) {
  const auto modulo = [](std::int64_t a, std::int64_t b) { return (a % b + b) % b; };
  if (mode == Pad::replicate) return std::clamp<std::int64_t>(i, 0, size - 1);
  if (mode == Pad::circular) return modulo(i, size);
  if (size == 1) return 0;
  const std::int64_t at = modulo(i, 2 * (size - 1));
  return at < size ? at : 2 * (size - 1) - at;
}

Tensor pad_by_index(const Tensor& x, const PadAxis& by, Pad mode) {
  const std::int64_t size = x.shape()[by.axis];
  Tensor index = empty({by.before + size + by.after}, Dtype::int64);
  std::int64_t* to = index.mutable_data<std::int64_t>();
  for (std::int64_t i = -by.before; i < size + by.after; i++) *to++ = source_of(i, size, mode);
  return index_select(x, by.axis, on_device(index, x.device()));
}

Tensor pad_by_value(const Tensor& x, const PadAxis& by, double value) {
  const std::int64_t size = x.shape()[by.axis];
  const std::int64_t start = std::max<std::int64_t>(-by.before, 0),
                     end = size - std::max<std::int64_t>(-by.after, 0);
  const auto block = [&](std::int64_t places) {
    Shape shape = x.shape();
    shape[by.axis] = places;
    return full(shape, value, x.dtype(), x.device());
  };
  // Nothing of x is left, but the result comes from it still.
  if (start >= end)
    return cat({block(size + by.before + by.after), slice(x, by.axis, 0, 0)}, by.axis);
  Tensors parts;
  if (by.before > 0) parts.push_back(block(by.before));
  parts.push_back(slice(x, by.axis, start, end));
  if (by.after > 0) parts.push_back(block(by.after));
  return parts.size() == 1 ? parts[0] : cat(parts, by.axis);
}

// x where keep[row, column], else 0.
template <class Keep>
Tensor triangle(const char* op, const Tensor& x, Keep keep) {
  require_defined(op, x);
  if (x.rank() < 2) fail(op, "x is " + to_string(x.shape()) + ", not [...,M,N]");
  const std::int64_t M = x.shape()[-2], N = x.shape()[-1];
  Tensor mask = empty({M, N}, Dtype::boolean);
  bool* to = mask.mutable_data<bool>();
  for (std::int64_t i = 0; i < M; i++)
    for (std::int64_t j = 0; j < N; j++) *to++ = keep(i, j);
  return where(on_device(mask, x.device()), x, number_like(x, 0));
}

}  // namespace

Tensor roll(const Tensor& x, std::int64_t shift, int axis) {
  require_defined("roll", x);
  axis = from_right("roll", axis, x.rank());
  const std::int64_t size = x.shape()[axis];
  const std::int64_t start = size ? (size - shift % size) % size : 0;
  if (start == 0) return x;
  return cat({slice(x, axis, start, size), slice(x, axis, 0, start)}, axis);
}

// One axis at a time, seen as the middle one of three: ranks stay low.
Tensor repeat(const Tensor& x, const Shape& counts) {
  require_defined("repeat", x);
  if (counts.rank() < x.rank())
    fail("repeat", to_string(counts) + " has fewer axes than x, " + to_string(x.shape()));
  for (std::int64_t count : counts)
    if (count < 0) fail("repeat", to_string(counts) + " has a negative count");
  Shape shape = x.shape();
  while (shape.rank() < counts.rank()) shape.insert(0, 1);
  Tensor y = reshape(x, shape);
  for (int axis = counts.rank(); axis-- > 0;) {
    if (counts[axis] == 1) continue;
    std::int64_t outer = 1, inner = 1;
    for (int i = 0; i < axis; i++) outer *= shape[i];
    for (int i = axis; i < shape.rank(); i++) inner *= shape[i];
    shape[axis] *= counts[axis];
    y = reshape(expand(reshape(y, {outer, 1, inner}), {outer, counts[axis], inner}), shape);
  }
  return y;
}

Tensor tril(const Tensor& x, std::int64_t diagonal) {
  return triangle("tril", x, [=](std::int64_t i, std::int64_t j) { return j - i <= diagonal; });
}
Tensor triu(const Tensor& x, std::int64_t diagonal) {
  return triangle("triu", x, [=](std::int64_t i, std::int64_t j) { return j - i >= diagonal; });
}

Tensor pad(const Tensor& x, const std::vector<PadAxis>& by, Pad mode, double value) {
  require_defined("pad", x);
  std::vector<PadAxis> all = by;
  bool named[Shape::max_rank] = {};
  for (PadAxis& one : all) {
    one.axis = normal_axis("pad", one.axis, x.rank());
    if (named[one.axis]) fail("pad", "an axis is named twice");
    named[one.axis] = true;
    const std::int64_t size = x.shape()[one.axis];
    const auto complain = [&](const char* why) {
      fail("pad", "axis " + std::to_string(one.axis) + " of shape " + to_string(x.shape()) + why);
    };
    if (size + one.before + one.after < 0) complain(" is shorter than what is cut off");
    if (size == 0 && mode != Pad::constant) complain(" is empty: there is nothing to repeat");
  }
  Tensor y = x;
  for (const PadAxis& one : all)
    y = mode == Pad::constant ? pad_by_value(y, one, value) : pad_by_index(y, one, mode);
  return y;
}

}  // namespace unroll
