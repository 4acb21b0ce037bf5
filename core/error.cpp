#include "core/error.h"

namespace unroll {

void fail(const char* op, const std::string& what) { throw Error(std::string(op) + ": " + what); }

}  // namespace unroll
