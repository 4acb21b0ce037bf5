// A trained decoder's guess at the input, as a start for inverting the same outputs.
//
//   const Model model = Model::open("run");                  // unroll train --encoder W --freeze
//   InvertOptions options{.start = decoder_start(facts, y, model)};
#pragma once

#include "inversion/observation.h"
#include "models/model.h"

namespace UNROLL_API unroll {

/// y [N,m] as Facts::from_outputs gives it -> [T,N,I] float64. Throws Error where the facts go
/// through a readout or come at every k-th step, the model's kind needs what was not seen (a state
/// of every layer, say), or it gives back another number of steps or inputs.
Tensor decoder_start(const Facts& facts, const Tensor& y, const Model& model);

}  // namespace unroll
