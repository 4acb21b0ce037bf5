// The persistent design of the recurrent kernels: the plan, and the passes on small chips, where
// several blocks share the units and rows, and weights are in registers and in shared memory.
#include <map>

#include "core/error.h"
#include "cuda/recurrent_plan.h"
#include "cuda/tests/recurrent_testing.h"
#include "cuda/tests/traffic.h"

namespace unroll::gpu_test {
namespace {

using device::Chip;
using device::PersistentPlan;
using device::RecurrentDesign;
using device::StepProduct;

constexpr Chip h100{.multiprocessors = 132, .shared_bytes = 227 << 10};

// ---- The plan

StepProduct forward_product(std::int64_t H, std::int64_t rows, int gates, int bytes) {
  return {.H = H,
          .gates = gates,
          .depth = H,
          .rows = rows,
          .weight_bytes = bytes,
          .operand_bytes = bytes,
          .sum_bytes = bytes == 8 ? 8 : 4};
}
StepProduct pull_product(std::int64_t H, std::int64_t rows, int gates, int bytes) {
  const int wide = bytes == 8 ? 8 : 4;
  return {.H = H,
          .gates = 1,
          .depth = gates * H,
          .rows = rows,
          .weight_bytes = bytes,
          .operand_bytes = wide,
          .sum_bytes = wide};
}

void expect_sound(const Chip& chip, const StepProduct& p, const PersistentPlan& plan) {
  EXPECT_LE(plan.blocks * plan.groups, chip.multiprocessors);
  EXPECT_GE(std::int64_t(plan.blocks) * plan.units, p.H);
  EXPECT_LT(std::int64_t(plan.blocks - 1) * plan.units, p.H);
  EXPECT_LE(plan.shared, chip.shared_bytes);
  EXPECT_LE(plan.threads(), device::persistent_threads);
  EXPECT_EQ(plan.rows, p.gates * plan.units);
  EXPECT_GE(std::int64_t(plan.turns) * plan.parts * device::pack_wide(p.sum_bytes), p.depth);
  EXPECT_LE(plan.held * device::pack_wide(p.sum_bytes) * p.weight_bytes, chip.weight_registers);
  EXPECT_EQ((plan.sums_stride - plan.units) % 32, 0);
  EXPECT_GE(plan.sums_stride, plan.active());
}

// Those that the simulator knows, or the GPU at hand.
std::map<std::string, Chip> known_chips() {
#ifdef __CUDACC__
  return {{"this GPU", device::current_chip()}};
#else
  std::map<std::string, Chip> all;
  for (const char* name : {"sm_80", "sm_90", "sm_100", "sm_120"}) {
    const sim::Arch arch = *sim::find_arch(name);
    all.emplace(name, Chip{arch.multiprocessors, std::int64_t(arch.shared_per_block)});
  }
  return all;
#endif
}

TEST(PersistentPlan, KeepsToTheChip) {
  for (const auto& [name, chip] : known_chips()) {
    for (const std::int64_t H : {1, 7, 32, 63, 100, 128, 257, 512, 768, 1000, 1024}) {
      for (const std::int64_t rows : {1, 2, 3, 16, 100, 1000}) {
        for (const int gates : {1, 3, 4}) {
          for (const int bytes : {2, 4}) {
            for (const StepProduct& p :
                 {forward_product(H, rows, gates, bytes), pull_product(H, rows, gates, bytes)}) {
              SCOPED_TRACE(name + ", H " + std::to_string(H) + ", rows " + std::to_string(rows) +
                           ", gates " + std::to_string(gates));
              const PersistentPlan plan = device::persistent_fit(chip, p);
              ASSERT_TRUE(plan);
              expect_sound(chip, p, plan);
            }
          }
        }
      }
    }
  }
}

std::int64_t largest(int gates, int bytes, bool pull) {
  std::int64_t H = 1;
  while (device::persistent_fits(h100, pull ? pull_product(H + 1, 16, gates, bytes)
                                            : forward_product(H + 1, 16, gates, bytes)))
    H++;
  return H;
}

// What recurrent_plan.h says of an H100.
TEST(PersistentPlan, StatesItsLimit) {
  EXPECT_EQ(largest(4, 4, false), 1584);
  EXPECT_EQ(largest(3, 4, false), 1848);
  EXPECT_EQ(largest(4, 2, false), 2112);
  EXPECT_EQ(largest(3, 2, false), 2384);
  EXPECT_EQ(largest(4, 8, false), 1120);
  EXPECT_EQ(largest(4, 4, true), 1512);
  EXPECT_EQ(largest(3, 4, true), 1776);
  EXPECT_EQ(largest(4, 2, true), 1887);
  EXPECT_EQ(largest(3, 2, true), 2244);
  EXPECT_EQ(largest(4, 8, true), 1056);
  EXPECT_FALSE(device::persistent_fits(h100, forward_product(4096, 1, 4, 2)));
  EXPECT_FALSE(device::persistent_fits({.multiprocessors = 0, .shared_bytes = 1 << 20},
                                       forward_product(1, 1, 4, 4)));
}

TEST(PersistentPlan, SharesTheChip) {
  const PersistentPlan small = device::persistent_fit(h100, forward_product(32, 64, 4, 4));
  EXPECT_EQ(small.blocks, 1);  // a step waits for one block alone
  EXPECT_EQ(small.groups, 64);
  const PersistentPlan large = device::persistent_fit(h100, forward_product(1024, 64, 4, 4));
  EXPECT_EQ(large.units, 16);  // whole sectors
  EXPECT_EQ(large.blocks, 64);
  EXPECT_EQ(large.groups, 2);
  const PersistentPlan middle = device::persistent_fit(h100, forward_product(256, 64, 4, 4));
  EXPECT_EQ(middle.groups, 32);  // with a tile of rows each
  EXPECT_EQ(middle.tile, 2);
  const PersistentPlan flash = device::persistent_fit(h100, forward_product(768, 16, 4, 4));
  EXPECT_EQ(flash.groups, 3);
  EXPECT_EQ(flash.tile, 6);
}

// ---- The settings

class WithSettings {
 public:
  explicit WithSettings(const device::PersistentSettings& settings) {
    device::persistent_settings() = settings;
  }
  ~WithSettings() { device::persistent_settings() = before_; }

