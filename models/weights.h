// Parameters from files of named tensors, as PyTorch and others write them.
//
//   load_weights("model.safetensors", parameters);        // every parameter under its own name
//   load_weights("lstm.npz", parameters, "encoder.");     // "encoder.weight_ih_l0" is weight_ih_l0
//
// Functions throw Error, naming the file, and then leave all parameters as they were.
#pragma once

#include <string>
#include <vector>

#include "autograd/parameters.h"
#include "io/named_tensor.h"

namespace UNROLL_API unroll {

/// Fills the parameters whose names begin with `prefix`: each is sought by the rest of its name,
/// and what else there is is ignored. float32 and float64 convert. Throws Error where one is
/// missing, has another shape or is no real number, or no parameter has the prefix; `path` is for
/// the message.
void assign_weights(const std::string& path, const std::vector<NamedTensor>& tensors,
                    Parameters& parameters, const std::string& prefix = {});

/// The tensors of a file: *.npz, *.index.json (sharded safetensors), or else safetensors. Throws
/// Error where it is malformed.
std::vector<NamedTensor> read_weights(const std::string& path);

/// assign_weights of what read_weights finds in a file.
void load_weights(const std::string& path, Parameters& parameters, const std::string& prefix = {});

}  // namespace unroll
