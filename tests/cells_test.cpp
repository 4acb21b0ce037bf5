// Cells with every option: a cell looped over the steps is its layer, in values and in gradients.
#include <gtest/gtest.h>

#include <functional>

#include "autograd/gradcheck.h"
#include "autograd/tape.h"
#include "core/view.h"
#include "models/layers.h"
#include "tests/testing.h"

namespace unroll::testing {
namespace {

constexpr std::int64_t T = 4, N = 3, I = 2, H = 5;

// A layer and a cell of the same options, each with parameters of its own.
struct Row {
  // x [T,N,I] and the state -> y and the state after it.
  using Run = std::function<Tensors(const Tensors& x, Random* random)>;
  // A step from x [N,I] and the state, with the Random of the step.
  using Step = std::function<Tensors(const Tensor& x, const Tensors& state, Random* random)>;
  struct Made {
    Run layer;
    Step cell;
  };
  const char* name;
  bool has_c;
  std::int64_t P;  // numbers in h
  std::function<Made(Parameters& of_layer, Parameters& of_cell, bool training)> make;
};

Row lstm_row(const char* name, const LstmCellOptions& o) {
  const auto make = [o](Parameters& of_layer, Parameters& of_cell, bool training) {
    Lstm layer(of_layer, "m", I, H,
               {.bias = o.bias,
                .cell = o.cell,
                .proj_size = o.proj_size,
                .peephole = o.peephole,
                .layer_norm = o.layer_norm});
    LstmCell cell(of_cell, "m", I, H, o);
    layer.train(training), cell.train(training);
    return Row::Made{[layer](const Tensors& x, Random* random) {
                       const LstmState state{unsqueeze(x[1], 0), unsqueeze(x[2], 0)};
                       const LstmOut out = layer(x[0], {}, &state, random);
                       return Tensors{out.y, squeeze(out.h_n, 0), squeeze(out.c_n, 0)};
                     },
                     [cell](const Tensor& x, const Tensors& state, Random* random) {
                       const LstmState next = cell(x, {state[0], state[1]}, random);
                       return Tensors{next.h, next.c};
                     }};
  };
  return {name, true, o.proj_size ? o.proj_size : H, make};
}

template <class Layer, class Cell, class OfLayer, class OfCell>
Row row_without_c(const char* name, const OfLayer& layer_options, const OfCell& cell_options) {
  const auto make = [=](Parameters& of_layer, Parameters& of_cell, bool training) {
    Layer layer(of_layer, "m", I, H, layer_options);
    Cell cell(of_cell, "m", I, H, cell_options);
    layer.train(training), cell.train(training);
    return Row::Made{[layer](const Tensors& x, Random* random) {
                       const auto out = layer(x[0], {}, unsqueeze(x[1], 0), random);
                       return Tensors{out.y, squeeze(out.h_n, 0)};
                     },
                     [cell](const Tensor& x, const Tensors& state, Random* random) {
                       return Tensors{cell(x, state[0], random)};
                     }};
  };
  return {name, false, H, make};
}

Row gru_row(const char* name, const GruCellOptions& o) {
  return row_without_c<Gru, GruCell>(name, GruOptions{.bias = o.bias, .cell = o.cell}, o);
}

Row rnn_row(const char* name, const RnnCellOptions& o) {
  const RnnOptions layer{.activation = o.activation, .bias = o.bias, .cell = o.cell};
  return row_without_c<Rnn, RnnCell>(name, layer, o);
}

std::vector<Row> rows() {
  const CellOptions all{.clip = 0.9, .zoneout_h = 0.2, .zoneout_c = 0.3, .dropout = 0.4};
  const CellOptions common{.clip = 0.9, .zoneout_h = 0.2, .dropout = 0.4};
  CellOptions reset_first = common;
  reset_first.reset_first = true;
  return {lstm_row("lstm", {}),
          lstm_row("lstm_no_bias", {.bias = false}),
          lstm_row("lstm_projection", {.proj_size = 3}),
          lstm_row("lstm_peephole", {.peephole = true}),
          lstm_row("lstm_norm", {.layer_norm = true}),
          lstm_row("lstm_coupled", {.cell = {.coupled = true}, .peephole = true}),
          lstm_row("lstm_all", {.cell = all, .proj_size = 3, .peephole = true, .layer_norm = true}),
          gru_row("gru", {}),
          gru_row("gru_reset_first", {.cell = {.reset_first = true}}),
          gru_row("gru_all", {.cell = reset_first}),
          rnn_row("rnn", {.activation = RnnActivation::relu}),
          rnn_row("rnn_all", {.cell = common})};
}

// A layer and a cell with the same parameters, and operands for both.
struct Example {
  Parameters of_layer{Dtype::float64}, of_cell{Dtype::float64};
  Row::Made made;
  Tensors x;  // x [T,N,I], h [N,P] and, where there is one, c [N,H]

