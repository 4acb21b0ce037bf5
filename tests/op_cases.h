// One row per op and variant; the harness (op_test.cpp) derives every check from the row.
//
//   cases.push_back({.op = "tanh",
//                    .inputs = {normal({3, 4})},
//                    .f = [](const Tensors& x) { return tanh(x[0]); },
//                    .reference = [](const Arrays& x) { return map(x[0], [](double v) {
//                      return std::tanh(v); }); }});
//
// A reference is written on its own, with plain loops and <cmath>, in float64. The checks return
// "" or say what is wrong, so that the harness can be tested with rows that must fail.
#pragma once

#include <functional>
#include <ostream>
#include <string>
#include <vector>

#include "core/tensor.h"

namespace unroll::testing {

/// What references compute with: values in row-major order.
struct Array {
  Shape shape;
  std::vector<double> v;

  Array() = default;
  explicit Array(const Shape& s) : shape(s), v(static_cast<std::size_t>(s.numel())) {}
  Array(const Shape& s, std::vector<double> values) : shape(s), v(std::move(values)) {}

  /// The element at an index; reading along an axis of size 1 and missing axes at the left
  /// broadcast.
  double at(const std::vector<std::int64_t>& index) const;
  double& operator()(const std::vector<std::int64_t>& index);
};
using Arrays = std::vector<Array>;

/// Calls f(index) for every index of a shape, in row-major order.
void for_each_index(const Shape& shape,
                    const std::function<void(const std::vector<std::int64_t>&)>& f);
/// An array whose element at each index is f(index).
Array build(const Shape& shape, const std::function<double(const std::vector<std::int64_t>&)>& f);
Array map(const Array& x, const std::function<double(double)>& f);
/// f(a, b) with broadcasting.
Array zip(const Array& a, const Array& b, const std::function<double(double, double)>& f);

/// All outputs of an op in one vector, so that one row checks them together.
Tensor joined(const Tensors& outputs);
Array joined(const Arrays& outputs);

/// How one operand is made: a shape and a maker, so that larger ones can be made for the test of
/// threads.
struct Input {
  Shape shape;
  std::function<Tensor(const Shape&, std::uint64_t seed)> make;
};
Input normal(const Shape& shape, double sd = 1);
Input positive(const Shape& shape);  // uniform in 0.4 .. 2.5
/// Distinct values low + 0.1 k + 0.05, shuffled: at least 0.05 away from the multiples of 0.1 and
/// 0.1 from each other.
Input apart(const Shape& shape, double low = -1.2);
/// Whole numbers 0 .. below-1.
Input indices(const Shape& shape, std::int64_t below);
Input given(const Tensor& values);

struct OpCase {
  std::string op;            // the function's name
  std::string variant = {};  // what is special: "broadcast"
  std::vector<Input> inputs;
  std::function<Tensor(const Tensors&)> f;
  std::function<Array(const Arrays&)> reference;
  std::vector<Shape> large = {};  // shapes of the inputs for the test of threads; empty: none
  bool differentiable = true;
  bool flat = false;  // piecewise constant: derivatives are zero
  double float32_tolerance = 2e-6;
  std::uint64_t seed = 1;  // of the inputs: another one where a value lies at a kink

  std::string name() const { return variant.empty() ? op : op + "_" + variant; }
  Tensors make_inputs() const;
};
std::ostream& operator<<(std::ostream& out, const OpCase& c);

/// The ops of one operand, with their scalar function and its derivative.
struct UnaryRow {
  const char* op;
  Tensor (*f)(const Tensor&);
  double (*value)(double);
  double (*slope)(double);
  enum Domain { everywhere, above_zero, off_kinks } domain = everywhere;
  bool flat = false;
};
inline void PrintTo(const UnaryRow& row, std::ostream* out) { *out << row.op; }
const std::vector<UnaryRow>& unary_rows();

/// All rows: the sum of the lists of the files op_cases_*.cpp.
const std::vector<OpCase>& op_cases();
void add_unary_cases(std::vector<OpCase>& cases);
void add_binary_cases(std::vector<OpCase>& cases);
void add_reduction_cases(std::vector<OpCase>& cases);
void add_statistics_cases(std::vector<OpCase>& cases);
void add_scan_cases(std::vector<OpCase>& cases);
void add_product_cases(std::vector<OpCase>& cases);
void add_einsum_cases(std::vector<OpCase>& cases);
void add_shape_cases(std::vector<OpCase>& cases);
void add_pad_cases(std::vector<OpCase>& cases);
void add_index_cases(std::vector<OpCase>& cases);
void add_loss_cases(std::vector<OpCase>& cases);
void add_recurrent_cases(std::vector<OpCase>& cases);
void add_attention_cases(std::vector<OpCase>& cases);
void add_layer_cases(std::vector<OpCase>& cases);
void add_recurrent_option_cases(std::vector<OpCase>& cases);

/// The checks, op_checks.cpp. "" where all is well.
std::string check_value(const OpCase& c);         // float64 against the reference, float32, shape
std::string check_strided(const OpCase& c);       // operands that are views with odd strides
std::string check_threads(const OpCase& c);       // 1, 2 and 3 threads, bit for bit
std::string check_gradients(const OpCase& c);     // gradcheck and u.(Jv) = (J^T u).v
std::string check_directions(const OpCase& c);    // K at once = K sweeps, recorded or not
std::string check_second_order(const OpCase& c);  // Hessian-vector products, three ways
std::string check_backward(const OpCase& c);      // adds into flat gradients
std::string check_footprint(const OpCase& c);     // all bytes come back
std::string check_device(const OpCase& c, Device device);  // values and both sweeps as on the CPU

}  // namespace unroll::testing
