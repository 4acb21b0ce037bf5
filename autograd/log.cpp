#include "autograd/log.h"

#include <algorithm>
#include <atomic>
#include <bit>

namespace unroll {
namespace detail {

constinit thread_local ThreadState thread_state{};

void make_log() {
  static thread_local std::unique_ptr<Log> owner;
  owner = std::make_unique<Log>();
  thread_state.log = owner.get();
}

// ---- leaves

std::size_t LeafTable::place(std::uint64_t id) const {
  const std::size_t mask = entries_.size() - 1;
  std::size_t i = (id * 0x9E3779B97F4A7C15u >> 32) & mask;
  while (entries_[i].epoch == epoch_ && entries_[i].id != id) i = (i + 1) & mask;
  return i;
}

std::int32_t LeafTable::find(std::uint64_t id) const {
  if (count_ == 0) return -1;
  const Entry& entry = entries_[place(id)];
  return entry.epoch == epoch_ ? entry.slot : -1;
}

void LeafTable::insert(std::uint64_t id, std::int32_t slot) {
  if (2 * (count_ + 1) > entries_.size()) {
    std::vector<Entry> old = std::exchange(entries_, {});
    entries_.resize(std::max<std::size_t>(64, 2 * old.size()));
    for (const Entry& entry : old)
      if (entry.epoch == epoch_) entries_[place(entry.id)] = entry;
  }
  entries_[place(id)] = {id, epoch_, slot};
  count_++;
}

// ---- log

Log::~Log() { pop_dead(0); }

void Log::open() {
  static std::atomic<std::uint64_t> epochs{1};
  epoch = epochs.fetch_add(1, std::memory_order_relaxed);
}

void Log::close() {
  leaves.clear();
  slots = 0;
  epoch = 0;
}

void Log::destroy_rule(std::size_t i) noexcept {
  Record& r = records[i];
  if (r.rule) r.table->destroy(std::exchange(r.rule, nullptr));
}

void Log::pop_dead(std::uint32_t live) noexcept {
  std::size_t floor = 0;
  for (std::uint32_t rest = live; rest; rest &= rest - 1)
    floor = std::max(floor, start[std::countr_zero(rest)]);
  while (records.size() > floor && !(records.back().mask & live)) {
    destroy_rule(records.size() - 1);
    args.resize(records.back().first_arg);
    records.pop_back();
  }
}

std::int32_t Log::find_slot(const Tensor& x) const {
  const TensorNode* node = x.node();
  return node->epoch == epoch && epoch ? node->slot : leaves.find(node->id);
}

std::int32_t Log::slot_of(const Tensor& x) {
  const std::int32_t known = find_slot(x);
  if (known >= 0) return known;
  leaves.insert(x.id(), slots);
  return slots++;
}

SweepTable& Log::open_table() {
  if (open_tables == tables.size()) tables.push_back(std::make_unique<SweepTable>());
  SweepTable& table = *tables[open_tables++];
  if (static_cast<std::int32_t>(table.cells.size()) < slots) table.cells.resize(slots);
  if (++table.stamp == 0) {  // wrapped: old stamps would look current
    for (SweepCell& cell : table.cells) cell.stamp = 0;
    table.stamp = 1;
  }
  return table;
}

void Log::close_table() noexcept {
  SweepTable& table = *tables[--open_tables];
  for (const std::int32_t slot : table.touched) table.cells[slot].value = Tensor();
  table.touched.clear();
  for (Tensor& t : table.current) t = Tensor();
}

// ---- recording

void append_record(const RuleTable& table, void* rule, std::span<const Tensor* const> inputs,
                   std::span<Tensor* const> outputs) {
  std::uint32_t mask = thread_state.recorders();
  if (!mask) return table.destroy(rule);
  Log& log = *thread_state.log;
  const auto defined = [](const Tensor* t) { return t && *t; };
  if (log.capture && (mask & log.capture->mask_)) {
    for (const Tensor* t : inputs)
      if (defined(t)) log.capture->collect(*t);
    mask &= ~log.capture->mask_;
  }
  Record record{&table,
                rule,
                table.versions(rule),
                mask,
                0,
                std::int32_t(log.args.size()),
                std::int32_t(outputs.size()),
                std::int32_t(inputs.size())};
  if (mask)
    for (const Tensor* t : inputs) log.args.push_back(defined(t) ? log.slot_of(*t) : -1);
  record.first_output = log.slots;
  for (Tensor* t : outputs) {
    t->node()->epoch = log.epoch;
    t->node()->slot = log.slots++;
  }
  if (mask)
    log.records.push_back(record);
  else
    table.destroy(rule);
}

// ---- capture

Capture::Capture()
    : outer_(thread_state.log->capture),
      mask_(thread_state.recorders()),
      base_(thread_state.log->slots) {
  thread_state.log->capture = this;
}

Capture::~Capture() { thread_state.log->capture = outer_; }

void Capture::collect(const Tensor& input) {
  if (made(input) || !is_real(input.dtype())) return;
  for (const Tensor& t : free_)
    if (t.id() == input.id()) return;
  free_.push_back(input);
}

bool Capture::made(const Tensor& x) const {
  return x.node()->epoch == thread_state.log->epoch && x.node()->slot >= base_;
}

Tensors Capture::take() { return std::exchange(free_, {}); }

}  // namespace detail

NoTape::NoTape() : muted_before_(detail::thread_state.muted) {
  detail::thread_state.muted |= detail::thread_state.live;
}

NoTape::~NoTape() { detail::thread_state.muted = muted_before_ & detail::thread_state.live; }

bool is_recording() noexcept { return detail::thread_state.recorders() != 0; }

}  // namespace unroll
