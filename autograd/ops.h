// Every differentiable operation; losses: losses.h. Names, arguments and semantics are PyTorch's.
//
//   Tensor y = softmax(matmul(x, w) + b, -1);
//   Tensor loss = mean(square(y - target));
//
// Tensors are float32 or float64 unless stated; operands of one op share dtype and device, else
// Error. Scalars are double attributes. Shapes are checked before anything is allocated; an Error
// names the op and the shapes, and leaves no record. Axes may be negative. Every op has a pullback
// and a pushforward, both recordable, and passes a leading axis of directions.
// Functions are thread-safe as far as their arguments are.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "autograd/losses.h"
#include "core/lengths.h"
#include "core/tensor.h"

namespace UNROLL_API unroll {

// ---- elementwise, y = f(x), any shape
Tensor neg(const Tensor& x);
Tensor abs(const Tensor& x);   // derivative at 0: 0
Tensor sign(const Tensor& x);  // derivative 0
Tensor square(const Tensor& x);
Tensor reciprocal(const Tensor& x);
Tensor sqrt(const Tensor& x);
Tensor rsqrt(const Tensor& x);  // 1 / sqrt(x)
Tensor exp(const Tensor& x);
Tensor expm1(const Tensor& x);
Tensor log(const Tensor& x);
Tensor log1p(const Tensor& x);
Tensor sin(const Tensor& x);
Tensor cos(const Tensor& x);
Tensor tanh(const Tensor& x);
Tensor sigmoid(const Tensor& x);
Tensor relu(const Tensor& x);      // derivative at 0: 0
Tensor softplus(const Tensor& x);  // log(1 + e^x)
Tensor erf(const Tensor& x);
Tensor erfc(const Tensor& x);   // 1 - erf(x), accurate where erf is near 1
Tensor floor(const Tensor& x);  // derivative 0, also ceil, round (halves to even)
Tensor ceil(const Tensor& x);
Tensor round(const Tensor& x);
Tensor pow(const Tensor& x, double exponent);
Tensor clamp(const Tensor& x, double low, double high);  // derivative 1 on [low, high]

// ---- activations, y = f(x), any shape; at a kink the derivative is that of the left side
Tensor gelu(const Tensor& x);                             // x P(a standard normal number < x)
Tensor gelu_tanh(const Tensor& x);                        // PyTorch's gelu(approximate='tanh')
Tensor silu(const Tensor& x);                             // x sigmoid(x), also called swish
Tensor mish(const Tensor& x);                             // x tanh(softplus(x))
Tensor softsign(const Tensor& x);                         // x / (1 + |x|)
Tensor logsigmoid(const Tensor& x);                       // log(sigmoid(x))
Tensor elu(const Tensor& x, double alpha = 1);            // x > 0 ? x : alpha (e^x - 1)
Tensor celu(const Tensor& x, double alpha = 1);           // x > 0 ? x : alpha (e^(x/alpha) - 1)
Tensor selu(const Tensor& x);                             // 1.0507 elu(x, 1.67326)
Tensor leaky_relu(const Tensor& x, double slope = 0.01);  // x > 0 ? x : slope x
/// clamp with derivative 0 at both ends, as PyTorch's.
Tensor hardtanh(const Tensor& x, double low = -1, double high = 1);
Tensor relu6(const Tensor& x);        // hardtanh(x, 0, 6)
Tensor hardsigmoid(const Tensor& x);  // relu6(x + 3) / 6

// ---- elementwise with NumPy broadcasting
Tensor add(const Tensor& a, const Tensor& b);
Tensor sub(const Tensor& a, const Tensor& b);
Tensor mul(const Tensor& a, const Tensor& b);
Tensor div(const Tensor& a, const Tensor& b);
Tensor pow(const Tensor& a, const Tensor& b);
Tensor maximum(const Tensor& a, const Tensor& b);  // ties share the derivative; NaN passes
Tensor minimum(const Tensor& a, const Tensor& b);
Tensor add(const Tensor& a, double b);
Tensor mul(const Tensor& a, double b);

inline Tensor operator+(const Tensor& a, const Tensor& b) { return add(a, b); }
inline Tensor operator-(const Tensor& a, const Tensor& b) { return sub(a, b); }
inline Tensor operator*(const Tensor& a, const Tensor& b) { return mul(a, b); }
inline Tensor operator/(const Tensor& a, const Tensor& b) { return div(a, b); }
inline Tensor operator-(const Tensor& a) { return neg(a); }
inline Tensor operator+(const Tensor& a, double b) { return add(a, b); }
inline Tensor operator-(const Tensor& a, double b) { return add(a, -b); }
inline Tensor operator*(const Tensor& a, double b) { return mul(a, b); }
inline Tensor operator/(const Tensor& a, double b) { return mul(a, 1 / b); }
inline Tensor operator+(double a, const Tensor& b) { return add(b, a); }
inline Tensor operator-(double a, const Tensor& b) { return add(neg(b), a); }
inline Tensor operator*(double a, const Tensor& b) { return mul(b, a); }
inline Tensor operator/(double a, const Tensor& b) { return mul(reciprocal(b), a); }

/// condition (bool) ? a : b, all three broadcast; what is not chosen is never read.
Tensor where(const Tensor& condition, const Tensor& a, const Tensor& b);

// ---- comparisons and tests: bool results, never recorded; float, int64 and bool operands
Tensor eq(const Tensor& a, const Tensor& b);
Tensor ne(const Tensor& a, const Tensor& b);
Tensor lt(const Tensor& a, const Tensor& b);
Tensor le(const Tensor& a, const Tensor& b);
Tensor gt(const Tensor& a, const Tensor& b);
Tensor ge(const Tensor& a, const Tensor& b);
Tensor isnan(const Tensor& x);
Tensor isfinite(const Tensor& x);

// ---- reductions. `axes` are removed, or kept with size 1. Sums are pairwise.
Tensor sum(const Tensor& x);  // of everything: rank 0
Tensor sum(const Tensor& x, const Axes& axes, bool keepdim = false);
Tensor mean(const Tensor& x);  // of nothing: NaN
Tensor mean(const Tensor& x, const Axes& axes, bool keepdim = false);
Tensor prod(const Tensor& x);  // of nothing: 1. Derivatives are exact where factors are 0
Tensor prod(const Tensor& x, const Axes& axes, bool keepdim = false);
/// Largest and smallest over axes; equals share the derivative. NaN wins; of nothing: -inf, inf.
Tensor amax(const Tensor& x, const Axes& axes, bool keepdim = false);
Tensor amin(const Tensor& x, const Axes& axes, bool keepdim = false);
/// log(sum(exp(x))), without overflow; of nothing: -inf.
Tensor logsumexp(const Tensor& x, const Axes& axes, bool keepdim = false);
/// Mean squared distance from the mean; `unbiased` divides by one less (NaN for a single number).
Tensor var(const Tensor& x, const Axes& axes, bool unbiased = true, bool keepdim = false);
/// The root of var; derivative 0 where it is 0.
Tensor std_dev(const Tensor& x, const Axes& axes, bool unbiased = true, bool keepdim = false);
/// (sum |x|^p)^(1/p), p > 0 or infinite; derivative 0 where the norm of order 2 is 0.
Tensor norm(const Tensor& x, double p, const Axes& axes, bool keepdim = false);
/// Largest and smallest along one axis, which must not be empty; the derivative goes to the first
/// of equals. NaN wins.
Tensor max(const Tensor& x, int axis, bool keepdim = false);
Tensor min(const Tensor& x, int axis, bool keepdim = false);
/// Which of equals counts.
enum class Tie : std::uint8_t { first, last };
/// int64 index of the largest or smallest along an axis: of the first or last of equals.
Tensor argmax(const Tensor& x, int axis, bool keepdim = false, Tie tie = Tie::first);
Tensor argmin(const Tensor& x, int axis, bool keepdim = false, Tie tie = Tie::first);

// ---- running reductions along an axis
/// Which elements a running reduction takes in at each place.
struct ScanOptions {
  bool exclusive = false;  // place t has what is before t; the first place 0, or 1 for products
  bool reverse = false;    // from the last place to the first
};
Tensor cumsum(const Tensor& x, int axis, const ScanOptions& options = {});
/// Derivatives are exact where factors are 0.
Tensor cumprod(const Tensor& x, int axis, const ScanOptions& options = {});
/// y[t] = a[t] y[t-1] + b[t] along an axis, from y[-1] = 0 (reverse: y[t+1], from the end); a
/// broadcasts to b. Where a line starts, a is never read.
Tensor linear_scan(const Tensor& a, const Tensor& b, int axis, bool reverse = false);

// ---- softmax along an axis, shifted by the maximum, so that nothing overflows
Tensor softmax(const Tensor& x, int axis);
Tensor log_softmax(const Tensor& x, int axis);

// ---- normalisation over the last axes: those of `shape`
/// (x - mean) / sqrt(variance + eps) * weight + bias, with the biased variance in two passes, so
/// that a large mean costs no digits. weight and bias have `shape` or are undefined: 1 and 0.
/// Throws Error unless x's shape ends with `shape`, which must hold an element. (Ba, Kiros & Hinton
/// 2016)
Tensor layer_norm(const Tensor& x, const Shape& shape, const Tensor& weight = {},
                  const Tensor& bias = {}, double eps = 1e-5);
/// A layer norm and the statistics that it used.
struct LayerNormOut {
  Tensor y;             // as x
  Tensor mean, inv_sd;  // as x, but with size 1 in the last axes
};
/// layer_norm with the means and 1 / sqrt(variance + eps) that it used; all three are
/// differentiable.
LayerNormOut layer_norm_stats(const Tensor& x, const Shape& shape, const Tensor& weight = {},
                              const Tensor& bias = {}, double eps = 1e-5);
/// The same, made of small ops.
LayerNormOut layer_norm_twin(const Tensor& x, const Shape& shape, const Tensor& weight = {},
                             const Tensor& bias = {}, double eps = 1e-5);

// ---- products
/// [..., M, K] x [..., K, N] -> [..., M, N]; leading axes broadcast. A vector [K] at the left or at
/// the right is a row or a column, and its axis of size 1 is taken out of the result.
Tensor matmul(const Tensor& a, const Tensor& b);
/// Sum of products by labels, as torch.einsum: einsum("bij,bjk->bik", {a, b}). Without "->" the
/// labels that occur once, in alphabetical order; "..." stands for axes that broadcast; a label
/// that occurs twice in one operand takes the diagonal. Sizes of 1 broadcast.
Tensor einsum(const std::string& equation, const Tensors& operands);
/// x [..., I], weight [O, I], bias [O] or undefined -> x weight^T + bias, [..., O].
Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias = {});

