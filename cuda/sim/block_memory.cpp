// What threads do to memory other than by plain reads and writes: shared arrays, atomics, cp.async.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "cuda/sim/check.h"
#include "cuda/sim/machine.h"

namespace unroll::sim::detail {
namespace {

std::uintptr_t address_of(const void* p) { return reinterpret_cast<std::uintptr_t>(p); }

// Where the running kernel called: for checks that a function of device.h makes for it.
#define UNROLL_CALLER (reinterpret_cast<std::uintptr_t>(__builtin_return_address(0)) - 1)

void check(const void* p, std::size_t bytes, Touch touch, std::uintptr_t pc) {
  if (kernels_have_checks()) check_access(address_of(p), bytes, touch, pc);
}

[[noreturn]] void wrong_copy(const char* what, Site site) {
  fail(Fault::async_copy, [&] { return std::string("cp.async: ") + what + " at " + text(site); });
}

void require_copy(const void* shared, const void* global, std::size_t bytes, std::size_t zeros,
                  Site site) {
  if (bytes != 4 && bytes != 8 && bytes != 16) wrong_copy("the size is not 4, 8 or 16 bytes", site);
  if ((address_of(shared) | address_of(global)) % bytes != 0)
    wrong_copy("an address is no multiple of the size", site);
  if (zeros > bytes) wrong_copy("more zeros than bytes", site);
  const Region* to = region_at(shared);
  if (to == nullptr || to->kind != Region::Kind::shared)
    wrong_copy("the destination is not shared memory", site);
}

void make_copy(const AsyncCopy& copy, std::uintptr_t pc) {
  const std::size_t copied = copy.bytes - copy.zeros;
  if (copied > 0) check(copy.from, copied, Touch::read, pc);
  check(copy.to, copy.bytes, Touch::write, pc);
  std::memcpy(copy.to, copy.from, copied);
  std::memset(copy.to + copied, 0, copy.zeros);
}

}  // namespace
}  // namespace unroll::sim::detail

namespace unroll::sim::device {

using namespace detail;

void misuse(const char* what, Site site) {
  fail(Fault::misuse, [&] { return std::string(what) + " at " + text(site); });
}

void* shared_array(const void* tag, std::size_t bytes, std::size_t alignment, Site site) {
  Block& b = *running->block;
  for (const SharedArray& array : b.arrays)
    if (array.tag == tag) return array.region->begin;
  b.static_bytes += bytes;
  const std::size_t limit = machine().options.arch.shared_per_block;
  const bool too_many = b.static_bytes > static_shared_per_block;
  if (too_many || b.static_bytes + machine().work->launch.shared > limit) {
    fail(Fault::launch_limit, [&] {
      return "the shared arrays of a block take " + std::to_string(b.static_bytes) + " bytes and " +
             std::to_string(machine().work->launch.shared) + " dynamic ones; allowed are " +
             std::to_string(static_shared_per_block) + ", in all " + std::to_string(limit) +
             ", at " + text(site);
    });
  }
  // Banks repeat every 128 bytes: an array begins where the first does.
  Region* region = take_shared(bytes, std::max<std::size_t>(alignment, 128), b.number, site);
  if (region == nullptr) misuse("the system has no memory for a shared array", site);
  b.arrays.push_back({tag, region});
  return region->begin;
}

void* shared_dynamic(Site site) {
  if (running->block->dynamic == nullptr)
    misuse("the launch gave no dynamic shared memory to what is used", site);
  return running->block->dynamic->begin;
}

void atomic_begin(const void* pointer, void* old, unsigned bytes, Site site) {
  if (address_of(pointer) % bytes != 0) misuse("an atomic operation is not aligned", site);
  yield();
  machine().row->atomics++;
  check(pointer, bytes, Touch::atomic, UNROLL_CALLER);
  if (kernels_have_checks()) pass_facts(address_of(pointer));
  std::memcpy(old, pointer, bytes);
}

void atomic_end(void* pointer, const void* value, unsigned bytes) {
  if (std::memcmp(pointer, value, bytes) != 0) machine().spins = 0;
  std::memcpy(pointer, value, bytes);
}

void async_copy(void* shared, const void* global, std::size_t bytes, std::size_t zeros, Site site) {
  require_copy(shared, global, bytes, zeros, site);
  check(shared, bytes, Touch::write, UNROLL_CALLER);
  std::memset(shared, 0xff, bytes);
  if (kernels_have_checks()) {
    Region& to = *region_at(shared);
    to.shadow.set_written(to.offset(address_of(shared)), bytes, false);
  }
  running->copies.push_back({static_cast<unsigned char*>(shared),
                             static_cast<const unsigned char*>(global), unsigned(bytes),
                             unsigned(zeros)});
}

void fence() {
  yield();
  if (kernels_have_checks()) gather_facts();
}

void async_commit() { running->groups.push_back(running->copies.size()); }

void async_wait(std::size_t keep) {
  Thread& t = *running;
  if (t.groups.size() <= keep) return;
  const std::size_t groups = t.groups.size() - keep, copies = t.groups[groups - 1];
  for (std::size_t i = 0; i < copies; i++) make_copy(t.copies[i], UNROLL_CALLER);
  t.copies.erase(t.copies.begin(), t.copies.begin() + std::ptrdiff_t(copies));
  t.groups.erase(t.groups.begin(), t.groups.begin() + std::ptrdiff_t(groups));
  for (std::size_t& end : t.groups) end -= copies;
}

float perturbed(float x, int ulps) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  const std::uint32_t magnitude = bits & 0x7fffffffu;
  const auto by = int(magnitude * 0x9E3779B9u >> 16) % (2 * ulps + 1) - ulps;
  const bool safe = magnitude > 0x00800000u + 8 && magnitude < 0x7f800000u - 8;
  return safe ? std::bit_cast<float>(bits + std::uint32_t(by)) : x;
}

}  // namespace unroll::sim::device
