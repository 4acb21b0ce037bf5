// Trains an LSTM whose last state a second LSTM decodes, and shows one sequence beside what came
// back: the founding question's third example, in one page.
#include <unroll/models/generators.h>
#include <unroll/models/trainer.h>

#include <cstdio>

using namespace unroll;

int main() {
  const Task task("sines");
  Parameters parameters;
  Random init(1), data(2);
  Reconstruction model(parameters, {.kind = ModelKind::decoder_reversed, .hidden = 32});
  model.reset(init);

  Trainer trainer(model, parameters, {.steps = 300, .lr = 1e-2});
  trainer.set_progress([](const StepReport& r) {
    if (r.step % 100 == 0) std::printf("step %3d  loss %.3f\n", static_cast<int>(r.step), r.loss);
  });
  trainer.run([&](std::int64_t) { return Batch{task.batch(data, 64, 20), {}}; });

  const Tensor x = task.held_out(1, 20), y = model(x);
  std::printf("\n   input  reconstruction\n");
  for (std::int64_t t = 0; t < 20; t++)
    std::printf("%8.3f %8.3f\n", x.item({t, 0, 0}), y.item({t, 0, 0}));
}
