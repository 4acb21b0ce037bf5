#include "core/memory.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstdlib>
#include <mutex>
#include <string>

#include "core/error.h"
#ifdef __linux__
#include <sys/mman.h>
#endif

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define UNROLL_BYPASS_POOL 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || \
    __has_feature(memory_sanitizer)
#define UNROLL_BYPASS_POOL 1
#endif
#endif
#ifndef UNROLL_BYPASS_POOL
#define UNROLL_BYPASS_POOL 0
#endif

namespace unroll::memory {
namespace {

constexpr bool kBypass = UNROLL_BYPASS_POOL;
constexpr std::size_t kAlign = 64;
constexpr int kClasses = 4 * 44;
// A thread keeps at most this much of one class before it hands blocks to the centre.
constexpr std::size_t kThreadBytes = std::size_t{8} << 20;

// Classes 0..3 hold 1..4 units of 64 bytes; from there on each octave has four classes, of 5, 6, 7
// and 8 parts: 5..8, 10..16, 20..32 units and so on.
std::size_t class_units(int c) { return c < 4 ? c + 1 : std::size_t(5 + c % 4) << (c / 4 - 1); }

int class_of(std::size_t bytes) {
  const std::size_t units = std::max<std::size_t>(1, (bytes + kAlign - 1) / kAlign);
  if (units <= 4) return static_cast<int>(units) - 1;
  const int octave = std::bit_width(units - 1) - 3;  // units in (4 << octave, 8 << octave]
  return 4 * (octave + 1) + static_cast<int>((units - 1) >> octave) - 4;
}

struct Block {
  Block* next;
};

struct List {
  Block* head = nullptr;
  std::size_t count = 0;

  void push(void* p) noexcept {
    head = new (p) Block{head};
    count++;
  }
  void* pop() noexcept {
    Block* p = head;
    head = p->next;
    count--;
    return p;
  }
};

struct Centre {
  std::mutex mutex;
  List lists[kClasses];
};

// Never destroyed: tensors with static storage may outlive every other static object.
Centre& centre() {
  static Centre* const instance = new Centre;
  return *instance;
}

// What the system gave; the pool holds what of it is not live.
std::atomic<std::int64_t> live{0}, peak{0}, reserved{0};

struct ThreadCache {  // trivially destructible; emptied by the guard below when the thread ends
  List lists[kClasses];
  bool closed;
};
constinit thread_local ThreadCache cache{};

void flush(List& list, int c, std::size_t keep) noexcept {
  Centre& shared = centre();
  const std::lock_guard lock(shared.mutex);
  while (list.count > keep) shared.lists[c].push(list.pop());
}

struct CacheGuard {
  bool armed = false;
  ~CacheGuard() {
    cache.closed = true;
    for (int c = 0; c < kClasses; c++)
      if (cache.lists[c].head) flush(cache.lists[c], c, 0);
  }
};
thread_local CacheGuard guard;

// Large blocks ask for huge pages: a sweep over them then seldom waits for a page table.
void* aligned_block(std::size_t bytes) noexcept {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
  constexpr std::size_t page = std::size_t{2} << 20;
  if (bytes >= 2 * page) {
    void* p = nullptr;
    if (posix_memalign(&p, page, bytes) != 0) return nullptr;
    madvise(p, bytes / page * page, MADV_HUGEPAGE);  // advice: without it the block works as well
    return p;
  }
#endif
  return std::aligned_alloc(kAlign, bytes);
}

void* system_allocate(std::size_t bytes, std::size_t counted) {
  void* p = aligned_block(bytes);
  if (!p) fail("memory", "cannot allocate " + std::to_string(bytes) + " bytes");
  reserved.fetch_add(static_cast<std::int64_t>(counted), std::memory_order_relaxed);
  return p;
}

void system_free(void* p, std::size_t counted) noexcept {
  reserved.fetch_sub(static_cast<std::int64_t>(counted), std::memory_order_relaxed);
  std::free(p);
}

void count_live(std::int64_t bytes) noexcept {
  const std::int64_t now = live.fetch_add(bytes, std::memory_order_relaxed) + bytes;
  std::int64_t top = peak.load(std::memory_order_relaxed);
  while (now > top && !peak.compare_exchange_weak(top, now, std::memory_order_relaxed)) {
  }
}

void* from_centre(int c, std::size_t bytes) {
  {
    Centre& shared = centre();
    const std::lock_guard lock(shared.mutex);
    if (shared.lists[c].head) return shared.lists[c].pop();
  }
  guard.armed = true;  // first use in this thread registers the destructor
  return system_allocate(bytes, bytes);
}

}  // namespace

void* allocate(std::size_t bytes) {
  if (bytes > (std::size_t{1} << 46))
    fail("memory", "cannot allocate " + std::to_string(bytes) + " bytes");
  const int c = class_of(bytes);
  const std::size_t size = class_units(c) * kAlign;
  void* p;
  if (kBypass) {
    // The exact size, so that the sanitizer sees the first byte past the end.
    p = system_allocate((std::max<std::size_t>(bytes, 1) + kAlign - 1) / kAlign * kAlign, size);
  } else if (cache.lists[c].head) {
    p = cache.lists[c].pop();
  } else {
    p = from_centre(c, size);
  }
  count_live(static_cast<std::int64_t>(size));
  return p;
}

void deallocate(void* block, std::size_t bytes) noexcept {
  if (!block) return;
  const int c = class_of(bytes);
  const std::size_t size = class_units(c) * kAlign;
  live.fetch_sub(static_cast<std::int64_t>(size), std::memory_order_relaxed);
  if (kBypass) return system_free(block, size);
  List& list = cache.lists[c];
  list.push(block);
  guard.armed = true;
  if (cache.closed) return flush(list, c, 0);
  const std::size_t limit = std::max<std::size_t>(2, kThreadBytes / size);
  if (list.count > limit) flush(list, c, limit / 2);
}

Stats stats() noexcept {
  const std::int64_t used = live.load(std::memory_order_relaxed);
  return {used, peak.load(std::memory_order_relaxed),
          reserved.load(std::memory_order_relaxed) - used};
}

void reset_peak() noexcept {
  peak.store(live.load(std::memory_order_relaxed), std::memory_order_relaxed);
}

void trim() noexcept {
  Centre& shared = centre();
  for (int c = 0; c < kClasses; c++) {
    flush(cache.lists[c], c, 0);
    const std::lock_guard lock(shared.mutex);
    while (shared.lists[c].head) system_free(shared.lists[c].pop(), class_units(c) * kAlign);
  }
}

}  // namespace unroll::memory
