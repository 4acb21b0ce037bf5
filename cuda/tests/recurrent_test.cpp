// The recurrent kernels on a GPU against the CPU's, every family by the same table. Where
// there are two designs, the one per step; the other is persistent_test.cpp's.
#include "cuda/recurrent_plan.h"
#include "cuda/tests/recurrent_testing.h"
#include "cuda/tests/traffic.h"

namespace unroll::gpu_test {
namespace {

class RecurrentSteps : public ::testing::Test {
 protected:
  void SetUp() override { device::persistent_settings().design = device::RecurrentDesign::step; }
  void TearDown() override { device::persistent_settings() = before_; }

 private:
  const device::PersistentSettings before_ = device::persistent_settings();
};

constexpr Cell all_cells[] = {Cell::lstm, Cell::gru, Cell::tanh, Cell::relu, Cell::identity};

std::string name_of(Cell cell) {
  static const char* const names[] = {"lstm", "gru", "rnn tanh", "rnn relu", "rnn identity"};
  return names[int(cell)];
}

Variant variant(Cell cell, const std::string& name, std::int64_t T, std::int64_t N, std::int64_t I,
                std::int64_t H, std::int64_t K = 1) {
  Variant v;
  v.p = {name_of(cell) + ", " + name, cell, T, N, I, H};
  v.K = K;
  return v;
}

Variant with_lengths(Cell cell, bool reverse, std::int64_t K = 2) {
  Variant v = variant(cell, reverse ? "lengths, reversed" : "lengths", 4, 6, 3, 9, K);
  v.p.lengths = {2, 4, 2, 0, 3, 4};
  v.p.reverse = reverse;
  return v;
}

// Fewer and more rows and units than a tile, depths off its steps, or that are summed in parts,
// strides, padding.
std::vector<Variant> sizes(Cell cell) {
  std::vector<Variant> all = {
      variant(cell, "ones", 1, 1, 1, 1),          variant(cell, "small", 3, 1, 2, 4, 2),
      variant(cell, "tile", 2, 10, 4, 16),        variant(cell, "rows", 2, 33, 2, 3),
      variant(cell, "units", 2, 3, 18, 37),       variant(cell, "directions", 3, 3, 2, 5, 12),
      variant(cell, "long depth", 27, 5, 2, 3, 2)};
  Variant strides = variant(cell, "strides", 4, 3, 3, 5, 2);
  strides.h_stride = 7, strides.y_stride = 11, strides.dy_stride = 9;
  all.push_back(strides);
  for (const bool reverse : {false, true}) {
    all.push_back(with_lengths(cell, reverse));
    all.push_back(with_lengths(cell, reverse));
    all.back().y_stride = 10, all.back().dy_stride = 12, all.back().beta = 1;
  }
  all.push_back(variant(cell, "reversed", 5, 2, 2, 3));
  all.back().p.reverse = true;
  all.push_back(variant(cell, "no steps", 3, 2, 2, 3, 2));
  all.back().p.lengths = {0, 0};
  all.push_back(all.back());
  all.back().beta = 1;
  return all;
}

TEST_F(RecurrentSteps, IsTheCpus) {
  for (const Cell cell : all_cells) {
    for (const Variant& v : sizes(cell)) {
      expect_cpu<float>(v);
      expect_cpu<double>(v);
    }
  }
}

// Products of many rows are those of matrices where no sequence is short, and give the same bits as
// those by lists of rows.
TEST_F(RecurrentSteps, MatricesGiveTheBitsOfLists) {
  for (const Cell cell : {Cell::lstm, Cell::gru, Cell::tanh}) {
    const Variant matrices = variant(cell, "matrices", 9, 8, 65, 64);
    Variant lists = matrices;
    lists.p.lengths.assign(8, 9);
    expect_cpu<float>(matrices, 0.2);
    expect_cpu<double>(matrices, 0.2);
    expect_equal_bits(run_all<float, OnGpu>(matrices), run_all<float, OnGpu>(lists));
  }
}

TEST_F(RecurrentSteps, OperandsMayBeNull) {
  for (const Cell cell : all_cells) {
    Variant v = with_lengths(cell, true);
    v.null_operands = op_b_ih | op_b_hh;
    expect_cpu<double>(v);
    for (const unsigned operand : {op_b_ih, op_b_hh}) {
      v.null_operands = operand;
      expect_cpu<double>(v);
    }
    v.null_operands = 0;
    for (const unsigned null : {1u, 2u, 4u, 3u, 6u}) {  // sets of y, h_n, c_n
      v.null_cotangents = null;
      v.unwanted_outputs = null;
      expect_cpu<double>(v);
    }
    v.null_cotangents = v.unwanted_outputs = 0;
    constexpr unsigned all = op_x | op_w_ih | op_w_hh | op_b_ih | op_b_hh | op_h0 | op_c0;
    for (unsigned operand = 1; operand < all; operand <<= 1) {
      v.unwanted = v.null_tangents = operand;
      expect_cpu<double>(v);
      v.unwanted = v.null_tangents = all & ~operand;
      expect_cpu<double>(v);
    }
  }
}

TEST_F(RecurrentSteps, InferenceSavesNothing) {
  for (const Cell cell : all_cells) {
    Variant v = with_lengths(cell, false);
    v.save = false;
    expect_cpu<float>(v);
  }
}

// Of a run of five steps: its beginning, its middle, its end.
TEST_F(RecurrentSteps, SegmentsOfARun) {
  for (const Cell cell : all_cells) {
    for (const bool reverse : {false, true}) {
      for (const auto& [first, steps] : {std::pair{0, 2}, std::pair{2, 2}, std::pair{3, 0}}) {
        Variant v = variant(cell, "segment", 5, 4, 2, 3, 2);
        v.p.lengths = {3, 5, 0, 2};
        v.p.reverse = reverse;
        v.first_step = first, v.segment = steps;
        expect_cpu<double>(v);
        v.p.lengths = {};
        expect_cpu<double>(v);
      }
    }
  }
}

// ---- Options

// Every option of every family: alone, and all that go together.
std::vector<Variant> option_variants() {
  const RecurrentOptions clip{.clip = 0.4};
  const RecurrentOptions zoneout{.zoneout_h = 0.3, .training = true, .seed = 5};
  const RecurrentOptions blend{.zoneout_h = 0.3};
  const RecurrentOptions drop{
      .dropout = 0.4, .training = true, .seed = 7, .stream = 3, .counter = 100};
  std::vector<Variant> list;
  const auto add = [&](Cell cell, const char* name, const RecurrentOptions& options) -> Variant& {
    Variant v = variant(cell, name, 4, 5, 2, 9, 2);
    v.p.options = options;
    v.p.lengths = {2, 4, 0, 1, 4};
    v.p.reverse = list.size() % 2 == 1;
    list.push_back(v);
    return list.back();
  };
  for (const Cell cell : all_cells) {
    add(cell, "general", {.general = true});
    add(cell, "clip", clip);
    add(cell, "zoneout", zoneout);
    add(cell, "zoneout in inference", blend);
    add(cell, "dropout", drop);
  }
  RecurrentOptions all{.clip = 0.4, .zoneout_h = 0.2, .dropout = 0.3, .training = true, .seed = 11};
  add(Cell::lstm, "zoneout of c", {.zoneout_c = 0.4, .training = true, .seed = 6});
  add(Cell::lstm, "zoneout of c in inference", {.zoneout_c = 0.4});
  add(Cell::lstm, "projection", {}).p.projection = 3;
  add(Cell::lstm, "peephole", {}).p.peephole = true;
  add(Cell::lstm, "peephole, clip", clip).p.peephole = true;
  add(Cell::lstm, "norm", {}).p.norm = true;
  add(Cell::gru, "reset first", {}).p.reset_first = true;
  add(Cell::gru, "all", all).p.reset_first = true;
  add(Cell::tanh, "all", all);
  all.zoneout_c = 0.3;
  StepsProblem& lstm = add(Cell::lstm, "all", all).p;
  lstm.projection = 3, lstm.peephole = lstm.norm = true;
  return list;
}

TEST(RecurrentOptions, AreTheCpus) {
  for (Variant v : option_variants()) {
    expect_cpu<float>(v);
    expect_cpu<double>(v);
    v.h_stride = 11, v.y_stride = 12, v.dy_stride = 13, v.beta = 1;
    expect_cpu<double>(v);
  }
}

// More units than a block has threads; one of all; no step.
TEST(RecurrentOptions, Sizes) {
  for (Variant v : option_variants()) {
    if (v.p.name.find("all") == std::string::npos) continue;
    v.p.T = 2, v.p.N = 2, v.p.H = 130;
    v.p.lengths = {};
    expect_cpu<double>(v);
    v.p.T = 1, v.p.N = 1, v.p.I = 1, v.p.H = 1, v.K = 1;
    v.p.projection = std::min<std::int64_t>(v.p.projection, 1);
    expect_cpu<double>(v);
    v.p.T = 3, v.p.N = 2, v.p.lengths = {0, 0};
    expect_cpu<double>(v);
  }
}

TEST(RecurrentOptions, OperandsMayBeNull) {
  for (Variant v : option_variants()) {
    if (v.p.name.find("all") == std::string::npos) continue;
    v.null_operands = op_b_ih | op_b_hh;
    expect_cpu<double>(v);
    v.null_operands = 0;
    for (const unsigned null : {1u, 2u, 4u, 6u}) {
      v.null_cotangents = v.unwanted_outputs = null;
      if (null & out_y) v.unwanted_outputs &= ~unsigned(out_y);
      expect_cpu<double>(v);
    }
    v.null_cotangents = v.unwanted_outputs = 0;
    constexpr unsigned all = (1u << StepsInputs<double>::count) - 1;
    for (unsigned operand = 1; operand < all; operand <<= 1) {
      v.unwanted = v.null_tangents = operand;
      expect_cpu<double>(v);
      v.unwanted = v.null_tangents = all & ~operand;
      expect_cpu<double>(v);
    }
  }
}

TEST(RecurrentOptions, SegmentsAndChunks) {
  std::int64_t& numbers = device::chunk_numbers();
  const std::int64_t before = numbers;
  for (Variant v : option_variants()) {
    if (v.p.name.find("all") == std::string::npos) continue;
    v.first_step = 1, v.segment = 2;
    expect_cpu<double>(v);
    v.save = false;
    expect_cpu<double>(v);
    v.save = true, v.first_step = v.segment = 0;
    numbers = 1;
    expect_cpu<double>(v);
    numbers = before;
  }
}

TEST(RecurrentOptions, SameBitsInEveryOrder) {
  for (const Variant& v : option_variants())
    if (v.p.name.find("all") != std::string::npos) expect_same_bits<float>(v);
}

// Scratch that holds one step, or two.
TEST_F(RecurrentSteps, ChunksOfSteps) {
  std::int64_t& numbers = device::chunk_numbers();
  const std::int64_t before = numbers;
  for (const Cell cell : all_cells) {
    for (const std::int64_t few : {1, 700}) {
      numbers = few;
      for (const bool reverse : {false, true}) {
        Variant v = with_lengths(cell, reverse);
        expect_cpu<double>(v);
        v.beta = 1;
        expect_cpu<double>(v);
        v.save = false;
        expect_cpu<double>(v);
      }
    }
  }
  numbers = before;
}

// The cotangents of x have the bits of the whole run however its steps are cut, though a chunk has
// fewer tiles and its products could be cut in more parts.
TEST_F(RecurrentSteps, ChunksGiveTheBitsOfTheWhole) {
  std::int64_t &numbers = device::chunk_numbers(), &blocks = device::wanted_blocks();
  const std::int64_t numbers_before = numbers, blocks_before = blocks;
  blocks = 2;
  const Variant v = variant(Cell::lstm, "chunks", 9, 8, 3, 32);
  const auto dx = [&](std::int64_t capacity) {
    numbers = capacity;
    const Results<float> results = run_all<float, OnGpu>(v);
    for (const auto& [name, values] : results.all)
      if (name == "cotangent 0") return values;
    return std::vector<float>();
  };
  const std::vector<float> whole = dx(numbers_before), cut = dx(1);
  numbers = numbers_before, blocks = blocks_before;
  ASSERT_EQ(whole.size(), std::size_t(9 * 8 * 3));
  ASSERT_EQ(cut.size(), whole.size());
  for (std::size_t i = 0; i < whole.size(); i++) ASSERT_EQ(cut[i], whole[i]) << "at " << i;
}

TEST_F(RecurrentSteps, Empty) {
  for (const Cell cell : all_cells) {
    expect_cpu<float>(variant(cell, "no sequences", 3, 0, 2, 4));
    expect_cpu<float>(variant(cell, "no steps", 0, 3, 2, 4));
  }
}

TEST_F(RecurrentSteps, LargeNumbersAndNaN) {
  for (const Cell cell : {Cell::lstm, Cell::gru, Cell::tanh}) {
    expect_cpu<double>(variant(cell, "large", 3, 3, 4, 5, 2), 40);
    Variant v = variant(cell, "NaN", 3, 3, 4, 5);
    StepsInputs<double> in = random_inputs<double>(v, 1, 1, 0);
    in.x[7] = std::numeric_limits<double>::quiet_NaN();
    const auto want = Recurrent<double, OnCpu>(v, in).forward();
    const auto got = Recurrent<double, OnGpu>(v, in).forward();
    expect_close(got.h, want.h, tolerance<double>);
    EXPECT_TRUE(std::isnan(got.out.y[5]));
    EXPECT_FALSE(std::isnan(got.out.y[0]));
  }
}

TEST_F(RecurrentSteps, SameBitsInEveryOrder) {
  for (const Cell cell : {Cell::lstm, Cell::gru, Cell::tanh}) {
    expect_same_bits<float>(with_lengths(cell, true));
    expect_same_bits<float>(variant(cell, "long depth", 27, 5, 2, 3));
  }
}

#ifndef __CUDACC__  // the meter is the simulator's
// Rows of blocks of a kernel since the meter was reset.
std::int64_t blocks_of_kernel(const std::string& name) {
  for (const sim::KernelMeter& kernel : sim::meter())
    if (kernel.kernel == name) return kernel.blocks;
  return 0;
}

// Two tiles of rows in the step of all sequences, one in the steps of a single one.
TEST_F(RecurrentSteps, WorkFollowsTheLengths) {
  Variant v = variant(Cell::lstm, "a long one", 6, 40, 2, 3);
  v.p.lengths.assign(40, 1);
  v.p.lengths[7] = 4;
  sim::reset_meter();
  run_all<float, OnGpu>(v);
  EXPECT_EQ(blocks_of_kernel("forward_step"), 2 + 3);
  EXPECT_EQ(blocks_of_kernel("push_step"), 2 + 3);
  EXPECT_EQ(blocks_of_kernel("pull_step"), 2 + 3 + 2);  // and the initial states
  v.p.options.general = true;
  sim::reset_meter();
  run_all<float, OnGpu>(v);
  EXPECT_EQ(blocks_of_kernel("work_rows"), 2 * (40 + 3));  // pullback and pushforward
}

// Of two steps and the initial states, all but the last step have a product, of one round.
TEST_F(RecurrentSteps, TheLastStepHasNoProduct) {
  sim::reset_meter();
  run_all<float, OnGpu>(variant(Cell::lstm, "barriers", 2, 2, 1, 4));
  std::int64_t barriers = 0;
  for (const sim::KernelMeter& kernel : sim::meter())
    if (kernel.kernel == "pull_step") barriers += kernel.block_barriers;
  EXPECT_EQ(barriers, 2);
}

// Tiles are stored and read without waiting for a bank.
TEST_F(RecurrentSteps, NoBankConflicts) {
  if (!sim::kernels_have_checks()) GTEST_SKIP() << "kernels have no checks";
  const Metered now;
  for (const Cell cell : {Cell::lstm, Cell::gru, Cell::tanh}) {
    run_all<float, OnGpu>(variant(cell, "meter", 2, 10, 18, 33));
    run_all<double, OnGpu>(variant(cell, "meter", 2, 3, 18, 33));
  }
  int seen = 0;
  for (const sim::KernelMeter& kernel : sim::meter()) {
    EXPECT_EQ(kernel.bank_conflicts, 0) << kernel.kernel;
    seen += kernel.shared_requests > 0;
  }
  EXPECT_GE(seen, 4);
}
#endif

}  // namespace
}  // namespace unroll::gpu_test
