// unroll study t5.
#pragma once

#include "cli/options.h"

namespace unroll::cli {

void add_study_t5(Command& study);

}  // namespace unroll::cli
