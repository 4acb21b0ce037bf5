// Matrix products: matmul with broadcast leading axes, and the affine map of a layer.
#include "kernels/matmul.h"

#include "autograd/operands.h"
#include "kernels/copy.h"

namespace unroll {

using namespace detail;

namespace {

// Element offset of batch `index` of x, whose leading axes broadcast to those of `out`.
std::int64_t batch_offset(const Tensor& x, const Shape& out, std::int64_t index) {
  std::int64_t offset = 0;
  for (int i = 3; i <= out.rank(); i++) {
    const std::int64_t at = index % out[-i];
    index /= out[-i];
    if (i <= x.rank() && x.shape()[-i] != 1) offset += at * x.strides()[-i];
  }
  return offset;
}

// The kernel's shape for one run of products along the last leading axis.
MatmulShape kernel_shape(const Tensor& a, const Tensor& b, const Shape& out) {
  MatmulShape shape{.M = out[-2],
                    .N = out[-1],
                    .K = a.shape()[-1],
                    .a_row = a.strides()[-2],
                    .a_col = a.strides()[-1],
                    .b_row = b.strides()[-2],
                    .b_col = b.strides()[-1],
                    .c_row = out[-1]};
  if (out.rank() == 2) return shape;
  const auto stride = [](const Tensor& x) {
    return x.rank() > 2 && x.shape()[-3] != 1 ? x.strides()[-3] : 0;
  };
  shape.batch = out[-3];
  shape.a_batch = stride(a);
  shape.b_batch = stride(b);
  shape.c_batch = out[-2] * out[-1];
  // Rows of several products with one shared matrix are the rows of one product.
  if (shape.b_batch == 0 && shape.a_batch == shape.M * shape.a_row) {
    shape.M *= shape.batch;
    shape.batch = 1;
  }
  return shape;
}

// c = a b, every product of the batch; c is fresh and contiguous.
template <class T>
void run(const Tensor& a, const Tensor& b, Tensor& c) {
  const Shape& out = c.shape();
  const MatmulShape shape = kernel_shape(a, b, out);
  const std::int64_t inner = out.rank() > 2 ? out[-3] : 1;
  const std::int64_t each = out[-2] * out[-1];
  const std::int64_t products = each ? out.numel() / each : 0;
  const Scratch scratch(a.device(), UNROLL_VALUE_ON_DEVICE(a.device(), matmul_scratch<T>(shape)));
  T* to = c.mutable_data<T>();
  for (std::int64_t i = 0; i < products; i += inner) {
    const T* from_a = a.data<T>() + batch_offset(a, out, i);
    const T* from_b = b.data<T>() + batch_offset(b, out, i);
    UNROLL_ON_DEVICE(a.device(), matmul<T>(shape, {from_a, from_b, to + i * each, scratch.data()}));
  }
}

// Sums over the leading axes along which one operand of a product was repeated.
Tensor fit_batch(Tensor d, const Shape& in, const Shape& out) {
  for (int i = 3; i <= in.rank(); i++)
    if (in[-i] == 1 && out[-i] != 1) d = sum(d, -i, true);
  return d;
}

struct MatmulRule {
  static constexpr const char* name = "matmul";
  Tensor a, b;
  Shape out;
  auto saved() const { return std::tie(a, b); }
  void pull(Pullback& s) const {
    const Tensor& d = s.cotangent();
    if (s.wants(0)) s.add(0, fit_batch(matmul(d, transpose(b, -1, -2)), a.shape(), out));
    if (s.wants(1)) s.add(1, fit_batch(matmul(transpose(a, -1, -2), d), b.shape(), out));
  }
  void push(Pushforward& s) const {
    const Tensor &da = s.tangent(0), &db = s.tangent(1);
    s.set(0, either(da ? matmul(da, b) : da, db ? matmul(a, db) : db));
  }
};

// x of rank `rank` as a matrix: the last axis stays, the others are rows; so do directions.
Tensor as_matrix(const Tensor& x, int rank) {
  std::int64_t rows = 1;
  for (int i = 2; i <= rank; i++) rows *= x.shape()[-i];
  return reshape(x, with_lead(x, rank, {rows, x.shape()[-1]}));
}

struct LinearRule {
  static constexpr const char* name = "linear";
  Tensor x, weight;
  Shape out;
  auto saved() const { return std::tie(x, weight); }

  void pull(Pullback& s) const {
    const Tensor& d = s.cotangent();
    if (s.wants(0)) s.add(0, matmul(d, weight));
    if (!s.wants(1) && !s.wants(2)) return;
    const Tensor rows = as_matrix(d, x.rank());
    if (s.wants(1)) s.add(1, matmul(transpose(rows, -1, -2), as_matrix(x, x.rank())));
    if (s.wants(2)) s.add(2, sum(rows, -2));
  }

