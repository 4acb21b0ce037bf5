#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <set>
#include <string>

#include "cuda/recurrent_plan.h"
#include "cuda/runtime.h"

namespace unroll::UNROLL_GPU {
namespace {

std::int64_t up_to(std::int64_t n, std::int64_t lot) { return (n + lot - 1) / lot * lot; }
std::int64_t parts_of(std::int64_t n, std::int64_t size) { return (n + size - 1) / size; }

// The work of one block with so many units and rows of a tile; no tile if it cannot hold that.
PersistentPlan block_plan(const Chip& chip, const StepProduct& p, std::int64_t units,
                          std::int64_t tile) {
  const std::int64_t rows = p.gates * units, wide = pack_wide(p.sum_bytes);
  if (rows > persistent_threads) return {};
  const std::int64_t packs = parts_of(p.depth, wide), pack_bytes = wide * p.weight_bytes;
  const std::int64_t parts = std::clamp<std::int64_t>(packs, 1, persistent_threads / rows);
  const std::int64_t threads = rows * parts, turns = parts_of(packs, parts);
  const std::int64_t held =
      std::min({turns, chip.weight_registers / pack_bytes, std::int64_t{most_held}});
  // Lanes that add up neighbouring units, of one row or the next, meet neighbouring banks.
  const std::int64_t stride = threads + ((units - threads) % 32 + 32) % 32;
  const std::int64_t operands_at = up_to((turns - held) * threads * pack_bytes, 16);
  const std::int64_t sums_at =
      operands_at + up_to(tile * turns * parts * wide * p.operand_bytes, 16);
  const std::int64_t loads = load_turns * parts * load_stride(int(rows)) * pack_bytes;
  const std::int64_t shared = std::max(sums_at + tile * stride * p.sum_bytes, operands_at + loads);
  if (shared > chip.shared_bytes) return {};
  return {.tile = int(tile),
          .units = int(units),
          .blocks = int(parts_of(p.H, units)),
          .groups = 1,
          .rows = int(rows),
          .parts = int(parts),
          .turns = int(turns),
          .held = int(held),
          .sums_stride = int(stride),
          .operands_at = int(operands_at),
          .sums_at = int(sums_at),
          .shared = int(shared)};
}

// The most units that a block holds, or 0.
std::int64_t most_units(const Chip& chip, const StepProduct& p, std::int64_t tile) {
  std::int64_t units = std::min(p.H, persistent_threads / p.gates);
  while (units > 0 && !block_plan(chip, p, units, tile)) units--;
  return units;
}

// Cycles, about what an H200 takes as cudnn_bench has it for few and many rows: to meet in a step;
// for what every tile waits for, its operands from L2, two barriers and the numbers of its cells;
// for a row of a tile times a pack.
constexpr std::int64_t meeting_cycles = 3000, tile_cycles = 4000, row_cycles = 12;

std::int64_t step_cycles(const PersistentPlan& plan, std::int64_t rows) {
  const std::int64_t tiles = parts_of(parts_of(rows, plan.groups), plan.tile);
  const std::int64_t tile = tile_cycles + row_cycles * plan.turns * plan.tile;
  return (plan.blocks > 1 ? meeting_cycles : 0) + tiles * tile;
}

// The best plan with tiles of so many rows. Where one block holds all, a step waits for its own
// threads alone, and rows go to as many blocks as there are. Else groups of rows share the chip,
// and the blocks of a group have whole sectors of units where they can.
PersistentPlan fit(const Chip& chip, const StepProduct& p, std::int64_t tile) {
  const std::int64_t most = most_units(chip, p, tile);
  if (most == 0) return {};
  const bool alone = most >= p.H;
  const std::int64_t room = std::min(chip.multiprocessors / parts_of(p.H, most), p.rows);
  PersistentPlan best;
  for (std::int64_t groups = alone ? room : 1; groups > 0 && groups <= room; groups++) {
    std::int64_t units = alone ? p.H : parts_of(p.H, chip.multiprocessors / groups);
    if (up_to(units, 8) <= most) units = std::min(up_to(units, 8), p.H);
    PersistentPlan plan = block_plan(chip, p, units, tile);
    plan.groups = int(groups);
    if (plan && (!best || step_cycles(plan, p.rows) < step_cycles(best, p.rows))) best = plan;
  }
  return best;
}

#ifdef __CUDACC__

__global__ void refused_kernel() {}

// The same text, which lives as long as the program.
const char* kept(const char* text) {
  static std::mutex& mutex = *new std::mutex;
  static std::set<std::string>& all = *new std::set<std::string>;
  const std::lock_guard lock(mutex);
  return all.insert(text).first->c_str();
}

// The next check() throws it, for there was a launch without blocks.
void note(const char* text) noexcept {
  refusal() = kept(text);
  launch(refused_kernel, {.name = "refused", .grid = 0u, .block = 1u, .stream = current_stream()});
}

#else

void note(const char* text) noexcept { Runtime::kept().keep(text); }

#endif

template <class... Values>
void refuse(const char* format, Values... values) noexcept {
  char text[512];
  std::snprintf(text, sizeof text, format, values...);
  note(text);
}

void refuse_size(const char* op, const Chip& chip, const StepProduct& p) noexcept {
  refuse(
      "%s: UNROLL_RECURRENT=persistent, but the recurrent weights of %lld units, %lld bytes, do "
      "not fit on %lld multiprocessors with %lld bytes of shared memory each; use auto or step",
      op, static_cast<long long>(p.H),
      static_cast<long long>(p.gates * p.depth * p.H * p.weight_bytes),
      static_cast<long long>(chip.multiprocessors), static_cast<long long>(chip.shared_bytes));
}

PersistentSettings settings_of_environment() noexcept {
  const char* name = std::getenv("UNROLL_RECURRENT");
  const auto design = recurrent_design_of(name);
  if (!design) return {.unknown = name};
  return {.design = *design};
}

}  // namespace

Chip current_chip() noexcept {
#ifdef __CUDACC__
  int device = 0, count = 0, bytes = 0, cooperative = 0;
  cudaGetDevice(&device);
  cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, device);
  cudaDeviceGetAttribute(&bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, device);
  cudaDeviceGetAttribute(&cooperative, cudaDevAttrCooperativeLaunch, device);
  return {.multiprocessors = cooperative ? count : 0, .shared_bytes = bytes};
#else
  const sim::Arch arch = sim::options().arch;
  return {.multiprocessors = arch.multiprocessors,
          .shared_bytes = std::int64_t(arch.shared_per_block)};
#endif
}

