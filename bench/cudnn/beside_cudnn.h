// cudnn_bench as a function, so that a kernel of a user can stand beside ours and cuDNN's:
//
//   int main(int argc, char** argv) {
//     using namespace unroll::bench;
//     return beside_cudnn(argc, argv, {lstm_forward_contender("mine", my_lstm_forward)});
//   }
//
// docs/benchmarks.md, "Beside cuDNN", tells what is timed and how.
#pragma once

#include <functional>
#include <vector>

#include "bench/cudnn/contender.h"
#include "bench/cudnn/options.h"
#include "bench/cudnn/rows.h"

namespace unroll::bench {

/// Every problem that the options ask for, by every contender in turn: checked, then timed. `each`
/// sees the rows as they come. Ratios are to the one named "unroll".
std::vector<Row> measure(const Options& options, const std::vector<Contender>& contenders,
                         const std::function<void(const Row&)>& each);

/// Parses the options, measures, prints. The exit status: 0; 1 where a contender that is no peer
/// was wrong or failed; 2 for an option that is not there; 77 where the device is not. `usual` is
/// the device where none is asked for.
int beside_cudnn(int argc, char** argv, const std::vector<Contender>& own = {},
                 Device usual = Device::cuda());

}  // namespace unroll::bench
