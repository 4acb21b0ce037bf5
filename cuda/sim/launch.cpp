// What a launch must keep to before it is queued.
#include "cuda/sim/launch.h"

#include <map>

#include "cuda/sim/machine.h"
#include "cuda/sim/stream.h"

namespace unroll::sim::detail {
namespace {

std::map<std::string, int>& registers() {
  static auto& known = *new std::map<std::string, int>;
  return known;
}

int registers_of(const char* kernel) {
  const auto found = registers().find(kernel);
  return found == registers().end() ? 0 : found->second;
}

// Empty, or what is beyond the limits of the architecture.
std::string beyond(const Launch& launch, const Arch& arch) {
  const dim3 &g = launch.grid, &b = launch.block;
  const std::uint64_t threads = std::uint64_t{b.x} * b.y * b.z;
  if (threads == 0 || g.x == 0 || g.y == 0 || g.z == 0)
    return "grid " + text(g) + " of blocks " + text(b) + " is empty";
  if (threads > threads_per_block || b.z > 64)
    return "block " + text(b) + " has more than 1024 threads or 64 in z";
  if (g.x > 0x7fffffffu || g.y > 65535 || g.z > 65535)
    return "grid " + text(g) + " is beyond (2147483647,65535,65535)";
  if (launch.shared > arch.shared_per_block)
    return std::to_string(launch.shared) + " bytes of dynamic shared memory, but " + arch.name +
           " has " + std::to_string(arch.shared_per_block) + " per block";
  const int at_once = resident_blocks(arch, int(threads), launch.shared, registers_of(launch.name));
  if (at_once == 0)
    return std::to_string(threads) + " threads of " + std::to_string(registers_of(launch.name)) +
           " registers do not fit on " + arch.name;
  const std::uint64_t blocks = std::uint64_t{g.x} * g.y * g.z;
  const std::uint64_t most = std::uint64_t(at_once) * std::uint64_t(arch.multiprocessors);
  if (launch.cooperative && blocks > most)
    return std::to_string(blocks) + " blocks of a cooperative launch, but " + arch.name +
           " holds " + std::to_string(most) + " at once";
  return "";
}

// A pointer among the arguments that is certainly wrong; one inside a struct is found when it is
// used, by kernels with checks.
std::string wrong_pointer(const Work& work) {
  for (const void* p : work.pointers) {
    if (p == nullptr) continue;
    const Region* r = region_at(p);
    if (r == nullptr || r->kind != Region::Kind::device)
      return "a pointer argument is not device memory";
  }
  return "";
}

}  // namespace

void enqueue(Work work) noexcept {
  const std::lock_guard lock(machine().mutex);
  const std::string name = std::string(", launching ") + work.launch.name;
  const std::string limit = beyond(work.launch, machine().options.arch);
  if (!limit.empty()) return note(Fault::launch_limit, limit + name);
  const std::string pointer = wrong_pointer(work);
  if (!pointer.empty()) return note(Fault::host_pointer, pointer + name);
  const Stream stream = work.launch.stream;
  const char* kernel = work.launch.name;
  auto held = std::make_shared<Work>(std::move(work));
  queue_step(stream, kernel, [held] { run_work(*held); });
}

}  // namespace unroll::sim::detail

namespace unroll::sim {

void set_registers(const std::string& kernel, int registers) {
  const std::lock_guard lock(detail::machine().mutex);
  detail::registers()[kernel] = registers;
}

}  // namespace unroll::sim
