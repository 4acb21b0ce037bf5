#include "kernels/isa.h"

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <string>

#include "core/error.h"

namespace unroll {
namespace {

constexpr Isa all_isas[] = {Isa::base, Isa::avx2, Isa::avx512};

// __builtin_cpu_supports also asks the operating system whether it saves the wide registers.
bool machine_runs(Isa wanted) noexcept {
  switch (wanted) {
    case Isa::base: return true;
#if defined(__x86_64__)
    case Isa::avx2: return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    case Isa::avx512:
      return machine_runs(Isa::avx2) && __builtin_cpu_supports("avx512f") &&
             __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
             __builtin_cpu_supports("avx512bw");
#endif
    default: return false;
  }
}

bool built_in(Isa wanted) noexcept {
  UNROLL_IF_AVX2(if (wanted == Isa::avx2) return true;)
  UNROLL_IF_AVX512(if (wanted == Isa::avx512) return true;)
  return wanted == Isa::base;
}

Isa best() noexcept {
  for (Isa candidate : {Isa::avx512, Isa::avx2}) {
    if (isa_available(candidate)) return candidate;
  }
  return Isa::base;
}

const char* environment() noexcept {
  const char* value = std::getenv("UNROLL_ISA");
  return value && *value ? value : nullptr;
}

// What UNROLL_ISA names, or best() where it names nothing that can run.
Isa choose() noexcept {
  if (const char* wanted = environment()) {
    for (Isa candidate : all_isas) {
      if (std::strcmp(wanted, isa_name(candidate)) == 0 && isa_available(candidate)) {
        return candidate;
      }
    }
  }
  return best();
}

std::atomic<Isa>& current() noexcept {
  static std::atomic<Isa> value{choose()};
  return value;
}

std::string available_names() {
  std::string names;
  for (Isa candidate : all_isas) {
    if (isa_available(candidate))
      names += (names.empty() ? "" : ", ") + std::string(isa_name(candidate));
  }
  return names;
}

}  // namespace

const char* isa_name(Isa which) noexcept {
  switch (which) {
    case Isa::avx2: return "avx2";
    case Isa::avx512: return "avx512";
    default: return "baseline";
  }
}

bool isa_available(Isa which) noexcept { return built_in(which) && machine_runs(which); }

Isa isa() noexcept { return current().load(std::memory_order_relaxed); }

Isa require_isa() {
  if (const char* wanted = environment()) {
    bool possible = false;
    for (Isa candidate : all_isas) {
      possible |= std::strcmp(wanted, isa_name(candidate)) == 0 && isa_available(candidate);
    }
    if (!possible) {
      fail("UNROLL_ISA", "'" + std::string(wanted) +
                             "' is not available; this build on this machine has " +
                             available_names());
    }
  }
  return isa();
}

void use_isa(Isa which) {
  if (!isa_available(which)) {
    fail("use_isa", std::string(isa_name(which)) +
                        " is not available; this build on this machine has " + available_names());
  }
  current().store(which, std::memory_order_relaxed);
}

}  // namespace unroll
