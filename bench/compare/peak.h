// The limit that "percent of peak" is a part of.
#pragma once

namespace unroll::compare {

/// GFLOP/s of float32 fused multiply-adds on registers, on all threads of OpenMP together, with the
/// vectors of the instruction set in use: the best of ten trials of about 2 ms.
double peak_gflops();

}  // namespace unroll::compare