 private:
  const device::PersistentSettings before_ = device::persistent_settings();
};

device::PersistentSettings forced(const Chip& chip) {
  return {.design = RecurrentDesign::persistent, .chip = chip};
}

TEST(PersistentSettings, TheDesignByName) {
  EXPECT_EQ(device::recurrent_design_of(nullptr), RecurrentDesign::automatic);
  EXPECT_EQ(device::recurrent_design_of("auto"), RecurrentDesign::automatic);
  EXPECT_EQ(device::recurrent_design_of("step"), RecurrentDesign::step);
  EXPECT_EQ(device::recurrent_design_of("persistent"), RecurrentDesign::persistent);
  EXPECT_EQ(device::recurrent_design_of("fast"), std::nullopt);
}

Variant variant(Cell cell, const std::string& name, std::int64_t T, std::int64_t N, std::int64_t I,
                std::int64_t H, std::int64_t K = 1) {
  Variant v;
  v.p = {name, cell, T, N, I, H};
  v.K = K;
  return v;
}

std::string message_of_run(const Variant& v) {
  try {
    run_all<float, OnGpu>(v);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(PersistentSettings, ErrorsSayWhatIsWrong) {
  const Variant v = variant(Cell::lstm, "error", 2, 1, 1, 64);
  {
    const WithSettings with(forced({.multiprocessors = 2, .shared_bytes = 1 << 10}));
    const std::string message = message_of_run(v);
    EXPECT_NE(message.find("recurrent forward: UNROLL_RECURRENT=persistent, but the recurrent "
                           "weights of 64 units, 65536 bytes, do not fit on 2 multiprocessors "
                           "with 1024 bytes of shared memory each; use auto or step"),
              std::string::npos)
        << message;
  }
  {
    const WithSettings with({.unknown = "fast"});
    EXPECT_NE(message_of_run(v).find("UNROLL_RECURRENT=fast is none of auto, step, persistent"),
              std::string::npos);
  }
}

// ---- The passes

#ifdef __CUDACC__
void expect_persistent_alone(const Chip&, const std::function<void()>& work) { work(); }
#else  // which counts what was launched

std::map<std::string, sim::KernelMeter> meter_by_name() {
  std::map<std::string, sim::KernelMeter> rows;
  for (const sim::KernelMeter& row : sim::meter()) rows[row.kernel] = row;
  return rows;
}

void expect_persistent_alone(const Chip& chip, const std::function<void()>& work) {
  sim::reset_meter();
  work();
  const auto meter = meter_by_name();
  for (const char* step : {"forward_step", "pull_step", "push_step"})
    EXPECT_EQ(meter.count(step), 0u) << step;
  for (const char* pass : {"persistent_forward", "persistent_pull", "persistent_push"}) {
    EXPECT_GT(meter.at(pass).launches, 0) << pass;
    EXPECT_EQ(meter.at(pass).grid_barriers > 0, chip.shared_bytes < (64 << 10)) << pass;
  }
}

#endif

constexpr Cell cells[] = {Cell::lstm, Cell::gru, Cell::tanh};

// One block; several, each with all units and some rows; several that share the units and meet in
// every step, with weights in registers and in shared memory, or in shared memory alone.
constexpr Chip chips[] = {
    {1, 64 << 10}, {3, 64 << 10}, {7, 40 << 10, 16}, {12, 40 << 10, 0}, {16, 40 << 10, 32}};

std::vector<Variant> sizes(Cell cell) {
  std::vector<Variant> all = {
      variant(cell, "ones", 1, 1, 1, 1),        variant(cell, "one row", 3, 1, 2, 13),
      variant(cell, "rows", 2, 19, 1, 5),       variant(cell, "units", 3, 3, 2, 37, 2),
      variant(cell, "aligned", 3, 5, 2, 24, 2), variant(cell, "directions", 2, 3, 2, 8, 4)};
  Variant strides = variant(cell, "strides", 3, 3, 3, 12, 2);
  strides.h_stride = 13, strides.y_stride = 14, strides.dy_stride = 15;
  all.push_back(strides);
  for (const bool reverse : {false, true}) {
    Variant v = variant(cell, reverse ? "lengths, reversed" : "lengths", 4, 6, 2, 20, 2);
    v.p.lengths = {2, 4, 2, 0, 3, 4};
    v.p.reverse = reverse;
    v.beta = reverse ? 1 : 0;
    all.push_back(v);
  }
  return all;
}

TEST(Persistent, IsTheCpus) {
  for (const Chip& chip : chips) {
    const WithSettings with(forced(chip));
    SCOPED_TRACE("multiprocessors " + std::to_string(chip.multiprocessors));
    expect_persistent_alone(chip, [] {
      for (const Cell cell : cells) {
        for (const Variant& v : sizes(cell)) {
          expect_cpu<float>(v);
          expect_cpu<double>(v);
          if (HasFailure()) return;
        }
      }
    });
    if (HasFailure()) return;
  }
}

// The last block has units that are not there, whose weights are not read.
TEST(Persistent, UnitsThatFillNoBlock) {
  const Chip chip{.multiprocessors = 2, .shared_bytes = 8 << 10, .weight_registers = 32};
  const WithSettings with(forced(chip));
  for (const Cell cell : {Cell::lstm, Cell::gru}) {
    const Variant v = variant(cell, "part of a block", 3, 8, 2, 14);
    const PersistentPlan back =
        device::persistent_fit(chip, pull_product(v.p.H, v.p.N, int(v.p.gates()), 4));
    EXPECT_GT(back.blocks, 1);
    EXPECT_GT(back.blocks * back.units, v.p.H);
    expect_cpu<float>(v);
  }
}

#ifdef __CUDACC__  // the simulator would take minutes
// Units and rows for all the multiprocessors that there are.
TEST(Persistent, FillsTheGpu) {
  const WithSettings with(forced(device::current_chip()));
  for (const Cell cell : cells) {
    const Variant v = variant(cell, "large", 5, 70, 24, 600);
    expect_cpu<float>(v, 0.05);
    expect_cpu<double>(v, 0.05);
  }
}
#endif

// Nothing is launched that has no step.
TEST(Persistent, Empty) {
  const WithSettings with(forced(chips[1]));
  for (const Cell cell : cells) {
    Variant v = variant(cell, "no steps", 3, 2, 2, 3, 2);
    v.p.lengths = {0, 0};
    expect_cpu<float>(v);
    expect_cpu<float>(variant(cell, "no sequences", 3, 0, 2, 3));
  }
}

TEST(Persistent, ChunksAndSegments) {
  const WithSettings with(forced(chips[2]));
  std::int64_t& numbers = device::chunk_numbers();
  const std::int64_t before = numbers;
  for (const Cell cell : cells) {
    Variant v = variant(cell, "chunks", 5, 4, 2, 9, 2);
    v.p.lengths = {3, 5, 0, 2};
    v.p.reverse = true;
    for (const std::int64_t few : {std::int64_t{1}, std::int64_t{400}, before}) {
      numbers = few;
      v.first_step = v.segment = 0;
      expect_cpu<double>(v);
      v.first_step = 1, v.segment = 3;
      expect_cpu<double>(v);
      v.save = false;
      expect_cpu<double>(v);
      v.save = true;
    }
  }
  numbers = before;
}

TEST(Persistent, OperandsMayBeNull) {
  const WithSettings with(forced(chips[1]));
  for (const Cell cell : cells) {
    Variant v = variant(cell, "null", 3, 4, 2, 9, 2);
    v.p.lengths = {3, 2, 0, 2};
    v.null_operands = op_b_hh;
    v.null_cotangents = v.unwanted_outputs = out_y;
    expect_cpu<double>(v);
    v.null_cotangents = v.unwanted_outputs = out_h_n | out_c_n;
    v.unwanted = v.null_tangents = op_h0 | op_c0;
    expect_cpu<double>(v);
    v.unwanted = v.null_tangents = op_x | op_w_ih | op_w_hh | op_b_ih | op_b_hh;
    expect_cpu<double>(v);
  }
}

TEST(Persistent, LargeNumbersAndNaN) {
  const WithSettings with(forced(chips[3]));
  for (const Cell cell : cells) {
    expect_cpu<double>(variant(cell, "large", 3, 3, 4, 11, 2), 40);
    const Variant v = variant(cell, "NaN", 3, 3, 4, 11);
    StepsInputs<double> in = random_inputs<double>(v, 1, 1, 0);
    in.x[7] = std::numeric_limits<double>::quiet_NaN();
    const auto want = Recurrent<double, OnCpu>(v, in).forward();
    const auto got = Recurrent<double, OnGpu>(v, in).forward();
    expect_close(got.h, want.h, tolerance<double>);
  }
}

TEST(Persistent, SameBitsInEveryOrder) {
  for (const Chip& chip : {chips[0], chips[2]}) {
    const WithSettings with(forced(chip));
    for (const Cell cell : cells) {
      Variant v = variant(cell, "bits", 3, 5, 2, 13, 2);
      v.p.lengths = {3, 1, 0, 2, 3};
      expect_same_bits<float>(v);
    }
  }
}

// ---- The meter

#ifndef __CUDACC__  // the meter is the simulator's

// A step's work follows its active rows, and one whose rows are few takes the step's design alone.
TEST(Persistent, IsChosenForMoreThanOneStep) {
  const WithSettings with({.design = RecurrentDesign::automatic, .chip = chips[1]});
  sim::reset_meter();
  run_all<float, OnGpu>(variant(Cell::lstm, "one step", 1, 2, 1, 4));
  EXPECT_EQ(meter_by_name().count("persistent_forward"), 0u);
  run_all<float, OnGpu>(variant(Cell::lstm, "two steps", 2, 2, 1, 4));
  EXPECT_EQ(meter_by_name().at("persistent_forward").launches, 1);
  EXPECT_EQ(meter_by_name().at("persistent_pull").launches, 1);
  EXPECT_EQ(meter_by_name().at("persistent_push").launches, 1);
}

// Threads wait where they hear of each other: twice for some turns of the weights where those go
// through shared memory, once behind them; around each product, before the operands of another
// tile, and between steps. A last step has nothing to pull through the weights.
TEST(Persistent, WaitsNoMoreThanItMust) {
  const WithSettings with(forced(chips[0]));
  constexpr std::int64_t T = 3, H = 16;
  for (const std::int64_t N : {3, 8}) {
    const PersistentPlan plan = device::persistent_fit(chips[0], forward_product(H, N, 4, 4));
    const PersistentPlan pull = device::persistent_fit(chips[0], pull_product(H, N, 4, 4));
    const std::int64_t tiles = (N + plan.tile - 1) / plan.tile;
    const std::int64_t load = 2 * ((plan.turns + device::load_turns - 1) / device::load_turns) + 1;
    sim::reset_meter();
    run_all<float, OnGpu>(variant(Cell::lstm, "barriers", T, N, 2, H));
    const auto meter = meter_by_name();
    const std::int64_t steps = T * (3 * tiles - 1) + T - 1;
    EXPECT_EQ(meter.at("persistent_forward").block_barriers, load + steps);
    EXPECT_EQ(meter.at("persistent_push").block_barriers, load + steps);
    EXPECT_EQ(meter.at("persistent_pull").block_barriers,
              1 + T * 2 * ((N + pull.tile - 1) / pull.tile) + T);
  }
}

// Of the forward pass and the sweeps on a chip, for T steps of N sequences and 32 units.
std::map<std::string, sim::KernelMeter> moved(Cell cell, const Chip& chip, std::int64_t T,
                                              std::int64_t N) {
  const WithSettings with(forced(chip));
  const Metered now;
  Variant v = variant(cell, "meter", T, N, 8, 32);
  v.null_tangents = op_x;
  run_all<float, OnGpu>(v);
  // Beside the products, a unit's own state is read where a block has fewer than 32.
  for (const auto& [name, row] : meter_by_name()) {
    if (name.find("persistent") == 0 && !(name == "persistent_push" && chip.multiprocessors > 1)) {
      EXPECT_EQ(row.bank_conflicts, 0) << name;
    }
  }
  return meter_by_name();
}

// On one multiprocessor a kernel moves what it must, each byte once; what steps pass on in the same
// place counts in each: cotangents of c or along z h, and tangents of h and c.
TEST(Persistent, MovesTheLeast) {
  if (!sim::kernels_have_checks()) GTEST_SKIP() << "kernels have no checks";
  for (const Cell cell : {Cell::lstm, Cell::gru}) {
    for (const Chip& chip : {Chip{1, 227 << 10}, Chip{1, 227 << 10, 64}}) {
      constexpr double T = 4, N = 8, numbers = N * 32 * 4;
      const auto kernels = moved(cell, chip, std::int64_t(T), std::int64_t(N));
      const double carry = (T - 1) * numbers, tangents = (T - 2) * numbers;
      std::map<std::string, double> passed = {
          {"persistent_forward", 0},
          {"persistent_pull", carry},
          {"persistent_push", tangents + (cell == Cell::lstm ? carry : 0)}};
      for (const char* pass : {"persistent_forward", "persistent_pull", "persistent_push"}) {
        const sim::KernelMeter& row = kernels.at(pass);
        const double read = double(row.read.least) + passed[pass],
                     written = double(row.written.least) + passed[pass];
        EXPECT_LE(32 * double(row.read.sectors), 1.1 * read) << pass;
        EXPECT_LE(32 * double(row.written.sectors), 1.1 * written) << pass;
        expect_lean(row, read + written);
      }
    }
  }
}

// On several, each reads its part of the weights once, in each group of rows, and hears the states
// of the others: what more steps read is that, and no weights.
TEST(Persistent, ReadsTheWeightsOnce) {
  if (!sim::kernels_have_checks()) GTEST_SKIP() << "kernels have no checks";
  constexpr double H = 32, N = 8, number = 4, gates = 4;
  const Chip chip{.multiprocessors = 4, .shared_bytes = 24 << 10, .weight_registers = 32};
  const auto few = moved(Cell::lstm, chip, 4, 8), more = moved(Cell::lstm, chip, 8, 8);
  const auto read = [](const auto& kernels, const char* pass) {
    return 32 * double(kernels.at(pass).read.sectors);
  };
  const PersistentPlan ahead = device::persistent_fit(chip, forward_product(32, 8, 4, 4));
  const PersistentPlan back = device::persistent_fit(chip, pull_product(32, 8, 4, 4));
  ASSERT_GT(ahead.blocks, 1);
  ASSERT_GT(back.blocks, 1);
  const double weights = gates * H * H * number, numbers = N * H * number;
  const double forward = numbers * (ahead.blocks + gates + 1);      // h, gates, c
  const double pull = numbers * (back.blocks * gates + gates + 4);  // dg, gates, c, c, dy, carry
  EXPECT_LE(read(few, "persistent_forward"), 1.1 * (ahead.groups * weights + 4 * forward));
  EXPECT_LE(read(more, "persistent_forward") - read(few, "persistent_forward"), 1.1 * 4 * forward);
  EXPECT_LE(read(few, "persistent_pull"), 1.1 * (back.groups * weights + 4 * pull));
  EXPECT_LE(read(more, "persistent_pull") - read(few, "persistent_pull"), 1.1 * 4 * pull);
}
#endif

}  // namespace
}  // namespace unroll::gpu_test
