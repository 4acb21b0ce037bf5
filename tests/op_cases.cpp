// What rows are made of: operands and the loops of the references.
#include "tests/op_cases.h"

#include <ostream>

#include "autograd/ops.h"
#include "core/random.h"

namespace unroll::testing {

double Array::at(const std::vector<std::int64_t>& index) const {
  std::int64_t place = 0;
  const int lead = static_cast<int>(index.size()) - shape.rank();
  for (int i = 0; i < shape.rank(); i++)
    place = place * shape[i] + (shape[i] == 1 ? 0 : index[static_cast<std::size_t>(i + lead)]);
  return v[static_cast<std::size_t>(place)];
}

double& Array::operator()(const std::vector<std::int64_t>& index) {
  std::int64_t place = 0;
  for (int i = 0; i < shape.rank(); i++)
    place = place * shape[i] + index[static_cast<std::size_t>(i)];
  return v[static_cast<std::size_t>(place)];
}

void for_each_index(const Shape& shape,
                    const std::function<void(const std::vector<std::int64_t>&)>& f) {
  std::vector<std::int64_t> index(static_cast<std::size_t>(shape.rank()), 0);
  for (std::int64_t k = 0; k < shape.numel(); k++) {
    std::int64_t rest = k;
    for (int i = shape.rank(); i-- > 0;) {
      index[static_cast<std::size_t>(i)] = rest % shape[i];
      rest /= shape[i];
    }
    f(index);
  }
}

Array build(const Shape& shape, const std::function<double(const std::vector<std::int64_t>&)>& f) {
  Array y(shape);
  for_each_index(shape, [&](const auto& index) { y(index) = f(index); });
  return y;
}

Array map(const Array& x, const std::function<double(double)>& f) {
  Array y = x;
  for (double& v : y.v) v = f(v);
  return y;
}

Array zip(const Array& a, const Array& b, const std::function<double(double, double)>& f) {
  Shape shape = a.shape.rank() >= b.shape.rank() ? a.shape : b.shape;
  for (int i = 1; i <= shape.rank(); i++) {
    const std::int64_t m = i <= a.shape.rank() ? a.shape[-i] : 1;
    const std::int64_t n = i <= b.shape.rank() ? b.shape[-i] : 1;
    shape[-i] = m == 1 ? n : m;
  }
  return build(shape, [&](const auto& index) { return f(a.at(index), b.at(index)); });
}

Tensor joined(const Tensors& outputs) {
  Tensors flat;
  for (const Tensor& t : outputs) flat.push_back(reshape(t, {-1}));
  return cat(flat, 0);
}

Array joined(const Arrays& outputs) {
  Array flat;
  for (const Array& a : outputs) flat.v.insert(flat.v.end(), a.v.begin(), a.v.end());
  flat.shape = Shape{static_cast<std::int64_t>(flat.v.size())};
  return flat;
}

Input normal(const Shape& shape, double sd) {
  return {shape, [sd](const Shape& s, std::uint64_t seed) {
            return Random(seed, 5).normal(s, 0, sd, Dtype::float64);
          }};
}

Input positive(const Shape& shape) {
  return {shape, [](const Shape& s, std::uint64_t seed) {
            return Random(seed, 6).uniform(s, 0.4, 2.5, Dtype::float64);
          }};
}

Input apart(const Shape& shape, double low) {
  return {shape, [low](const Shape& s, std::uint64_t seed) {
            Tensor x = empty(s, Dtype::float64);
            const Tensor order = Random(seed, 7).permutation(s.numel());
            double* at = x.mutable_data<double>();
            for (std::int64_t i = 0; i < s.numel(); i++)
              at[i] = low + 0.1 * static_cast<double>(order.data<std::int64_t>()[i]) + 0.05;
            return x;
          }};
}

Input indices(const Shape& shape, std::int64_t below) {
  return {shape, [below](const Shape& s, std::uint64_t seed) {
            return Random(seed, 8).integers(s, 0, below);
          }};
}

Input given(const Tensor& values) {
  return {values.shape(), [values](const Shape&, std::uint64_t) { return values; }};
}

Tensors OpCase::make_inputs() const {
  Tensors x;
  for (std::size_t i = 0; i < inputs.size(); i++)
    x.push_back(inputs[i].make(inputs[i].shape, seed + 100 * i));
  return x;
}

std::ostream& operator<<(std::ostream& out, const OpCase& c) { return out << c.name(); }

const std::vector<OpCase>& op_cases() {
  static const std::vector<OpCase> all = [] {
    std::vector<OpCase> cases;
    add_unary_cases(cases);
    add_binary_cases(cases);
    add_reduction_cases(cases);
    add_statistics_cases(cases);
    add_scan_cases(cases);
    add_product_cases(cases);
    add_einsum_cases(cases);
    add_shape_cases(cases);
    add_pad_cases(cases);
    add_index_cases(cases);
    add_loss_cases(cases);
    add_recurrent_cases(cases);
    add_attention_cases(cases);
    add_layer_cases(cases);
    add_recurrent_option_cases(cases);
    return cases;
  }();
  return all;
}

}  // namespace unroll::testing
