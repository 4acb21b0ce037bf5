// Kernel calls of the runs of a recurrent layer. Private to autograd/recurrent_op.h.
#pragma once

#include <optional>

#include "autograd/operands.h"
#include "autograd/recurrent_packed.h"
#include "kernels/recurrent.h"

namespace unroll::detail {

/// A call, ready to go, and what must live as long as it.
template <class Shape, class Args>
struct RecurrentCall {
  Shape space;
  RecurrentSizes sizes;
  Args args{};
  Tensor dh_n, dc_n;
  std::optional<Scratch> scratch;
  std::optional<PackedWeights> packed;

  template <class Real>
  void take_scratch(Device device, std::int64_t size) {
    scratch.emplace(device, static_cast<std::size_t>(size) * sizeof(Real));
    args.scratch = static_cast<Real*>(scratch->data());
  }
};

/// Calls run(r) for each run of a layer, side by side where that is faster. run must not throw.
template <class Run>
void for_runs(int runs, bool side_by_side, const Run& run) {
#ifdef _OPENMP
  if (runs == 2 && side_by_side) {
#pragma omp parallel for num_threads(2) schedule(static, 1)
    for (int r = 0; r < 2; r++) run(r);
    return;
  }
#endif
  (void)side_by_side;
  for (int r = 0; r < runs; r++) run(r);
}

}  // namespace unroll::detail
