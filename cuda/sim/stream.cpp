#include "cuda/sim/stream.h"

#include <algorithm>
#include <cstring>
#include <deque>

#include "cuda/sim/check.h"
#include "cuda/sim/guard.h"
#include "cuda/sim/machine.h"

namespace unroll::sim::detail {
namespace {

struct Step {
  const char* name;
  std::function<void()> run;  // empty: an event only
  int records = -1;           // event that passes here
  int waits = -1;             // event that must have passed
  StreamClock host;           // what the host had seen when it queued this
};

struct Queue {
  bool dropped = false;
  std::deque<Step> steps;
  StreamClock clock;
};

struct EventState {
  bool passed = false;
  StreamClock clock;
};

struct Streams {
  std::deque<Queue> queues{Queue{}};
  std::deque<EventState> events;
  StreamClock host;
};
Streams& streams() {
  static Streams& s = *new Streams;
  return s;
}

void join(StreamClock& clock, const StreamClock& other) {
  if (clock.size() < other.size()) clock.resize(other.size(), 0);
  for (std::size_t i = 0; i < other.size(); i++) clock[i] = std::max(clock[i], other[i]);
}

void advance(Queue& queue, std::size_t number) {
  if (queue.clock.size() <= number) queue.clock.resize(number + 1, 0);
  queue.clock[number]++;
}

Queue* find(const Stream& stream) {
  auto& queues = streams().queues;
  const bool there = stream.id >= 0 && std::size_t(stream.id) < queues.size() &&
                     !queues[std::size_t(stream.id)].dropped;
  if (!there) note(Fault::misuse, "stream " + std::to_string(stream.id) + " does not exist");
  return there ? &queues[std::size_t(stream.id)] : nullptr;
}

bool can_run(const Queue& queue) {
  if (queue.steps.empty()) return false;
  const int event = queue.steps.front().waits;
  return event < 0 || streams().events[std::size_t(event)].passed;
}

void run_step(std::size_t number) {
  Queue& queue = streams().queues[number];
  const Step step = std::move(queue.steps.front());
  queue.steps.pop_front();
  join(queue.clock, step.host);
  if (step.waits >= 0) join(queue.clock, streams().events[std::size_t(step.waits)].clock);
  advance(queue, number);
  if (step.run) {
    begin_operation(int(number), queue.clock, step.name);
    step.run();
  }
  if (step.records >= 0) streams().events[std::size_t(step.records)] = {true, queue.clock};
}

// The stream whose step comes next, or -1.
int choose() {
  const Order order = machine().options.order;
  auto& queues = streams().queues;
  int chosen = -1;
  std::uint64_t found = 0;
  for (std::size_t i = 0; i < queues.size(); i++) {
    if (!can_run(queues[i])) continue;
    found++;
    const bool take = order == Order::reverse ||
                      (order == Order::forward ? found == 1 : machine().random.below(found) == 0);
    if (take) chosen = int(i);
  }
  return chosen;
}

// What is left after a report makes no sense.
void drop_all() {
  for (Queue& q : streams().queues) q.steps.clear();
  for (EventState& e : streams().events) e.passed = true;
}

template <class Done>
void run_until(Done done) {
  install_guard();
  while (!machine().report && !done()) {
    const int next = choose();
    if (next < 0) break;
    run_step(std::size_t(next));
  }
  close_all();
  if (machine().report) drop_all();
  throw_noted();
}

const char* at(const Region& r, const void* p, std::size_t bytes) {
  if (r.freed) return "which was freed";
  return r.holds(reinterpret_cast<std::uintptr_t>(p), bytes) ? nullptr : "which is too small";
}

// The allocation behind a pointer, null for host memory; notes one that does not hold the bytes.
Region* side(const char* op, const void* p, std::size_t bytes, Site site) {
  Region* r = region_at(p);
  if (r == nullptr) return nullptr;
  if (const char* wrong = at(*r, p, bytes))
    note(r->freed ? Fault::use_after_free : Fault::out_of_bounds,
         std::string(op) + " of " + std::to_string(bytes) + " bytes at byte " +
             std::to_string(static_cast<const unsigned char*>(p) - r->begin) + " of " + text(*r) +
             ", " + wrong + ", at " + text(site));
  return r;
}

void copy_now(Region* to_region, void* to, Region* from_region, const void* from,
              std::size_t bytes) {
  const auto offset = [](const Region* r, const void* p) {
    return r->offset(reinterpret_cast<std::uintptr_t>(p));
  };
  if (from_region != nullptr) {
    open(*from_region);
    check_host_access(*from_region, offset(from_region, from), bytes, Touch::read);
  }
  if (to_region != nullptr) {
    open(*to_region);
    check_host_access(*to_region, offset(to_region, to), bytes, Touch::write);
    if (from_region != nullptr && kernels_have_checks())
      to_region->shadow.copy_written(offset(to_region, to), from_region->shadow,
                                     offset(from_region, from), bytes);
  }
  std::memmove(to, from, bytes);
}

}  // namespace

void queue_step(const Stream& stream, const char* name, std::function<void()> run) {
  if (Queue* queue = find(stream))
    queue->steps.push_back({.name = name, .run = std::move(run), .host = streams().host});
}

}  // namespace unroll::sim::detail

