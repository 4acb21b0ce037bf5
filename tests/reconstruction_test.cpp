// The reconstruction models: what each may see, what it gives back, that it learns.
#include "models/reconstruction.h"

#include <gtest/gtest.h>

#include <cmath>

#include "autograd/gradcheck.h"
#include "autograd/ops.h"
#include "autograd/tape.h"
#include "core/view.h"
#include "models/trainer.h"
#include "tests/temporary.h"

namespace unroll {
namespace {

constexpr Cell kAllCells[] = {Cell::linear, Cell::tanh, Cell::relu, Cell::lstm, Cell::gru};

Tensor random_batch(std::int64_t T, std::int64_t N, std::int64_t I, std::uint64_t seed = 7) {
  return Random(seed).normal({T, N, I}, 0, 1, Dtype::float64);
}

struct Made {
  explicit Made(ModelOptions options, std::uint64_t seed = 1)
      : parameters(Dtype::float64), model(parameters, options) {
    Random random(seed);
    model.reset(random);
  }
  Parameters parameters;
  Reconstruction model;
};

double gap(const Tensor& a, const Tensor& b) { return mean(abs(a - b)).item(); }

TEST(Reconstruction, NamesGoBothWays) {
  for (const ModelKind kind : all_model_kinds()) EXPECT_EQ(model_kind(name(kind)), kind);
  for (const Cell cell : kAllCells) EXPECT_EQ(cell_type(name(cell)), cell);
  EXPECT_EQ(all_model_kinds().size(), 7u);
  EXPECT_ERROR(model_kind("coder"), "coder", "decoder-reversed");
  EXPECT_ERROR(cell_type("rnn"), "rnn", "lstm");
}

TEST(Reconstruction, ShapesOfEveryModelAndCell) {
  for (const ModelKind kind : all_model_kinds())
    for (const Cell cell : kAllCells) {
      Made made({.kind = kind, .cell = cell, .inputs = 2, .hidden = 3});
      for (const std::int64_t T : {1, 5}) {
        const Tensor x = random_batch(T, 4, 2);
        const Tensor y = made.model(x);
        const bool last = kind == ModelKind::autoencoder_last;
        EXPECT_EQ(y.shape(), (Shape{last ? 1 : T, 4, 2})) << name(kind) << " " << name(cell);
        EXPECT_EQ(made.model.target(x).shape(), y.shape());
        EXPECT_NEAR(made.model.loss(x).item(), mean(square(y - made.model.target(x))).item(),
                    1e-12);
      }
    }
}

// Full lengths, given or not, are one thing; and each sequence is alone in its batch.
TEST(Reconstruction, LengthsAgreeWithSequencesOnTheirOwn) {
  const Tensor x = random_batch(5, 3, 2);
  const Lengths lengths({3, 5, 1});
  for (const ModelKind kind : all_model_kinds()) {
    Made made({.kind = kind, .inputs = 2, .hidden = 4});
    EXPECT_LE(gap(made.model(x, Lengths({5, 5, 5})), made.model(x)), 1e-14) << name(kind);
    const Tensor y = made.model(x, lengths);
    double error = 0, steps = 0;
    for (std::int64_t n = 0; n < 3; n++) {
      const std::int64_t length = lengths.values()[static_cast<std::size_t>(n)];
      const Tensor alone = contiguous(slice(slice(x, 1, n, n + 1), 0, 0, length));
      const Tensor mine = made.model(alone);
      const std::int64_t given = mine.shape()[0];
      EXPECT_LE(gap(slice(slice(y, 1, n, n + 1), 0, 0, given), mine), 1e-13) << name(kind);
      error += made.model.loss(alone).item() * static_cast<double>(given);
      steps += static_cast<double>(given);
    }
    EXPECT_NEAR(made.model.loss(x, lengths).item(), error / steps, 1e-12) << name(kind);
  }
}

TEST(Reconstruction, PaddingIsNeverRead) {
  const Lengths lengths({2, 4});
  const Tensor clean = random_batch(4, 2, 2);
  Tensor dirty = contiguous_copy(clean);
  dirty = cast_copy(dirty, Dtype::float64);
  for (const std::int64_t t : {2, 3})
    for (const std::int64_t c : {0, 1})
      dirty.mutable_data<double>()[(t * 2 + 0) * 2 + c] = std::nan("");
  for (const ModelKind kind : all_model_kinds()) {
    Made made({.kind = kind, .inputs = 2, .hidden = 3});
    EXPECT_EQ(made.model.loss(dirty, lengths).item(), made.model.loss(clean, lengths).item())
        << name(kind);
  }
}

TEST(Reconstruction, LastInputOnlyAndReversedTarget) {
  const Tensor x = random_batch(4, 2, 1);
  Made last({.kind = ModelKind::autoencoder_last, .hidden = 3, .code = 2});
  EXPECT_EQ(gap(last.model.target(x), slice(x, 0, 3, 4)), 0);
  EXPECT_EQ(last.model.target(x, Lengths({2, 4})).item({0, 0, 0}), x.item({1, 0, 0}));
  EXPECT_EQ(last.parameters.get("to_code.weight").shape(), (Shape{2, 3}));
  EXPECT_EQ(last.model.bottleneck(), 2);
  const Tensor reversed = reverse_steps(x, Lengths({2, 4}));
  EXPECT_EQ(reversed.item({0, 0, 0}), x.item({1, 0, 0}));
  EXPECT_EQ(reversed.item({3, 0, 0}), x.item({3, 0, 0})) << "padding stays";
  EXPECT_EQ(reversed.item({0, 1, 0}), x.item({3, 1, 0}));
}

TEST(Reconstruction, ReversedIsTheDecoderReadBackwards) {
  Made forward({.kind = ModelKind::decoder, .hidden = 3});
  Made backward({.kind = ModelKind::decoder_reversed, .hidden = 3});
  const Tensor x = random_batch(4, 2, 1);
  EXPECT_LE(gap(flip(forward.model(x), 0), backward.model(x)), 1e-15);
}

TEST(Reconstruction, Bottlenecks) {
  const auto numbers = [](ModelKind kind, std::optional<Cell> cell = {}) {
    Parameters parameters;
    return Reconstruction(parameters, {.kind = kind, .cell = cell, .hidden = 5}).bottleneck();
  };
  EXPECT_EQ(numbers(ModelKind::autoencoder), 5);
  EXPECT_EQ(numbers(ModelKind::autoencoder_last), 5);
  EXPECT_EQ(numbers(ModelKind::decoder), 10) << "h and c";
  EXPECT_EQ(numbers(ModelKind::decoder, Cell::gru), 5);
  EXPECT_EQ(numbers(ModelKind::decoder_repeat), 5);
  EXPECT_EQ(numbers(ModelKind::attention), -1);
  EXPECT_EQ(numbers(ModelKind::autoencoder_all), -1);
}

TEST(Reconstruction, GradientsOfEveryModel) {
  for (const ModelKind kind : all_model_kinds()) {
    Made made({.kind = kind, .inputs = 2, .hidden = 3});
    const Tensor x = random_batch(4, 2, 2);
    const Lengths lengths({4, 2});
    made.parameters.zero_gradients();
    {
      Tape tape;
      tape.backward(made.model.loss(x, lengths), made.parameters);
    }
    const std::vector<double> gradient = to_vector<double>(made.parameters.gradients());
    double most = 0;
    for (const double g : gradient) most = std::max(most, std::abs(g));
    for (std::size_t i = 0; i < gradient.size(); i += 3) {
      const auto loss_at = [&](double step) {
        made.parameters.mutable_flat().mutable_data<double>()[i] += step;
        const double loss = made.model.loss(x, lengths).item();
        made.parameters.mutable_flat().mutable_data<double>()[i] -= step;
        return loss;
      };
      const double h = 1e-4;
      const double slope = (loss_at(h) - loss_at(-h)) / (2 * h);
      ASSERT_NEAR(gradient[i], slope, 1e-6 * most) << name(kind) << ", parameter " << i;
    }
  }
}

TEST(Reconstruction, EveryModelLearns) {
  for (const ModelKind kind : all_model_kinds()) {
    Made made({.kind = kind, .hidden = 8});
    const Batch batch{random_batch(3, 16, 1), {}};
    Adam adam(made.parameters);
    const double before = made.model.loss(batch.x).item();
    for (int i = 0; i < 150; i++) train_step(made.model, made.parameters, adam, batch, 0.02, 1);
    EXPECT_LT(made.model.loss(batch.x).item(), 0.5 * before) << name(kind);
  }
}

TEST(Reconstruction, SizesBelowOneAreRefused) {
  Parameters parameters;
  EXPECT_ERROR(Reconstruction(parameters, {.inputs = 0}), "inputs 0");
  EXPECT_ERROR(Reconstruction(parameters, {.hidden = 0}), "hidden 0");
  EXPECT_ERROR(Reconstruction(parameters, {.code = -1}), "code -1");
}

}  // namespace
}  // namespace unroll
