// Words for what was found: where threads stand, what code lies at an address, why all are stuck.
#include <dlfcn.h>

#include <cstdio>
#include <map>

#include "cuda/sim/machine.h"

namespace unroll::sim {

const char* name(Fault fault) noexcept {
  switch (fault) {
    case Fault::divergent_barrier: return "divergent barrier";
    case Fault::divergent_collective: return "divergent collective";
    case Fault::deadlock: return "deadlock";
    case Fault::out_of_bounds: return "out of bounds";
    case Fault::host_pointer: return "host pointer";
    case Fault::foreign_memory: return "memory of another thread";
    case Fault::use_after_free: return "use after free";
    case Fault::unwritten_read: return "read of unwritten memory";
    case Fault::race: return "race";
    case Fault::async_copy: return "asynchronous copy";
    case Fault::stack_overflow: return "stack overflow";
    case Fault::misuse: return "misuse";
    case Fault::launch_limit: return "launch limit";
  }
  return "?";
}

}  // namespace unroll::sim

namespace unroll::sim::detail {

std::string text(const dim3& size) {
  return "(" + std::to_string(size.x) + "," + std::to_string(size.y) + "," +
         std::to_string(size.z) + ")";
}

std::string text(const Site& site) {
  return site.line == 0 ? site.file : std::string(site.file) + ":" + std::to_string(site.line);
}

std::string text(const Thread& thread) {
  return "thread " + text(dim3(thread.here.thread)) + " of block " + text(dim3(thread.here.block));
}

namespace {

// "file:line" as addr2line of binutils knows it, or nothing.
std::string line_of(const std::string& module, std::uintptr_t offset) {
  if (module.find('\'') != std::string::npos) return "";
  char command[4096];
  std::snprintf(command, sizeof command, "addr2line -e '%s' 0x%lx 2>/dev/null", module.c_str(),
                static_cast<unsigned long>(offset));
  FILE* pipe = popen(command, "r");
  if (pipe == nullptr) return "";
  char line[4096] = "";
  const bool read = std::fgets(line, sizeof line, pipe) != nullptr;
  pclose(pipe);
  std::string text = read ? line : "";
  text = text.substr(0, text.find_first_of(" \n"));
  return text.find('?') == std::string::npos ? text : "";
}

}  // namespace

std::string text_of_code(std::uintptr_t pc) {
  Dl_info info;
  if (dladdr(reinterpret_cast<void*>(pc), &info) == 0 || info.dli_fname == nullptr) return "?";
  const std::uintptr_t offset = pc - reinterpret_cast<std::uintptr_t>(info.dli_fbase);
  const std::string line = line_of(info.dli_fname, offset);
  if (!line.empty()) return line;
  char text[64];
  std::snprintf(text, sizeof text, "+0x%lx", static_cast<unsigned long>(offset));
  return info.dli_fname + std::string(text);
}

void note(Fault fault, std::string what, std::uintptr_t pc, std::uintptr_t other_pc) {
  Machine& m = machine();
  if (m.report) return;
  if (m.work != nullptr) what += std::string(", in ") + m.work->launch.name;
  m.report = Report{fault, std::move(what), pc, other_pc};
}

namespace {

const char* where(State state) {
  switch (state) {
    case State::fresh: return "did not start";
    case State::ready: return "can run";
    case State::at_block: return "wait at __syncthreads";
    case State::at_warp: return "wait at a warp collective";
    case State::at_grid: return "wait at grid.sync";
    case State::done: return "ended";
  }
  return "?";
}

// Groups of threads in one state at one place, in words.
struct Crowd {
  std::map<std::string, int> sizes;
  std::array<bool, 6> seen{};

  explicit Crowd(const Machine& m) {
    for (const auto& b : m.live)
      for (const Thread& t : b->threads) {
        seen[std::size_t(t.state)] = true;
        const bool waits = t.state != State::done && t.state != State::fresh;
        sizes[where(t.state) + (waits ? " (" + text(t.site) + ")" : std::string())]++;
      }
  }
  bool has(State state) const { return seen[std::size_t(state)]; }
  std::string words() const {
    std::string all;
    for (const auto& [what, count] : sizes)
      all += (all.empty() ? "" : ", ") + std::to_string(count) +
             (count == 1 ? " thread " : " threads ") + what;
    return all;
  }
};

}  // namespace

void note_stuck() {
  const Crowd crowd(machine());
  const Fault fault = crowd.has(State::at_warp)    ? Fault::divergent_collective
                      : crowd.has(State::at_block) ? Fault::divergent_barrier
                      : crowd.has(State::at_grid)  ? Fault::divergent_barrier
                                                   : Fault::deadlock;
  note(fault, "no thread can run: " + crowd.words());
}

void throw_noted() {
  Machine& m = machine();
  if (!m.report) return;
  const Report report = std::move(*m.report);
  m.report.reset();
  std::string what = std::string("sim: ") + name(report.fault) + ": " + report.what;
  if (report.pc != 0) what += ", at " + text_of_code(report.pc);
  if (report.other_pc != 0) what += " and " + text_of_code(report.other_pc);
  throw Failure(report.fault, what);
}

}  // namespace unroll::sim::detail
