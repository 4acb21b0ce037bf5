#include "cuda/sim/memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <map>
#include <memory>

#include "cuda/sim/check.h"
#include "cuda/sim/machine.h"

namespace unroll::sim::detail {
namespace {

constexpr unsigned char new_byte = 0xff, slack_byte = 0xc5;
constexpr std::size_t freed_kept = 4096;  // allocations, after which the oldest is unmapped

struct Memory {
  std::map<std::uintptr_t, std::unique_ptr<Region>> regions;  // by the address of the lower guard
  std::vector<Region*> opened;
  std::deque<Region*> freed;
  std::map<std::size_t, std::vector<Region*>> shared;            // not in use, by page_bytes
  std::array<std::pair<std::uintptr_t, Region*>, 256> recent{};  // by page, what region_at() found
  Usage usage;
};
Memory& memory() {
  static Memory& m = *new Memory;
  return m;
}

std::uintptr_t lower_guard(const Region& r) {
  return reinterpret_cast<std::uintptr_t>(r.pages) - Region::guard;
}

// The request lies at the end of its pages, so that what runs over it soon meets the guard.
void place(Region& r, std::size_t bytes, std::size_t alignment) {
  const std::size_t padded = (bytes + alignment - 1) / alignment * alignment;
  r.begin = r.pages + (r.page_bytes - padded);
  r.bytes = bytes;
  std::memset(r.pages, slack_byte, r.page_bytes);
  std::memset(r.begin, new_byte, bytes);
  if (kernels_have_checks()) r.shadow.reset(bytes);
}

Region* map_region(Region::Kind kind, std::size_t page_bytes) {
  void* block = mmap(nullptr, page_bytes + 2 * Region::guard, PROT_NONE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (block == MAP_FAILED) return nullptr;
  auto region = std::make_unique<Region>();
  region->kind = kind;
  region->pages = static_cast<unsigned char*>(block) + Region::guard;
  region->page_bytes = page_bytes;
  if (mprotect(region->pages, page_bytes, PROT_READ | PROT_WRITE) != 0) {
    munmap(block, page_bytes + 2 * Region::guard);
    return nullptr;
  }
  Region* r = region.get();
  memory().regions[lower_guard(*r)] = std::move(region);
  return r;
}

void unmap(Region* r) {
  memory().recent.fill({});
  munmap(r->pages - Region::guard, r->page_bytes + 2 * Region::guard);
  memory().regions.erase(lower_guard(*r));
}

std::size_t pages_for(std::size_t bytes, std::size_t alignment) {
  return std::max<std::size_t>(1, (bytes + alignment - 1 + Region::page - 1) / Region::page) *
         Region::page;
}

Region* find(std::uintptr_t address) {
  auto& regions = memory().regions;
  auto next = regions.upper_bound(address);
  if (next == regions.begin()) return nullptr;
  Region* r = std::prev(next)->second.get();
  return address - lower_guard(*r) < r->page_bytes + 2 * Region::guard ? r : nullptr;
}

// Told once, when the program ends.
void report_leaks() {
  const Usage& now = memory().usage;
  if (now.allocations == 0) return;
  for (const auto& [address, r] : memory().regions) {
    if (r->kind != Region::Kind::device || r->freed) continue;
    std::fprintf(
        stderr,
        "sim: leak: %lld of the allocations %s not freed, %lld bytes in all; one was made at %s\n",
        static_cast<long long>(now.allocations), now.allocations == 1 ? "was" : "were",
        static_cast<long long>(now.bytes), text(r->site).c_str());
    return;
  }
}

}  // namespace

Region* region_at(std::uintptr_t address) noexcept {
  auto& slot = memory().recent[address / Region::page % memory().recent.size()];
  if (slot.second != nullptr && slot.first == address / Region::page) return slot.second;
  Region* r = find(address);
  if (r != nullptr) slot = {address / Region::page, r};
  return r;
}

void open(Region& region) {
  if (region.open || region.freed) return;
  mprotect(region.pages, region.page_bytes, PROT_READ | PROT_WRITE);
  region.open = true;
  memory().opened.push_back(&region);
}

void close_all() {
  for (Region* r : memory().opened) {
    if (!r->open) continue;
    check_slack(*r);
    mprotect(r->pages, r->page_bytes, PROT_NONE);
    r->open = false;
  }
  memory().opened.clear();
}

void check_slack(const Region& region) {
  const auto touched = [](unsigned char byte) { return byte != slack_byte; };
  unsigned char* end = region.begin + region.bytes;
  unsigned char* last = region.pages + region.page_bytes;
  unsigned char* bad = std::find_if(end, last, touched);
  if (bad == last) bad = std::find_if(region.pages, region.begin, touched);
  if (bad == region.begin) return;
  note(Fault::out_of_bounds, "something was written at byte " + std::to_string(bad - region.begin) +
                                 " of " + text(region));
  std::fill(region.pages, region.begin, slack_byte);
  std::fill(end, last, slack_byte);
}

std::string text(const Region& region) {
  const char* what = region.kind == Region::Kind::shared ? "a shared array" : "an allocation";
  return std::string(what) + " of " + std::to_string(region.bytes) + " bytes (" +
         text(region.site) + ")";
}

Region* take_shared(std::size_t bytes, std::size_t alignment, std::uint32_t block, Site site) {
  const std::size_t page_bytes = pages_for(bytes, alignment);
  auto& spare = memory().shared[page_bytes];
  Region* r;
  if (spare.empty()) {
    r = map_region(Region::Kind::shared, page_bytes);
    if (r == nullptr) return nullptr;
  } else {
    r = spare.back();
    spare.pop_back();
  }
  r->block = block, r->site = site;
  place(*r, bytes, alignment);
  return r;
}

void give_back_shared(Region* region) {
  check_slack(*region);
  region->block = 0;
  memory().shared[region->page_bytes].push_back(region);
}

}  // namespace unroll::sim::detail

namespace unroll::sim {

using namespace detail;

void* malloc(std::size_t bytes, Site site) {
  static const bool at_exit = std::atexit(report_leaks) == 0;
  static_cast<void>(at_exit);
  const std::lock_guard lock(machine().mutex);
  if (bytes == 0) return nullptr;
  constexpr std::size_t alignment = 256;
  Region* r = map_region(Region::Kind::device, pages_for(bytes, alignment));
  if (r == nullptr)
    unroll::fail(
        "sim", "the system has no memory for an allocation of " + std::to_string(bytes) + " bytes");
  r->site = site;
  place(*r, bytes, alignment);
  mprotect(r->pages, r->page_bytes, PROT_NONE);
  r->open = false;
  Usage& u = memory().usage;
  u.allocations++, u.bytes += std::int64_t(bytes);
  u.peak_bytes = std::max(u.peak_bytes, u.bytes);
  return r->begin;
}

void free(void* pointer) {
  const std::lock_guard lock(machine().mutex);
  synchronize();
  if (pointer == nullptr) return;
  Region* r = region_at(pointer);
  if (r == nullptr || r->kind != Region::Kind::device || r->begin != pointer)
    throw Failure(Fault::misuse, "sim: free: not a pointer that malloc returned");
  if (r->freed)
    throw Failure(Fault::use_after_free, "sim: free: " + text(*r) + " was freed before");
  r->freed = true;
  r->shadow = {};
  madvise(r->pages, r->page_bytes, MADV_DONTNEED);
  Usage& u = memory().usage;
  u.allocations--, u.bytes -= std::int64_t(r->bytes);
  memory().freed.push_back(r);
  if (memory().freed.size() > freed_kept) {
    unmap(memory().freed.front());
    memory().freed.pop_front();
  }
}

Usage usage() noexcept {
  const std::lock_guard lock(machine().mutex);
  return memory().usage;
}

}  // namespace unroll::sim