// ---- shape. Views without a copy where the strides allow it.
Tensor reshape(const Tensor& x, const Shape& shape);  // one size may be -1
Tensor transpose(const Tensor& x, int axis0, int axis1);
Tensor permute(const Tensor& x, const Axes& order);
Tensor expand(const Tensor& x, const Shape& shape);
Tensor unsqueeze(const Tensor& x, int axis);
Tensor squeeze(const Tensor& x, int axis);
/// Places start, start + step, .. below end, 0 <= start <= end <= size; for step < 0 places start,
/// start + step, .. above end, -1 <= end <= start < size.
Tensor slice(const Tensor& x, int axis, std::int64_t start, std::int64_t end,
             std::int64_t step = 1);
Tensor select(const Tensor& x, int axis, std::int64_t i);
Tensor contiguous(const Tensor& x);
/// Conversion; differentiable between float32 and float64, a constant else. The only op that takes
/// and gives float16 and bfloat16.
Tensor to(const Tensor& x, Dtype dtype);
/// A copy on another device; x itself where it lies there. Cotangents and tangents move too.
Tensor to(const Tensor& x, Device device);
Tensor flip(const Tensor& x, int axis);
Tensor cat(const Tensors& xs, int axis);
Tensor stack(const Tensors& xs, int axis);
/// The slices along an axis, which is removed.
Tensors unbind(const Tensor& x, int axis);