namespace unroll::sim {

using namespace detail;

void memcpy(void* to, const void* from, std::size_t bytes, const Stream& stream, Site site) {
  const std::lock_guard lock(machine().mutex);
  if (bytes == 0) return;
  Region *to_region = side("memcpy", to, bytes, site),
         *from_region = side("memcpy", from, bytes, site);
  if (machine().report) return;
  // The host can tell too early from in time.
  if (to_region == nullptr && from_region != nullptr) std::memset(to, 0xff, bytes);
  queue_step(stream, "memcpy", [=] { copy_now(to_region, to, from_region, from, bytes); });
}

void memcpy(void* to, const void* from, std::size_t bytes, Site site) {
  memcpy(to, from, bytes, Stream{}, site);
  synchronize(Stream{});
}

void memset(void* to, int byte, std::size_t bytes, const Stream& stream, Site site) {
  const std::lock_guard lock(machine().mutex);
  if (bytes == 0) return;
  Region* region = side("memset", to, bytes, site);
  if (region == nullptr)
    note(Fault::host_pointer, "memset of memory that is not the device's, at " + text(site));
  if (machine().report) return;
  queue_step(stream, "memset", [=] {
    open(*region);
    check_host_access(*region, region->offset(reinterpret_cast<std::uintptr_t>(to)), bytes,
                      Touch::write);
    std::memset(to, byte, bytes);
  });
}

Stream make_stream() {
  const std::lock_guard lock(machine().mutex);
  auto& queues = streams().queues;
  const auto free =
      std::find_if(queues.begin(), queues.end(), [](const Queue& q) { return q.dropped; });
  if (free != queues.end()) {
    free->dropped = false;
    return {int(free - queues.begin())};
  }
  queues.emplace_back();
  return {int(queues.size()) - 1};
}

void drop(const Stream& stream) {
  const std::lock_guard lock(machine().mutex);
  synchronize(stream);
  if (stream.id == 0) throw Failure(Fault::misuse, "sim: the default stream cannot be dropped");
  find(stream)->dropped = true;
}

Event record(const Stream& stream) {
  const std::lock_guard lock(machine().mutex);
  Queue* queue = find(stream);
  if (queue == nullptr) return {};
  auto& events = streams().events;
  events.emplace_back();
  const int id = int(events.size()) - 1;
  queue->steps.push_back({.name = "event", .records = id, .host = streams().host});
  return {id};
}

void wait(const Stream& stream, const Event& event) {
  const std::lock_guard lock(machine().mutex);
  Queue* queue = find(stream);
  if (queue == nullptr || event.id < 0) return;
  queue->steps.push_back({.name = "wait", .waits = event.id, .host = streams().host});
}

bool passed(const Event& event) {
  const std::lock_guard lock(machine().mutex);
  if (event.id < 0) return true;
  const EventState& state = streams().events[std::size_t(event.id)];
  bool asked = false;
  run_until([&] { return state.passed || std::exchange(asked, true); });
  if (state.passed) join(streams().host, state.clock);
  return state.passed;
}

void synchronize(const Stream& stream) {
  const std::lock_guard lock(machine().mutex);
  Queue* queue = find(stream);
  run_until([&] { return queue->steps.empty(); });
  join(streams().host, queue->clock);
}

void synchronize(const Event& event) {
  const std::lock_guard lock(machine().mutex);
  if (event.id < 0) return check();
  const EventState& state = streams().events[std::size_t(event.id)];
  run_until([&] { return state.passed; });
  join(streams().host, state.clock);
}

void synchronize() {
  const std::lock_guard lock(machine().mutex);
  auto& queues = streams().queues;
  run_until([&] {
    return std::all_of(queues.begin(), queues.end(),
                       [](const Queue& q) { return q.steps.empty(); });
  });
  for (const Queue& queue : queues) join(streams().host, queue.clock);
}

void check() {
  const std::lock_guard lock(machine().mutex);
  if (machine().report) drop_all();
  throw_noted();
}

void hold(const Failure& failure) noexcept {
  const std::lock_guard lock(machine().mutex);
  const std::string prefix = std::string("sim: ") + name(failure.kind()) + ": ";
  const std::string what = failure.what();
  note(failure.kind(), what.starts_with(prefix) ? what.substr(prefix.size()) : what);
}

}  // namespace unroll::sim
