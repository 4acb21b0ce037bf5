// The one exception of the library.
//
//   throw unroll::Error("matmul: a is [3,4] but b is [3,4]: a's last axis must equal b's last but
//   one");
//
// The message names the operation, then what was wrong and the remedy, in one line. Only the
// command line (`cli/`) turns it into an exit code.
#pragma once

#include <stdexcept>
#include <string>

#include "core/export.h"

namespace UNROLL_API unroll {

class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Throws Error("op: what"). Out of line, so that checks stay small where they are made.
[[noreturn]] void fail(const char* op, const std::string& what);

}  // namespace unroll
