// A cuDNN for tests: the functions of its API with the results of the CPU's kernels, so that the
// calls of cudnn_run.cpp are made where there is no GPU. It is strict: a call that contradicts an
// earlier one (sizes, types, lengths, spaces, order) is refused with BAD_PARAM. Its weight space is
// laid out as no other one is.
//
//   STANDARD              right
//   PERSIST_STATIC        refuses to run, NOT_SUPPORTED
//   PERSIST_DYNAMIC       right once it was built for the batch
//   PERSIST_STATIC_SMALL_H  h_n is off by a tenth
#pragma once

#include <vector>

#include "bench/cudnn/contender.h"

namespace unroll::bench {

std::vector<Contender> fake_cudnn_contenders();

/// Descriptors and handles that were made and not destroyed.
int fake_cudnn_objects();

}  // namespace unroll::bench
