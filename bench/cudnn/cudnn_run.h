// cuDNN's RNN, by its API of version 8 (cudnnRNNForward, cudnnRNNBackwardData_v8,
// cudnnRNNBackwardWeights_v8), one contender for each of its algorithms.
#pragma once

#include <string>
#include <vector>

#include "bench/cudnn/contender.h"

namespace unroll::bench {

struct CudnnApi;

struct CudnnContenders {
  std::vector<Contender> all;  // empty where cuDNN cannot be had
  std::string what;            // "cuDNN 9.19.0", or why there is none
};

/// Of the library in `file`, or of the usual one; none where this was built without cudnn.h.
CudnnContenders cudnn_contenders(const std::string& file);

/// Of functions that are given: "cuDNN STANDARD", "cuDNN PERSIST_STATIC", "cuDNN PERSIST_DYNAMIC"
/// and "cuDNN PERSIST_STATIC_SMALL_H".
std::vector<Contender> contenders_of(const CudnnApi& api);

}  // namespace unroll::bench