/// Moves every place by `shift` along an axis; what leaves at one end comes in at the other.
Tensor roll(const Tensor& x, std::int64_t shift, int axis);
/// x laid side by side counts[i] times along axis i; counts may have more axes, at the left.
Tensor repeat(const Tensor& x, const Shape& counts);
/// x [..., M, N] with zeros above or below a diagonal, which lies `diagonal` places to the right.
/// Any dtype.
Tensor tril(const Tensor& x, std::int64_t diagonal = 0);
Tensor triu(const Tensor& x, std::int64_t diagonal = 0);

/// What stands around x: a value; its mirror image without the edge itself; its edge; x again.
enum class Pad : std::uint8_t { constant, reflect, replicate, circular };
/// How many places are added at the two ends of an axis.
struct PadAxis {
  int axis;
  std::int64_t before, after;  // negative: that many places are cut off
};
/// PyTorch's pad, with the axes named. Reflections and repetitions go on as far as needed.
Tensor pad(const Tensor& x, const std::vector<PadAxis>& by, Pad mode = Pad::constant,
           double value = 0);

// ---- indexing. Indices are int64, 0 <= index < size.
/// Slices along `axis` in the order of index [m]; repeated indices are fine.
Tensor index_select(const Tensor& x, int axis, const Tensor& index);
/// torch.nn.functional.embedding: rows of weight [V,E] by index [...], giving [...,E]. The row
/// `padding_idx` gets no gradient (negative: counted from the end); none by default.
Tensor embedding(const Tensor& weight, const Tensor& index,
                 std::optional<std::int64_t> padding_idx = std::nullopt);
/// Adds the slices of x along `axis` to places index [m] of a zero tensor with `size` places
/// there: the transpose of index_select.
Tensor index_add(const Tensor& x, int axis, const Tensor& index, std::int64_t size);
/// torch.gather: y[..., j, ...] = x[..., index[..., j, ...], ...]; index has x's shape but for
/// `axis`.
Tensor gather(const Tensor& x, int axis, const Tensor& index);
/// The transpose of gather: adds x, of index's shape, into a zero tensor with `size` places.
Tensor scatter_add(const Tensor& x, int axis, const Tensor& index, std::int64_t size);

namespace detail {
/// y += x, not recorded; same shape and dtype.
void add_into(Tensor& y, const Tensor& x);
}  // namespace detail

}  // namespace unroll
