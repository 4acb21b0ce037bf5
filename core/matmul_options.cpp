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

// Both options in one number, which every processor loads and stores at once.
unsigned number_of(const MatmulOptions& options) noexcept {
  return static_cast<unsigned>(options.backend) * 2 + options.tf32;
}

std::atomic<unsigned>& current() noexcept {
  static std::atomic<unsigned> options = [] {
    try {
      return number_of(matmul_options_of_environment());
    } catch (const Error&) {
      return number_of({});
    }
  }();
  return options;
}

}  // namespace

MatmulOptions matmul_options() noexcept {
  const unsigned number = current().load(std::memory_order_relaxed);
  return {.backend = MatmulBackend(number / 2), .tf32 = number % 2 == 1};
}

void set_matmul_options(const MatmulOptions& options) noexcept {
  current().store(number_of(options), std::memory_order_relaxed);
}

MatmulOptions matmul_options_of_environment() {
  MatmulOptions options;
  if (is_second("UNROLL_MATMUL", "own", "cublas")) options.backend = MatmulBackend::cublas;
  options.tf32 = is_second("UNROLL_TF32", "0", "1");
  return options;
}

}  // namespace unroll
