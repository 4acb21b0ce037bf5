// Our recurrent kernels beside cuDNN's; docs/benchmarks.md, "Beside cuDNN".
#include "bench/cudnn/beside_cudnn.h"

int main(int argc, char** argv) { return unroll::bench::beside_cudnn(argc, argv); }
