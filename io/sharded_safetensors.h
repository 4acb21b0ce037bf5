// Tensors spread over several safetensors files, under an index.
//
//   Safetensors all = read_sharded_safetensors("model.safetensors.index.json");
//   Tensor w = read_sharded_safetensors("model.safetensors.index.json", "encoder.weight_ih_l0");
//
// The index is a JSON object with a "weight_map" from the name of each tensor to the file that
// holds it (https://huggingface.co/docs/safetensors/en/metadata_parsing), which lies in the folder
// of the index: a name with a folder in it is refused. Tensors that a shard holds and the index
// does not name are not read. Thread-safe.
#pragma once

#include <string>
#include <vector>

#include "io/safetensors.h"

namespace UNROLL_API unroll {

/// Where a tensor lies.
struct ShardedEntry {
  std::string name;   // of the tensor
  std::string shard;  // the file that holds it, without its folder
};

/// What the index says, in its order; no shard is opened. Throws Error, naming the index, where it
/// is not such an object, names a tensor twice or a shard that may lie elsewhere.
std::vector<ShardedEntry> list_sharded_safetensors(const std::string& index);

/// All tensors, in the order of the index; the metadata is empty. Throws Error as the above; naming
/// the index, where a shard does not exist; and naming the shard, where it is malformed (see
/// read_safetensors) or lacks a tensor.
Safetensors read_sharded_safetensors(const std::string& index);

/// One tensor; only its shard is opened. Throws Error as the above, and where the index does not
/// name it.
Tensor read_sharded_safetensors(const std::string& index, const std::string& name);

}  // namespace unroll
