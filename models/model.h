// The model of a training run, and its decoder alone: a guess at the input from what an encoder
// said.
//
//   const Model model = Model::open("run");                  // of unroll train --encoder W
//   --freeze Tensor x = decode_state(model, {.last = h_T}, T);        // [T,N,I]
#pragma once

#include <memory>
#include <string>

#include "models/checkpoint.h"
#include "models/reconstruction.h"

namespace UNROLL_API unroll {

/// A model and the parameters that it shares.
struct Model {
  /// Drawn with the config's seed.
  explicit Model(const RunConfig& config);
  /// Holds the best parameters of the run; see load_best.
  static Model load(const RunConfig& config, const std::string& directory);
  /// The same with the folder's own config.json.
  static Model open(const std::string& directory);

  /// Moves parameters and constants to a device, where the model then takes its input.
  void move_to(Device device);

  std::unique_ptr<Parameters> parameters;
  Reconstruction reconstruction;
};

/// The input as the model's decoder sees it from an encoder's outputs and states: x [T,N,I] float64
/// ([1,N,I] of autoencoder_last), in the units that the encoder reads: a given encoder's are those
/// of the data, a run's own reads standardised data. Where `seen` comes from that encoder, this is
/// a start for inverting it. Real tensors of any dtype; unrecorded. Throws Error where what the
/// model's kind needs (see Encoded) is undefined or has other sizes, or steps < 1.
Tensor decode_state(const Model& model, const Encoded& seen, std::int64_t steps,
                    const Lengths& lengths = {});

}  // namespace unroll
