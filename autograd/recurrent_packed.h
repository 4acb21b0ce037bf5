// The packed weights of a recurrent run, kept from call to call until a weight changes. Private to
// autograd/recurrent_op.h.
//
//   PackedWeights packed(run, gates, shape, sizes);
//   packed.give(args);      // what earlier calls left, or room for it
//   ...                     // the forward kernel
//   packed.keep();
#pragma once

#include "autograd/recurrent_inputs.h"
#include "core/derived.h"
#include "kernels/isa.h"

namespace unroll::detail {

class PackedWeights {
 public:
  /// `run` must outlive this. Of weights that may change unseen nothing is kept or given.
  PackedWeights(const RunInputs& run, int gates, const RecurrentShape& s,
                const RecurrentSizes& sizes)
      : from_({&run.w_hh, &run.w_ih, &run.b_ih, &run.b_hh},
              {gates, static_cast<std::int64_t>(isa()), sizes.layout, s.I, s.H}),
        value_(from_.found()) {
    if (!value_ && from_.can_keep())
      value_ = empty({sizes.packed}, run.w_hh.dtype(), run.w_hh.device());
  }

  template <class Args>
  void give(Args& args) {
    if (!value_) return;
    args.packed = static_cast<decltype(args.packed)>(value_.mutable_raw_data());
    args.packs = !from_.found();
  }

  /// To be called when the kernel has run.
  void keep() const {
    if (value_ && !from_.found()) from_.keep(value_);
  }

 private:
  Derivation from_;
  Tensor value_;
};

}  // namespace unroll::detail
