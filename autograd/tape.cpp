#include "autograd/tape.h"

#include <algorithm>
#include <bit>
#include <memory>
#include <string>
#include <vector>

#include "autograd/log.h"
#include "autograd/ops.h"
#include "autograd/parameters.h"
#include "autograd/record.h"
#include "core/view.h"

namespace unroll {

using detail::Log;
using detail::Record;
using detail::SweepCell;
using detail::SweepTable;
using detail::thread_state;

// One sweep's claim on the tape's bit and on a table; both are given back however it ends.
struct Tape::Access {
  Access(const Tape& tape, const char* name)
      : bit(tape.bit_),
        log(tape.usable_log(name)),
        op(name),
        begin(tape.start_),
        end(log.records.size()),
        table(&log.open_table()) {
    thread_state.sweeping |= bit;
  }
  ~Access() {
    log.close_table();
    thread_state.sweeping &= ~bit;
  }

  bool sees(const Record& record) const { return record.mask & bit; }

  // Marks what depends on a wanted tensor, and which wanted tensors occur at all.
  void find_active() {
    for (std::size_t i = begin; i < end; i++) {
      const Record& r = log.records[i];
      if (!sees(r)) continue;
      bool any = false;
      for (int k = 0; k < r.inputs; k++) {
        const std::int32_t slot = log.args[r.first_arg + k];
        if (slot < 0 || !table->has(slot)) continue;
        SweepCell& cell = (*table)[slot];
        cell.is.seen = true;
        any |= cell.is.active;
      }
      for (int k = 0; k < r.outputs; k++) {
        const std::int32_t slot = r.first_output + k;
        if (any) (*table)[slot].is.active = true;
        if (table->has(slot)) (*table)[slot].is.seen = (*table)[slot].is.made = true;
      }
    }
  }

  // Each sweep names its x and y before find_active, so that it learns which of them occur.
  void want(const Tensor& x) { cell(x).is.active = cell(x).is.wanted = true; }
  SweepCell& cell(const Tensor& x) { return (*table)[log.slot_of(x)]; }

  // An x that is also a y has the derivative 1 by itself.
  void require_seen(const Tensors& xs) {
    for (const Tensor& t : xs)
      if (!cell(t).is.seen)
        fail(op, "x of shape " + to_string(t.shape()) + " never appeared under this tape");
  }
  void require_made(const Tensors& ys, const char* what = "y") {
    for (const Tensor& t : ys) {
      SweepCell& c = cell(t);
      if (!c.is.made && !c.is.wanted)
        fail(op, std::string(what) + " of shape " + to_string(t.shape()) +
                     " was not made under this tape");
      c.is.seen = true;
    }
  }

  // A rule must find what it saved unchanged.
  void require_unchanged(const Record& r) const {
    if (!r.rule) fail(op, "part of this recording was already consumed by backward()");
    if (r.versions != r.table->versions(r.rule))
      fail(op, std::string("a tensor that ") + r.table->name +
                   " saved was changed in place after it was recorded; recompute before sweeping");
  }

  void run_back(bool consume) {
    for (std::size_t i = end; i-- > begin;) {
      const Record r = log.records[i];  // a copy: the log may grow under a recorded sweep
      if (!sees(r)) continue;
      if (has_cotangent(r)) {
        require_unchanged(r);
        take_cotangents(r);
        Pullback pullback(*table, r);
        r.table->pull(r.rule, pullback);
        for (int k = 0; k < r.outputs; k++) table->current[k] = Tensor();
      }
      if (consume && r.mask == bit) log.destroy_rule(i);
    }
  }

  void run_forward() {
    for (std::size_t i = begin; i < end; i++) {
      const Record r = log.records[i];
      if (!sees(r) || !has_tangent(r)) continue;
      require_unchanged(r);
      Pushforward pushforward(*table, r);
      r.table->push(r.rule, pushforward);
    }
  }

  bool has_cotangent(const Record& r) const {
    for (int k = 0; k < r.outputs; k++) {
      const std::int32_t slot = r.first_output + k;
      if (table->has(slot) && (*table)[slot].is.active && (*table)[slot].value) return true;
    }
    return false;
  }

  // Nothing earlier adds to these any more: move them out, so that rules may reuse their memory.
  void take_cotangents(const Record& r) {
    if (static_cast<int>(table->current.size()) < r.outputs) table->current.resize(r.outputs);
    for (int k = 0; k < r.outputs; k++) {
      const std::int32_t slot = r.first_output + k;
      if (!table->has(slot)) continue;
      SweepCell& cell = (*table)[slot];
      table->current[k] = cell.is.wanted ? cell.value : std::move(cell.value);
    }
  }

  bool has_tangent(const Record& r) const {
    for (int k = 0; k < r.inputs; k++) {
      const std::int32_t slot = log.args[r.first_arg + k];
      if (slot >= 0 && table->has(slot) && (*table)[slot].value) return true;
    }
    return false;
  }

