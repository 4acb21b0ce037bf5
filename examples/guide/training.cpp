// docs/guide.md: losses, a model, its training and its checkpoint.
#include "expected.h"

// [start]
#include <unroll/autograd/optimizers.h>
#include <unroll/autograd/schedules.h>
#include <unroll/autograd/tape.h>
#include <unroll/models/checkpoint.h>
#include <unroll/models/layers.h>
#include <unroll/models/weights.h>
// [end]

using namespace unroll;

void check_losses(Expected& expected) {
  const Tensor logits = reshape(sin(arange(12, Dtype::float64)), {4, 3}), x = logits;
  const Tensor target = reshape(cos(arange(12, Dtype::float64)), {4, 3});

  // [losses]
  const Tensor classes = from_values<std::int64_t>({0, 2, 1, 2}, {4});
  const Tensor entropy = cross_entropy(logits, classes, {.label_smoothing = 0.1});
  const Tensor total =
      cross_entropy(logits, classes,
                    {.weight = from_values<double>({1, 2, 0.5}, {3}), .reduction = Reduction::sum});
  const Tensor each = smooth_l1_loss(x, target, 0.5, Reduction::none);
  const Tensor positive = gt(target, zeros({}, target.dtype()));
  const Tensor binary = binary_cross_entropy_with_logits(logits, to(positive, Dtype::float64));
  // [end]
  expected.same("entropy", entropy);
  expected.same("total", total);
  expected.same("each", each);
  expected.same("binary", binary);
}

// [model]
struct Forecast {
  Gru gru;
  Linear head;

  explicit Forecast(Parameters& parameters)
      : gru(parameters, "gru", 1, 8), head(parameters, "head", 8, 1) {}
  Tensor operator()(const Tensor& x) const { return head(gru(x).y); }  // [T,N,1] -> [T,N,1]
};
// [end]

int main() {
  Expected expected("training");
  check_losses(expected);

  // [loop]
  Parameters parameters(Dtype::float64);
  const Forecast model(parameters);
  load_weights("forecast.safetensors", parameters);
  Adam adam(parameters, {.lr = 0.01}, {{with_prefix("head."), {.lr = 0.003}}});
  const CosineAnnealing rate{.lr = 0.01, .half_period = 40};  // the groups' in proportion

  const Tensor phase = reshape(arange(8, Dtype::float64), {8, 1});  // N = 8 sines of 21 steps
  const Tensor time = reshape(arange(21, Dtype::float64), {21, 1, 1});
  const Tensor series = sin(0.4 * time + phase);
  double loss = 0;
  for (int step = 0; step < 40; step++) {
    parameters.zero_gradients();
    Tape tape;
    const Tensor error = mse_loss(model(slice(series, 0, 0, 20)), slice(series, 0, 1, 21));
    tape.backward(error, parameters);
    clip_norm(parameters, 0.5);
    adam.step(rate(step));
    loss = error.item();
  }
  // [end]

  // [checkpoint]
  save_model("model.safetensors", parameters);  // PyTorch's load_state_dict(load_file(...))
  save_checkpoint(".", parameters, adam.state(), {.step = 40});

  OptimizerState kept;
  const std::int64_t step = load_checkpoint(".", parameters, kept).step;
  adam.restore(kept);
  // [end]
  expected.same("loss", loss);
  expected.same("forecast", model(series));
  return expected.status() || step != 40;
}
