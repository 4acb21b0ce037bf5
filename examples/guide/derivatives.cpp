// docs/guide.md: derivatives of every kind.
#include "expected.h"

// [start]
#include <unroll/autograd/tape.h>
#include <unroll/autograd/transforms.h>
#include <unroll/models/layers.h>
#include <unroll/models/weights.h>
// [end]

using namespace unroll;

namespace {

const Tensor x = reshape(sin(arange(12, Dtype::float64)), {4, 3});
const Tensor target = reshape(cos(arange(8, Dtype::float64)), {4, 2});

void check_products(const Linear& linear, Expected& expected) {
  // [products]
  Tape tape;
  const Tensor y = tanh(linear(x));
  const Tensor u = ones({4, 2}, Dtype::float64), v = ones({4, 3}, Dtype::float64);
  const Tensor vjp = tape.pull(y, u, {x})[0];  // u^T J
  const Tensor jvp = tape.push({x}, {v}, y);   // J v, from the same recording
  // [end]

  // [directions]
  const Tensor U = reshape(cos(arange(16, Dtype::float64)), {2, 4, 2});
  const Tensor both = tape.pull(y, U, {x})[0];  // [2,4,3]
  // [end]
  expected.same("vjp", vjp);
  expected.same("jvp", jvp);
  expected.same("both", both);
}

void check_whole(const Linear& linear, Expected& expected) {
  // [whole]
  const auto f = [&](const Tensor& in) { return tanh(linear(in)); };
  const auto energy = [&](const Tensor& in) {
    const Tensor z = linear(in);
    return sum(log((exp(z) + exp(-z)) / 2));
  };
  const Tensor J = jacobian(f, x);                                 // [4,2,4,3]
  const Tensor Hv = hvp(energy, x, ones({4, 3}, Dtype::float64));  // forwards over backwards
  // [end]
  expected.same("J", J);
  expected.same("Hv", Hv);

  // [higher]
  Tape outer;
  const Tensor first = gradient(energy, x);  // its sweep is recorded by `outer`
  const Tensor penalty = sum(square(first));
  const Tensor second = outer.pull(penalty, ones({}, Dtype::float64), {x})[0];
  // [end]
  expected.same("penalty", penalty);
  expected.same("second", second);
}

void check_linear(Expected& expected) {
  // [backward]
  Parameters parameters(Dtype::float64);
  const Linear linear(parameters, "", 3, 2);
  load_weights("linear.safetensors", parameters);

  Tape tape;
  const Tensor loss = mse_loss(tanh(linear(x)), target);
  tape.backward(loss, parameters);  // adds into the gradients
  const Tensor slope = parameters.gradient("weight");
  // [end]
  expected.same("loss", loss);
  expected.same("slope", slope);
  check_products(linear, expected);
  check_whole(linear, expected);
}

void check_frozen(Expected& expected) {
  // [frozen]
  Parameters frozen(Dtype::float64);  // not what the optimiser is given
  const Gru encoder(frozen, "", 3, 4);
  load_weights("gru.safetensors", frozen);

  const Tensor steps = reshape(x, {4, 1, 3});
  const auto encode = [&] {
    const NoTape nothing_is_recorded;
    return encoder(steps).y;
  };
  const Tensor code = encode();
  const Tensor felt = gradient([&](const Tensor& in) { return sum(encoder(in).h_n); }, steps);
  // [end]
  expected.same("code", code);
  expected.same("felt", felt);
}

}  // namespace

int main() {
  Expected expected("derivatives");
  check_linear(expected);
  check_frozen(expected);
  return expected.status();
}
