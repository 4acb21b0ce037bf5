// The subcommands, one file each. Their work throws: UsageError for exit code 2, anything else for
// exit code 1.
#pragma once

#include "cli/options.h"

namespace unroll::cli {

void add_train(Command& unroll);
void add_reconstruct(Command& unroll);
void add_compare(Command& unroll);
void add_info(Command& unroll);
void add_capacity(Command& unroll);
void add_study(Command& unroll);
void add_identify(Command& unroll);
void add_collide(Command& unroll);
void add_decode_tokens(Command& unroll);
void add_invert(Command& unroll);
void add_bench(Command& unroll);

}  // namespace unroll::cli
