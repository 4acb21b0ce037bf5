// The thread's log of records and the tables of its sweeps. Private to autograd/{tape,log}.cpp.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "autograd/record.h"
#include "core/tensor.h"

namespace unroll::detail {

struct Record {
  const RuleTable* table;
  void* rule;              // null once consumed
  std::uint64_t versions;  // of what the rule saved, when it was recorded
  std::uint32_t mask;      // the tapes that see it
  std::int32_t first_output, first_arg;
  std::int32_t outputs, inputs;
};

/// The cells of one sweep, by slot. Stamped, so that opening one costs nothing however long the
/// log is; a cell counts only while it carries the current stamp.
struct SweepTable {
  bool has(std::int32_t slot) const { return cells[slot].stamp == stamp; }
  SweepCell& operator[](std::int32_t slot) {
    if (slot >= static_cast<std::int32_t>(cells.size())) cells.resize(slot + 1);
    SweepCell& cell = cells[slot];
    if (cell.stamp != stamp) {  // its value was dropped when that sweep's table closed
      cell.stamp = stamp;
      cell.is = {};
      touched.push_back(slot);
    }
    return cell;
  }
  const SweepCell& operator[](std::int32_t slot) const { return cells[slot]; }

  std::vector<SweepCell> cells;
  std::vector<std::int32_t> touched;
  Tensors current;  // cotangents of the outputs of the record being pulled
  std::uint32_t stamp = 0;
};

/// Birth numbers of tensors that came from outside the log -> slots. Open addressing; emptied by
/// a new epoch.
class LeafTable {
 public:
  /// The slot of `id`, or -1.
  std::int32_t find(std::uint64_t id) const;
  void insert(std::uint64_t id, std::int32_t slot);
  void clear() noexcept { epoch_++, count_ = 0; }

 private:
  struct Entry {
    std::uint64_t id = 0, epoch = 0;
    std::int32_t slot = 0;
  };
  std::size_t place(std::uint64_t id) const;
  std::vector<Entry> entries_;
  std::uint64_t epoch_ = 1;
  std::size_t count_ = 0;
};

struct Log {
  ~Log();
  void open();   // a first tape
  void close();  // no tape is left
  /// Frees the records at the end that no live tape sees, down to where the last of them began.
  void pop_dead(std::uint32_t live) noexcept;
  void destroy_rule(std::size_t record) noexcept;

  /// The slot of a tensor, -1 if it has none yet; slot_of makes one.
  std::int32_t find_slot(const Tensor& x) const;
  std::int32_t slot_of(const Tensor& x);

  SweepTable& open_table();
  void close_table() noexcept;

  std::vector<Record> records;
  std::vector<std::int32_t> args;  // slots of the records' inputs; -1 for a constant
  LeafTable leaves;
  std::vector<std::unique_ptr<SweepTable>> tables;  // one per depth of nested sweeps
  std::size_t open_tables = 0;
  std::int32_t slots = 0;
  std::uint64_t epoch = 0;
  std::array<std::size_t, 32> start{};  // where the tape of each bit began
  Capture* capture = nullptr;
};

struct ThreadState {
  std::uint32_t live, sweeping, muted;  // bits of tapes
  Log* log;
  std::uint32_t recorders() const noexcept { return live & ~sweeping & ~muted; }
};
extern constinit thread_local ThreadState thread_state;

/// Makes the thread's log, to be destroyed with the thread.
void make_log();

}  // namespace unroll::detail