std::optional<RecurrentDesign> recurrent_design_of(const char* name) noexcept {
  const auto is = [&](const char* design) { return std::strcmp(name, design) == 0; };
  if (!name || is("") || is("auto")) return RecurrentDesign::automatic;
  if (is("step")) return RecurrentDesign::step;
  if (is("persistent")) return RecurrentDesign::persistent;
  return std::nullopt;
}

PersistentSettings& persistent_settings() noexcept {
  static PersistentSettings& settings = *new PersistentSettings(settings_of_environment());
  return settings;
}

PersistentPlan persistent_fit(const Chip& chip, const StepProduct& p) noexcept {
  if (p.H <= 0 || p.rows <= 0) return {};
  const PersistentPlan many = fit(chip, p, tile_rows_many), few = fit(chip, p, tile_rows_few);
  if (!many || !few) return many ? many : few;
  return step_cycles(few, p.rows) < step_cycles(many, p.rows) ? few : many;
}

PersistentPlan persistent_plan(const char* op, const StepProduct& product,
                               std::int64_t steps) noexcept {
  const PersistentSettings& settings = persistent_settings();
  if (settings.unknown)
    refuse("%s: UNROLL_RECURRENT=%s is none of auto, step, persistent", op, settings.unknown);
  const bool forced = settings.design == RecurrentDesign::persistent;
  if (settings.design == RecurrentDesign::step || (!forced && steps < 2)) return {};
  const Chip chip = settings.chip ? *settings.chip : current_chip();
  const PersistentPlan plan = persistent_fit(chip, product);
  if (!plan && forced && product.H * product.rows > 0) refuse_size(op, chip, product);
  return plan;
}

}  // namespace unroll::UNROLL_GPU
