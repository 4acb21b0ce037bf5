// Stands for cudnn_run.cpp where cudnn.h was not found.
#include "bench/cudnn/cudnn_run.h"

namespace unroll::bench {

CudnnContenders cudnn_contenders(const std::string&) {
  return {{}, "no cuDNN: cudnn.h was not found when this program was built"};
}

}  // namespace unroll::bench