  std::uint32_t bit;
  Log& log;
  const char* op;
  std::size_t begin, end;
  SweepTable* table;
};

namespace {

void require_defined(const char* op, const Tensors& tensors, const char* what) {
  for (const Tensor& t : tensors)
    if (!t) fail(op, std::string(what) + " is an undefined tensor");
}

// The number of directions in d, -1 for none. Throws unless d has x's shape or a leading axis more.
std::int64_t directions(const char* op, const Tensor& d, const Tensor& x, const char* what) {
  if (d.dtype() != x.dtype())
    fail(op,
         std::string(what) + " is " + name(d.dtype()) + " but its tensor is " + name(x.dtype()));
  if (d.shape() == x.shape()) return -1;
  if (d.rank() == x.rank() + 1) {
    Shape inner = d.shape();
    inner.erase(0);
    if (inner == x.shape()) return d.shape()[0];
  }
  fail(op, std::string(what) + " is " + to_string(d.shape()) + " but its tensor is " +
               to_string(x.shape()) + ": give that shape, or [K] before it");
}

// All given directions must have the same leading axis.
std::int64_t common_directions(const char* op, const Tensors& d, const Tensors& x,
                               const char* what) {
  if (d.size() != x.size())
    fail(op,
         std::to_string(d.size()) + " " + what + "s for " + std::to_string(x.size()) + " tensors");
  std::int64_t common = -2;
  for (std::size_t i = 0; i < d.size(); i++) {
    if (!d[i]) continue;
    const std::int64_t k = directions(op, d[i], x[i], what);
    if (common != -2 && k != common)
      fail(op, std::string("all ") + what + "s must have the same leading axis of directions");
    common = k;
  }
  if (common == -2) fail(op, std::string("every ") + what + " is undefined");
  return common;
}

Tensor zero_direction(const Tensor& x, std::int64_t directions) {
  Shape shape = x.shape();
  if (directions >= 0) shape.insert(0, directions);
  return zeros(shape, x.dtype(), x.device());
}

}  // namespace

Tape::Tape() {
  if (!thread_state.log) detail::make_log();
  auto& state = thread_state;
  const std::uint32_t free_bits = ~state.live;
  if (!free_bits) fail("tape", "more than 32 tapes are live in this thread");
  bit_ = 1u << std::countr_zero(free_bits);
  if (!state.live) state.log->open();
  log_ = state.log;
  start_ = state.log->start[std::countr_zero(bit_)] = state.log->records.size();
  state.live |= bit_;
}

Tape::~Tape() {
  auto& state = thread_state;
  state.live &= ~bit_;
  state.muted &= ~bit_;
  state.log->pop_dead(state.live);
  if (!state.live) state.log->close();
}

detail::Log& Tape::usable_log(const char* op) const {
  if (log_ != thread_state.log) fail(op, "a tape belongs to the thread that made it");
  if (thread_state.sweeping & bit_) fail(op, "a sweep of this tape is already running");
  if (consumed_) fail(op, "backward() consumed this tape; record again, or use pull()");
  return *thread_state.log;
}

std::size_t Tape::size() const {
  const auto& records = log_->records;
  return std::count_if(records.begin() + static_cast<std::ptrdiff_t>(start_), records.end(),
                       [&](const Record& r) { return r.mask & bit_; });
}

Tensors Tape::pull(const Tensor& y, const Tensor& u, const Tensors& x) {
  return pull(Tensors{y}, Tensors{u}, x);
}

Tensors Tape::pull(const Tensors& ys, const Tensors& us, const Tensors& x) {
  require_defined("pull", ys, "y");
  require_defined("pull", x, "x");
  const std::int64_t K = common_directions("pull", us, ys, "cotangent");
  Access sweep(*this, "pull");
  for (const Tensor& t : x) sweep.want(t);
  for (const Tensor& t : ys) sweep.cell(t);
  sweep.find_active();
  sweep.require_made(ys);
  sweep.require_seen(x);
  if (K != 0) {
    for (std::size_t i = 0; i < ys.size(); i++) {
      Tensor& value = sweep.cell(ys[i]).value;
      if (us[i]) value = value ? add(value, us[i]) : us[i];
    }
    sweep.run_back(false);
  }
  Tensors result;
  result.reserve(x.size());
  for (const Tensor& t : x) {
    const Tensor& value = sweep.cell(t).value;
    result.push_back(value ? value : zero_direction(t, K));
  }
  return result;
}

Tensor Tape::pull(const Tensor& y, const Tensor& u, const Parameters& parameters) {
  Tensors appeared, pieces;
  require_defined("pull", {y, u}, "y or its cotangent");
  {
    Access sweep(*this, "pull");
    for (const Tensor& p : parameters.tensors()) sweep.want(p);
    sweep.cell(y);
    sweep.find_active();
    sweep.require_made({y});
    for (const Tensor& p : parameters.tensors())
      if (sweep.cell(p).is.seen) appeared.push_back(p);
  }
  const std::int64_t K = directions("pull", u, y, "cotangent");
  if (parameters.tensors().empty())
    return zeros(K >= 0 ? Shape{K, 0} : Shape{0}, y.dtype(), y.device());
  const Tensors found = appeared.empty() ? Tensors{} : pull(y, u, appeared);
  std::size_t next = 0;
  for (const Tensor& p : parameters.tensors()) {
    const bool hit = next < appeared.size() && appeared[next].id() == p.id();
    const Tensor d = hit ? found[next++] : zero_direction(p, K);
    pieces.push_back(reshape(d, K >= 0 ? Shape{K, p.numel()} : Shape{p.numel()}));
  }
  return cat(pieces, -1);
}

void Tape::backward(const Tensor& loss, Parameters& parameters) {
  if (!loss) fail("backward", "loss is an undefined tensor");
  if (loss.numel() != 1)
    fail("backward", "loss has shape " + to_string(loss.shape()) + ", not one element");
  Access sweep(*this, "backward");
  if (is_recording())
    fail("backward", "an outer tape is recording and cannot see sums in place; use pull()");
  for (const Tensor& p : parameters.tensors()) sweep.want(p);
  sweep.cell(loss);
  sweep.find_active();
  sweep.require_made({loss}, "loss");
  const Tensors& gradients = parameters.gradient_views();
  for (std::size_t i = 0; i < gradients.size(); i++) {
    SweepCell& cell = sweep.cell(parameters.tensors()[i]);
    cell.value = gradients[i];
    cell.is.in_place = true;
  }
  const Tensor one = ones(loss.shape(), loss.dtype(), loss.device());
  Tensor& start = sweep.cell(loss).value;  // not empty where the loss is itself a parameter
  if (start)
    detail::add_into(start, one);
  else
    start = one;
  consumed_ = true;
  sweep.run_back(true);
}

Tensor Tape::push(const Tensors& x, const Tensors& v, const Tensor& y) {
  return push(x, v, Tensors{y})[0];
}

Tensors Tape::push(const Tensors& x, const Tensors& v, const Tensors& ys) {
  require_defined("push", ys, "y");
  require_defined("push", x, "x");
  const std::int64_t K = common_directions("push", v, x, "tangent");
  Access sweep(*this, "push");
  for (const Tensor& t : x) sweep.want(t);
  for (const Tensor& t : ys) sweep.cell(t);
  sweep.find_active();
  sweep.require_made(ys);
  sweep.require_seen(x);
  if (K != 0) {
    for (std::size_t i = 0; i < x.size(); i++) {
      Tensor& value = sweep.cell(x[i]).value;
      if (v[i]) value = value ? add(value, v[i]) : v[i];
    }
    sweep.run_forward();
  }
  Tensors result;
  result.reserve(ys.size());
  for (const Tensor& y : ys) {
    const Tensor& value = sweep.cell(y).value;
    result.push_back(value ? value : zero_direction(y, K));
  }
  return result;
}

namespace {

// True where a sum may go on in the memory it has: nobody else sees it and nothing records.
bool may_write(const SweepCell& cell, const Shape& shape) {
  return !is_recording() && (cell.is.in_place || cell.value.is_sole_owner()) &&
         cell.value.shape() == shape && cell.value.is_contiguous();
}

}  // namespace

// ---- what rules see

const Tensor& Pullback::cotangent(int output) const { return table_.current[output]; }

bool Pullback::wants(int input) const {
  const std::int32_t slot = thread_state.log->args[record_.first_arg + input];
  return slot >= 0 && table_.has(slot) && table_[slot].is.active;
}

Device Pullback::device_of_cotangents() const {
  int k = 0;
  while (!table_.current[k]) k++;
  return table_.current[k].device();
}

void Pullback::add(int input, Tensor d) {
  if (!wants(input)) return;
  SweepCell& cell = table_[thread_state.log->args[record_.first_arg + input]];
  if (!cell.value)
    cell.value = std::move(d);
  else if (cell.is.lent && cell.value.node() == d.node())
    cell.is.lent = false;  // a kernel has added into it already
  else if (may_write(cell, d.shape()))
    detail::add_into(cell.value, d);
  else
    cell.value = unroll::add(cell.value, d);
}

Pullback::Target Pullback::target(int input, const Shape& shape, Dtype dtype) {
  SweepCell& cell = table_[thread_state.log->args[record_.first_arg + input]];
  Tensor& value = cell.value;
  // Not twice to one kernel: an operand that stands in two places has a sum for each.
  if (value && !cell.is.lent && may_write(cell, shape)) {
    cell.is.lent = true;
    return {value, 1};
  }
  return {empty(shape, dtype, device_of_cotangents()), 0};
}

const Tensor& Pushforward::tangent(int input) const {
  static const Tensor zero;
  const std::int32_t slot = thread_state.log->args[record_.first_arg + input];
  return slot >= 0 && table_.has(slot) ? table_[slot].value : zero;
}

void Pushforward::set(int output, Tensor d) {
  SweepCell& cell = table_[record_.first_output + output];
  // An x that was made under the tape: what comes through its op adds to its own tangent, as the
  // transpose of pull.
  cell.value = cell.is.wanted && cell.value ? unroll::add(cell.value, d) : std::move(d);
}

}  // namespace unroll
