// ONNX's node tests: views, copies and indexing.
#include <algorithm>

#include "tests/onnx_node.h"

namespace unroll::testing::onnx {
namespace {

Shape shape_of(const Ints& sizes) { return Shape(sizes); }

Tensors reshaped(const Node& n) {
  Ints sizes = to_vector<std::int64_t>(n.in[1]);
  if (!n.get("allowzero", 0))
    for (std::size_t i = 0; i < sizes.size(); i++)
      if (sizes[i] == 0) sizes[i] = n.in[0].shape()[int(i)];
  return {reshape(n.in[0], shape_of(sizes))};
}

Tensors flattened(const Node& n) {
  const int rank = n.in[0].rank(), given = n.axis(1), axis = given < 0 ? given + rank : given;
  std::int64_t rows = 1;
  for (int i = 0; i < axis; i++) rows *= n.in[0].shape()[i];
  return {reshape(n.in[0], {rows, rows ? n.in[0].numel() / rows : 0})};
}

Tensors transposed(const Node& n) {
  Axes order;
  order.count = n.in[0].rank();
  for (int i = 0; i < order.count; i++) order.axis[i] = order.count - 1 - i;
  const Ints given = n.get("perm", Ints{});
  for (std::size_t i = 0; i < given.size(); i++) order.axis[i] = int(given[i]);
  return {permute(n.in[0], order)};
}

Tensors unsqueezed(const Node& n) {
  Ints axes = n.list(1, "axes");
  const int rank = n.in[0].rank() + int(axes.size());
  for (std::int64_t& a : axes) a = normal_axis("Unsqueeze", int(a), rank);
  std::sort(axes.begin(), axes.end());
  Tensor y = n.in[0];
  for (std::int64_t a : axes) y = unsqueeze(y, int(a));
  return {y};
}

Tensors squeezed(const Node& n) {
  Ints axes = n.list(1, "axes");
  for (std::int64_t& a : axes) a = normal_axis("Squeeze", int(a), n.in[0].rank());
  std::sort(axes.rbegin(), axes.rend());
  Tensor y = n.in[0];
  for (std::int64_t a : axes) y = squeeze(y, int(a));
  return {y};
}

Tensors sliced(const Node& n) {
  Tensor y = n.in[0];
  const Ints starts = n.list(1, "starts"), ends = n.list(2, "ends"), steps = n.list(4, "steps");
  Ints axes = n.list(3, "axes");
  for (std::size_t i = 0; i < starts.size(); i++) {
    if (axes.size() <= i) axes.push_back(std::int64_t(i));
    const std::int64_t step = steps.empty() ? 1 : steps[i], size = y.size(int(axes[i]));
    const std::int64_t low = step < 0 ? -1 : 0, high = step < 0 ? size - 1 : size;
    const auto inside = [=](std::int64_t at) {
      return std::clamp<std::int64_t>(at < 0 ? at + size : at, low, high);
    };
    const std::int64_t start = inside(starts[i]), end = inside(ends[i]);
    y = slice(y, int(axes[i]), start, step < 0 ? std::min(start, end) : std::max(start, end), step);
  }
  return {y};
}

// Pads of all axes, or of the axes of input 3: first what stands before each, then what is behind.
Tensors padded(const Node& n) {
  static const std::map<std::string, Pad> modes = {{"constant", Pad::constant},
                                                   {"reflect", Pad::reflect},
                                                   {"edge", Pad::replicate},
                                                   {"wrap", Pad::circular}};
  const Ints pads = n.list(1, "pads");
  Ints axes = n.input(3) ? to_vector<std::int64_t>(n.in[3]) : Ints();
  for (std::size_t i = axes.size(); i < pads.size() / 2; i++) axes.push_back(std::int64_t(i));
  std::vector<PadAxis> by;
  for (std::size_t i = 0; i < axes.size(); i++)
    by.push_back({int(axes[i]), pads[i], pads[i + axes.size()]});
  const double value = n.input(2) ? n.in[2].item() : n.get("value", 0.0);
  return {pad(n.in[0], by, modes.at(n.get<std::string>("mode", "constant")), value)};
}

Tensors tiled(const Node& n) {
  return {repeat(n.in[0], shape_of(to_vector<std::int64_t>(n.in[1])))};
}

Tensors triangle(const Node& n) {
  const std::int64_t diagonal = n.input(1) ? to_vector<std::int64_t>(n.in[1])[0] : 0;
  return {n.get("upper", 1) ? triu(n.in[0], diagonal) : tril(n.in[0], diagonal)};
}

Tensors split(const Node& n) {
  const int axis = n.axis(0);
  const std::int64_t size = n.in[0].size(axis), parts = std::int64_t(n.outputs);
  Ints sizes = n.list(1, "split");
  if (sizes.empty()) {
    const std::int64_t each = (size + parts - 1) / parts;
    for (std::int64_t i = 0; i < parts; i++) sizes.push_back(std::min(each, size - i * each));
  }
  Tensors all;
  std::int64_t start = 0;
  for (std::int64_t s : sizes) all.push_back(slice(n.in[0], axis, start, start + s)), start += s;
  return all;
}

Tensors gathered(const Node& n) {
  const int axis = normal_axis("Gather", n.axis(0), n.in[0].rank());
  Ints index = to_vector<std::int64_t>(n.in[1]);
  for (std::int64_t& i : index) i += i < 0 ? n.in[0].shape()[axis] : 0;
  const Tensor flat =
      from_values<std::int64_t>(index, {std::int64_t(index.size())}, n.in[0].device());
  Shape shape = n.in[0].shape();
  shape.erase(axis);
  for (int i = 0; i < n.in[1].rank(); i++) shape.insert(axis + i, n.in[1].shape()[i]);
  return {reshape(index_select(n.in[0], axis, flat), shape)};
}

Tensors expanded(const Node& n) {
  const Shape wanted = shape_of(to_vector<std::int64_t>(n.in[1]));
  return {expand(n.in[0], broadcast_shapes("Expand", n.in[0].shape(), wanted))};
}

}  // namespace

const Ops& shape_ops() {
  static const Ops all = {
      {"Concat", [](const Node& n) { return Tensors{cat(n.in, n.axis(1))}; }},
      {"Expand", expanded},
      {"Flatten", flattened},
      {"Gather", gathered},
      {"Pad", padded},
      {"Reshape", reshaped},
      {"Slice", sliced},
      {"Split", split},
      {"Squeeze", squeezed},
      {"Tile", tiled},
      {"Transpose", transposed},
      {"Trilu", triangle},
      {"Unsqueeze", unsqueezed},
  };
  return all;
}

}  // namespace unroll::testing::onnx