  void push(Pushforward& s) const {
    const Tensor &dx = s.tangent(0), &dw = s.tangent(1), &db = s.tangent(2);
    Tensor d = dx ? linear(dx, weight) : Tensor();
    if (dw) {
      const Tensor rows = matmul(as_matrix(x, x.rank()), transpose(dw, -1, -2));
      d = either(d, reshape(rows, with_lead(dw, 2, out)));
    }
    if (db) {
      Shape one = out;
      for (int i = 2; i <= out.rank(); i++) one[-i] = 1;
      d = either(d, spread(reshape(db, with_lead(db, 1, one)), one, out));
    }
    s.set(0, d);
  }
};

// x weight^T, plus the bias where there is one; all contiguous enough for one product.
template <class T>
void run_linear(const Tensor& x, const Tensor& weight, const Tensor& bias, Tensor& y) {
  const std::int64_t O = weight.shape()[0], I = weight.shape()[1];
  const std::int64_t rows = O ? y.numel() / O : 0;
  if (bias) {
    const Strided space = space_of(y, {&bias});
    UNROLL_ON_DEVICE(x.device(), copy<T>(space, {bias.data<T>(), y.mutable_data<T>()}));
  }
  const MatmulShape shape{.M = rows,
                          .N = O,
                          .K = I,
                          .a_row = I,
                          .a_col = 1,
                          .b_row = weight.strides()[1],
                          .b_col = weight.strides()[0],
                          .c_row = O,
                          .beta = bias ? 1.0 : 0.0};
  const Scratch scratch(x.device(), UNROLL_VALUE_ON_DEVICE(x.device(), matmul_scratch<T>(shape)));
  UNROLL_ON_DEVICE(x.device(), matmul<T>(shape, {x.data<T>(), weight.data<T>(), y.mutable_data<T>(),
                                                 scratch.data()}));
}

}  // namespace

Tensor matmul(const Tensor& a, const Tensor& b) {
  require_alike("matmul", a, b);
  require_real("matmul", a);
  const bool row = a.rank() == 1, column = b.rank() == 1;
  if (a.rank() < 1 || b.rank() < 1 || a.shape()[-1] != b.shape()[column ? -1 : -2])
    fail("matmul", "a is " + to_string(a.shape()) + " but b is " + to_string(b.shape()) +
                       ": they must be [...,M,K] and [...,K,N], or [K] on either side");
  if (row) return squeeze(matmul(unsqueeze(a, 0), b), column ? -1 : -2);
  if (column) return squeeze(matmul(a, unsqueeze(b, 1)), -1);
  if (is_recording() && a.rank() != b.rank()) {
    const Aligned both = aligned(a, b);
    return matmul(both.a, both.b);
  }
  Shape a_lead = a.shape(), b_lead = b.shape();
  a_lead[-1] = a_lead[-2] = b_lead[-1] = b_lead[-2] = 1;
  Shape out = broadcast_shapes("matmul", a_lead, b_lead);
  out[-2] = a.shape()[-2];
  out[-1] = b.shape()[-1];
  Tensor c = empty(out, a.dtype(), a.device());
  with_real(a.dtype(), [&](auto type) { run<decltype(type)>(a, b, c); });
  if (is_recording()) record(MatmulRule{a, b, out}, {&a, &b}, {&c});
  return c;
}

Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  require_alike("linear", x, weight);
  require_real("linear", x);
  if (bias) require_alike("linear", x, bias);
  if (x.rank() < 1 || weight.rank() != 2 || x.shape()[-1] != weight.shape()[1] ||
      (bias && !(bias.shape() == Shape{weight.shape()[0]})))
    fail("linear", "x is " + to_string(x.shape()) + ", weight " + to_string(weight.shape()) +
                       (bias ? ", bias " + to_string(bias.shape()) : "") +
                       ": they must be [...,I], [O,I] and [O]");
  if (x.rank() == 1) return squeeze(linear(unsqueeze(x, 0), weight, bias), 0);
  const Tensor source = contiguous(x);
  Shape out = x.shape();
  out[-1] = weight.shape()[0];
  Tensor y = empty(out, x.dtype(), x.device());
  with_real(x.dtype(), [&](auto type) { run_linear<decltype(type)>(source, weight, bias, y); });
  if (is_recording()) record(LinearRule{source, weight, out}, {&source, &weight, &bias}, {&y});
  return y;
}

}  // namespace unroll
