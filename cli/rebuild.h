// A whole series through a trained model, in its own units.
#pragma once

#include "cli/run.h"

namespace unroll::cli {

/// The reconstruction of standardised values [T,C] as float64 [T,C], from windows that cover the
/// series without overlap. The last window ends with the series: where T is no multiple of the
/// window, it begins inside the one before, and only the steps that this left open are taken. A
/// series shorter than a window is one shorter window. autoencoder_last gives back the last step of
/// a window: there windows begin at every step, and the steps before the first window's end
/// are NaN.
Tensor rebuild(const Model& model, const Tensor& values, const RunConfig& config);

/// Scores the steps of y that are not NaN against x, both [T,C].
Score score_steps(const Tensor& y, const Tensor& x);

}  // namespace unroll::cli
