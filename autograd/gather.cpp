// Indexing: index_select and gather, each with its transpose, which is an op as well.
#include "kernels/gather.h"

#include "autograd/operands.h"

namespace unroll {

using namespace detail;

namespace {

// How a dense tensor with `shape` is seen as [outer, shape[axis], inner]; axis from the right.
GatherShape view_along(const Shape& shape, int axis, std::int64_t m) {
  GatherShape g{.outer = 1, .n = shape[axis], .inner = 1, .m = m};
  for (int i = 0; i < shape.rank() + axis; i++) g.outer *= shape[i];
  for (int i = axis + 1; i < 0; i++) g.inner *= shape[i];
  return g;
}

struct IndexSelectRule {
  static constexpr const char* name = "index_select";
  Tensor index;
  int axis;
  std::int64_t size;
  auto saved() const { return std::tie(index); }
  void pull(Pullback& s) const { s.add(0, index_add(s.cotangent(), axis, index, size)); }
  void push(Pushforward& s) const { s.set(0, index_select(s.tangent(0), axis, index)); }
};

struct IndexAddRule {
  static constexpr const char* name = "index_add";
  Tensor index;
  int axis;
  std::int64_t size;
  auto saved() const { return std::tie(index); }
  void pull(Pullback& s) const { s.add(0, index_select(s.cotangent(), axis, index)); }
  void push(Pushforward& s) const { s.set(0, index_add(s.tangent(0), axis, index, size)); }
};

// The index repeated for the leading directions of d.
Tensor repeated(const Tensor& index, const Tensor& d) {
  return view::expand(index, with_lead(d, index.rank(), index.shape()));
}

struct GatherRule {
  static constexpr const char* name = "gather";
  Tensor index;
  int axis;
  std::int64_t size;
  auto saved() const { return std::tie(index); }
  void pull(Pullback& s) const {
    s.add(0, scatter_add(s.cotangent(), axis, repeated(index, s.cotangent()), size));
  }
  void push(Pushforward& s) const {
    s.set(0, gather(s.tangent(0), axis, repeated(index, s.tangent(0))));
  }
};

struct ScatterAddRule {
  static constexpr const char* name = "scatter_add";
  Tensor index;
  int axis;
  std::int64_t size;
  auto saved() const { return std::tie(index); }
  void pull(Pullback& s) const {
    s.add(0, gather(s.cotangent(), axis, repeated(index, s.cotangent())));
  }
  void push(Pushforward& s) const {
    s.set(0, scatter_add(s.tangent(0), axis, repeated(index, s.tangent(0)), size));
  }
};

enum class Types { any, real };

// Calls kernel(args) with the pointers of dense operands in their type.
template <Types types, class Kernel>
void run(const Tensor& x, const Tensor& index, Tensor& y, Kernel kernel) {
  const auto call = [&](auto type) {
    using T = decltype(type);
    kernel(GatherArgs<T>{x.data<T>(), index.data<std::int64_t>(), y.mutable_data<T>()});
  };
  if constexpr (types == Types::any)
    with_dtype(x.dtype(), call);
  else
    with_real(x.dtype(), call);
}

template <class Rule>
Tensor recorded(const Tensor& x, Tensor y, const Tensor& index, int axis, std::int64_t size) {
  if (is_recording() && is_real(x.dtype())) record(Rule{index, axis, size}, {&x}, {&y});
  return y;
}

}  // namespace

void detail::require_indices(const char* op, const Tensor& index, std::int64_t size) {
  require_defined(op, index);
  if (index.dtype() != Dtype::int64) fail(op, "indices must be int64");
  const Tensor dense = contiguous_copy(index);
  const IndexRange range{dense.numel(), size};
  const IndexArgs args{dense.data<std::int64_t>()};
  const std::int64_t bad = UNROLL_VALUE_ON_DEVICE(dense.device(), first_bad_index(range, args));
  if (bad >= 0)
    fail(op, "index " + std::to_string(to_vector<std::int64_t>(dense)[bad]) +
                 " is out of range 0.." + std::to_string(size - 1));
}

Tensor index_select(const Tensor& x, int axis, const Tensor& index) {
  require_defined("index_select", x);
  axis = normal_axis("index_select", axis, x.rank()) - x.rank();
  require_indices("index_select", index, x.shape()[axis]);
  if (index.rank() != 1) fail("index_select", "index must be [m], not " + to_string(index.shape()));
  const Tensor source = contiguous(x), dense = contiguous_copy(index);
  Shape shape = x.shape();
  shape[axis] = index.numel();
  Tensor y = empty(shape, x.dtype(), x.device());
  const GatherShape space = view_along(x.shape(), axis, index.numel());
  run<Types::any>(source, dense, y, [&](const auto& args) {
    UNROLL_ON_DEVICE(x.device(), index_select(space, args));
  });
  return recorded<IndexSelectRule>(source, y, dense, axis, x.shape()[axis]);
}

Tensor index_add(const Tensor& x, int axis, const Tensor& index, std::int64_t size) {
  require_real("index_add", x);
  axis = normal_axis("index_add", axis, x.rank()) - x.rank();
  require_indices("index_add", index, size);
  if (!(index.shape() == Shape{x.shape()[axis]}))
    fail("index_add", "index is " + to_string(index.shape()) + " for axis " + std::to_string(axis) +
                          " of x " + to_string(x.shape()));
  const Tensor source = contiguous(x), dense = contiguous_copy(index);
  Shape shape = x.shape();
  shape[axis] = size;
  Tensor y = zeros(shape, x.dtype(), x.device());
  const GatherShape space = view_along(shape, axis, index.numel());
  run<Types::real>(source, dense, y,
                   [&](const auto& args) { UNROLL_ON_DEVICE(x.device(), index_add(space, args)); });
  return recorded<IndexAddRule>(source, y, dense, axis, size);
}

Tensor gather(const Tensor& x, int axis, const Tensor& index) {
  require_defined("gather", x);
  axis = normal_axis("gather", axis, x.rank()) - x.rank();
  require_indices("gather", index, x.shape()[axis]);
  Shape shape = x.shape();
  if (index.rank() == x.rank()) shape[axis] = index.shape()[axis];
  if (!(index.shape() == shape))
    fail("gather", "index is " + to_string(index.shape()) + " but x is " + to_string(x.shape()) +
                       ": they may differ along the axis only");
  const Tensor source = contiguous(x), dense = contiguous_copy(index);
  Tensor y = empty(shape, x.dtype(), x.device());
  const GatherShape space = view_along(x.shape(), axis, shape[axis]);
  run<Types::any>(source, dense, y,
                  [&](const auto& args) { UNROLL_ON_DEVICE(x.device(), take_along(space, args)); });
  return recorded<GatherRule>(source, y, dense, axis, x.shape()[axis]);
}

Tensor scatter_add(const Tensor& x, int axis, const Tensor& index, std::int64_t size) {
  require_real("scatter_add", x);
  axis = normal_axis("scatter_add", axis, x.rank()) - x.rank();
  require_indices("scatter_add", index, size);
  if (!(index.shape() == x.shape()))
    fail("scatter_add",
         "index is " + to_string(index.shape()) + " but x is " + to_string(x.shape()));
  const Tensor source = contiguous(x), dense = contiguous_copy(index);
  Shape shape = x.shape();
  shape[axis] = size;
  Tensor y = zeros(shape, x.dtype(), x.device());
  const GatherShape space = view_along(shape, axis, x.shape()[axis]);
  run<Types::real>(source, dense, y, [&](const auto& args) {
    UNROLL_ON_DEVICE(x.device(), put_along_add(space, args));
  });
  return recorded<ScatterAddRule>(source, y, dense, axis, size);
}

}  // namespace unroll