  Example(const Row& row, bool training, std::int64_t steps = T)
      : made(row.make(of_layer, of_cell, training)), x{random_normal({steps, N, I}, 1)} {
    copy_into(of_cell.mutable_flat(), random_normal({of_cell.size()}, 2, 0.5));
    copy_into(of_layer.mutable_flat(), of_cell.flat());
    x.push_back(random_normal({N, row.P}, 3));
    if (row.has_c) x.push_back(random_normal({N, H}, 4));
  }

  /// The cell over all steps; each draws from a copy of `random`.
  Tensors loop(const Tensors& in, const Random* random = nullptr) const {
    Tensors state(in.size() - 1), ys;
    for (std::size_t i = 0; i < state.size(); i++) state[i] = in[i + 1];
    for (std::int64_t t = 0; t < in[0].shape()[0]; t++) {
      Random own = random ? *random : Random(0);
      state = made.cell(select(in[0], 0, t), state, random ? &own : nullptr);
      ys.push_back(state[0]);
    }
    Tensors out{stack(ys, 0)};
    for (const Tensor& s : state) out.push_back(s);
    return out;
  }
};

class Cells : public ::testing::TestWithParam<Row> {};

TEST_P(Cells, NamesAndShapesAreTheLayersWithoutItsNumber) {
  const Example e(GetParam(), false);
  ASSERT_EQ(e.of_cell.names().size(), e.of_layer.names().size());
  for (std::size_t i = 0; i < e.of_cell.names().size(); i++) {
    EXPECT_EQ(e.of_cell.names()[i] + "_l0", e.of_layer.names()[i]);
    EXPECT_EQ(e.of_cell.tensors()[i].shape(), e.of_layer.tensors()[i].shape());
  }
}

TEST_P(Cells, ALoopIsTheLayer) {
  Example e(GetParam(), false);
  Tensors us;
  Tape tape;
  const Tensors by_layer = e.made.layer(e.x, nullptr), by_loop = e.loop(e.x);
  EXPECT_LE(difference(by_loop, by_layer), 1e-14);
  for (const Tensor& y : by_layer) us.push_back(random_normal(y.shape(), 5 + us.size()));
  EXPECT_LE(difference(tape.pull(by_loop, us, e.x), tape.pull(by_layer, us, e.x)), 1e-13);
  EXPECT_LE(difference(tape.pull(by_loop[0], us[0], e.of_cell),
                       tape.pull(by_layer[0], us[0], e.of_layer)),
            1e-13);
}

TEST_P(Cells, InTrainingAStepIsTheLayersOfOneStep) {
  const Example e(GetParam(), true, 1);
  Random a(9, 2), b(9, 2);
  const Tensors by_layer = e.made.layer(e.x, &a);
  Tensors state(e.x.begin() + 1, e.x.end());
  const Tensors after = e.made.cell(select(e.x[0], 0, 0), state, &b);
  EXPECT_LE(difference(after, Tensors(by_layer.begin() + 1, by_layer.end())), 1e-14);
  EXPECT_EQ(a.counter(), b.counter());
}

TEST_P(Cells, Gradcheck) {
  const Example e(GetParam(), true, 1);
  const auto f = [&](const Tensors& x) {
    Tensors flat;
    const Random random(9);
    for (const Tensor& y : e.loop(x, &random)) flat.push_back(reshape(y, {-1}));
    return cat(flat, 0);
  };
  const GradcheckReport report = gradcheck(f, e.x);
  EXPECT_TRUE(report.ok(1e-8)) << report.text;
}

INSTANTIATE_TEST_SUITE_P(Rows, Cells, ::testing::ValuesIn(rows()),
                         [](const auto& row) { return std::string(row.param.name); });

// One mask for all steps is what a layer draws, and what copies of a Random give.
TEST(CellsInTraining, CopiesOfARandomGiveOneMaskForAllSteps) {
  const CellOptions cell{.dropout = 0.4};
  for (const Row& row : {lstm_row("lstm", {.cell = cell}), gru_row("gru", {.cell = cell}),
                         rnn_row("rnn", {.cell = cell})}) {
    SCOPED_TRACE(row.name);
    const Example e(row, true);
    const Random random(9);
    Random own = random;
    const Tensors by_layer = e.made.layer(e.x, &own);
    EXPECT_LE(difference(e.loop(e.x, &random), by_layer), 1e-14);
    const Random other(10);
    EXPECT_GT(difference(e.loop(e.x, &other), by_layer), 1e-3);
    EXPECT_ERROR(e.loop(e.x), "Cell: dropout and zoneout need a Random");
  }
}

TEST(CellsErrors, NameWhatIsWrong) {
  Parameters p;
  EXPECT_ERROR(LstmCell(p, "cell", 2, 0), "cell: inputs 2 and hidden 0");
  EXPECT_ERROR(LstmCell(p, "cell", 2, 3, {.proj_size = -1}), "cell: proj_size is -1");
  const RnnCell rnn(p, "rnn", I, H, {.cell = {.reset_first = true}});
  EXPECT_ERROR(rnn(zeros({N, I})), "rnn: ", "reset");
}

}  // namespace
}  // namespace unroll::testing
