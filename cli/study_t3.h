// unroll study t3.
#pragma once

#include "cli/options.h"

namespace unroll::cli {

void add_study_t3(Command& study);

}  // namespace unroll::cli
