// Rows of a table by their indices.
#include "autograd/operands.h"

namespace unroll {

using namespace detail;

namespace {

// The same values as a tensor of its own that no tape has seen.
Tensor constant(const Tensor& x) { return view::reshape(x, x.shape()); }

}  // namespace

Tensor embedding(const Tensor& weight, const Tensor& index,
                 std::optional<std::int64_t> padding_idx) {
  constexpr const char* op = "embedding";
  require_real(op, weight);
  if (weight.rank() != 2) fail(op, "weight is " + to_string(weight.shape()) + ", not [V,E]");
  const std::int64_t V = weight.shape()[0];
  require_indices(op, index, V);
  const std::int64_t padding = padding_idx.value_or(0) + (padding_idx.value_or(0) < 0 ? V : 0);
  if (padding_idx && (padding < 0 || padding >= V))
    fail(op, "padding_idx " + std::to_string(*padding_idx) + " is out of range for weight " +
                 to_string(weight.shape()));
  Shape shape = index.shape();
  shape.insert(shape.rank(), weight.shape()[1]);
  const Tensor flat = view::reshape(contiguous_copy(index), {index.numel()});
  Tensor rows = index_select(weight, 0, flat);
  if (padding_idx && is_recording()) {
    const Tensor padded =
        eq(flat, full({1}, static_cast<double>(padding), Dtype::int64, flat.device()));
    rows = where(view::unsqueeze(padded, -1), constant(rows), rows);
  }
  return reshape(rows, shape);
}

}  // namespace unroll
