#include "autograd/dropout.h"

#include <string>

#include "autograd/operands.h"
#include "kernels/dropout.h"

namespace unroll {

using namespace detail;

namespace {

Tensor dropped(const Tensor& x, const DropoutShape& draw, const Shape& mask);

struct DropoutRule {
  static constexpr const char* name = "dropout";
  DropoutShape draw;
  Shape mask;
  auto saved() const { return std::tie(); }
  // Linear in x and its own transpose.
  void pull(Pullback& s) const { s.add(0, dropped(s.cotangent(), draw, mask)); }
  void push(Pushforward& s) const { s.set(0, dropped(s.tangent(0), draw, mask)); }
};

Tensor dropped(const Tensor& x, const DropoutShape& draw, const Shape& mask) {
  Tensor y;
  {
    const NoTape one_record;
    Tensor factor = empty(mask, x.dtype(), x.device());
    with_real(x.dtype(), [&](auto type) {
      using T = decltype(type);
      const DropoutArgs<T> args{factor.mutable_data<T>()};
      UNROLL_ON_DEVICE(x.device(), dropout_mask<T>(draw, args));
    });
    y = mul(x, factor);
  }
  if (is_recording()) record(DropoutRule{draw, mask}, {&x}, {&y});
  return y;
}

}  // namespace

Tensor dropout(const Tensor& x, double p, Random& random, const Shape& mask) {
  require_real("dropout", x);
  if (!(p >= 0 && p <= 1)) fail("dropout", "p is " + std::to_string(p) + ", not in [0,1]");
  if (!(broadcast_shapes("dropout", x.shape(), mask) == x.shape()))
    fail("dropout", "a mask of " + to_string(mask) + " does not broadcast to x, which is " +
                        to_string(x.shape()));
  if (p == 0) return x;
  const DropoutShape draw{.count = mask.numel(),
                          .p = p,
                          .seed = random.seed(),
                          .stream = random.stream(),
                          .counter = random.counter()};
  const Tensor y = dropped(x, draw, mask);
  random.set_counter(draw.counter + static_cast<std::uint64_t>(draw.blocks()));
  return y;
}

Tensor dropout(const Tensor& x, double p, Random& random) {
  require_real("dropout", x);
  return dropout(x, p, random, x.shape());
}

}  // namespace unroll
