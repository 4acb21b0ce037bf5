#include "autograd/ops.h"

#include "capi/handles.h"

using namespace unroll;
using namespace unroll::capi;

namespace {

using One = Tensor (*)(const Tensor&);
using Two = Tensor (*)(const Tensor&, const Tensor&);
using Three = Tensor (*)(const Tensor&, const Tensor&, const Tensor&);

struct Op {
  const char* name;
  std::variant<One, Two, Three> f;
};

// Without the arguments that have defaults.
Tensor linear_without_bias(const Tensor& x, const Tensor& weight) { return linear(x, weight); }
Tensor mean_square(const Tensor& x, const Tensor& target) { return mse_loss(x, target); }
Tensor mean_absolute(const Tensor& x, const Tensor& target) { return l1_loss(x, target); }

const Op kOps[] = {{"neg", neg},
                   {"abs", unroll::abs},
                   {"square", square},
                   {"sqrt", unroll::sqrt},
                   {"exp", unroll::exp},
                   {"log", unroll::log},
                   {"sin", unroll::sin},
                   {"cos", unroll::cos},
                   {"tanh", unroll::tanh},
                   {"sigmoid", sigmoid},
                   {"relu", relu},
                   {"softplus", softplus},
                   {"sum", One(sum)},
                   {"mean", One(mean)},
                   {"add", Two(add)},
                   {"sub", Two(sub)},
                   {"mul", Two(mul)},
                   {"div", Two(unroll::div)},
                   {"maximum", maximum},
                   {"minimum", minimum},
                   {"matmul", matmul},
                   {"linear", linear_without_bias},
                   {"linear", linear},
                   {"mse_loss", mean_square},
                   {"l1_loss", mean_absolute}};

int arity(const Op& op) { return static_cast<int>(op.f.index()) + 1; }

Tensor call(const Op& op, const Tensors& x) {
  switch (arity(op)) {
    case 1: return std::get<One>(op.f)(x[0]);
    case 2: return std::get<Two>(op.f)(x[0], x[1]);
    default: return std::get<Three>(op.f)(x[0], x[1], x[2]);
  }
}

}  // namespace

unroll_status unroll_apply(const char* name, const unroll_tensor* const* inputs, int count,
                           unroll_tensor** out) {
  return guarded([&] {
    const std::string wanted = &the("apply", name);
    const Tensors x = list("apply", inputs, count);
    std::string all;
    for (const Op& op : kOps) {
      if (wanted == op.name && count == arity(op)) {
        *out = handle(call(op, x));
        return;
      }
      all += (all.empty() ? "" : ", ") + std::string(op.name) + "/" + std::to_string(arity(op));
    }
    fail("apply", "there is no " + wanted + " of " + std::to_string(count) +
                      " tensors; there are (name/tensors): " + all);
  });
}

unroll_status unroll_masked_mse(const unroll_tensor* x, const unroll_tensor* target,
                                const int64_t* lengths, int64_t count, unroll_tensor** out) {
  return guarded([&] {
    constexpr const char* op = "masked_mse";
    *out = handle(masked_mse(the(op, x), the(op, target), lengths_from(op, lengths, count)));
  });
}
