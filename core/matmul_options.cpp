#include "core/matmul_options.h"

#include <atomic>
#include <cstdlib>
#include <string>

#include "core/error.h"

namespace unroll {
namespace {

// Which of two values a variable has; the first where it is not set.
bool is_second(const char* variable, const std::string& first, const std::string& second) {
  const char* const value = std::getenv(variable);
  if (value == nullptr || *value == 0 || first == value) return false;
  if (second != value)
    fail(variable, "'" + std::string(value) + "' is neither " + first + " nor " + second);
  return true;
}

std::atomic<MatmulOptions>& current() noexcept {
  static std::atomic<MatmulOptions> options = [] {
    try {
      return matmul_options_of_environment();
    } catch (const Error&) {
      return MatmulOptions{};
    }
  }();
  return options;
}

}  // namespace

MatmulOptions matmul_options() noexcept { return current().load(std::memory_order_relaxed); }

void set_matmul_options(const MatmulOptions& options) noexcept {
  current().store(options, std::memory_order_relaxed);
}

MatmulOptions matmul_options_of_environment() {
  MatmulOptions options;
  if (is_second("UNROLL_MATMUL", "own", "cublas")) options.backend = MatmulBackend::cublas;
  options.tf32 = is_second("UNROLL_TF32", "0", "1");
  return options;
}

}  // namespace unroll
