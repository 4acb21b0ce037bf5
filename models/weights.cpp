#include "models/weights.h"

#include <algorithm>

#include "io/npz.h"
#include "io/safetensors.h"
#include "io/sharded_safetensors.h"

namespace unroll {
namespace {

const Tensor& tensor_for(const std::string& path, const std::vector<NamedTensor>& tensors,
                         const std::string& name, const Tensor& target) {
  // The last of one name, as in read_npz.
  const auto at = std::find_if(tensors.rbegin(), tensors.rend(),
                               [&](const NamedTensor& each) { return each.name == name; });
  if (at == tensors.rend())
    fail("load", path + " has no tensor " + name + "; is it of another model?");
  const Tensor& source = at->tensor;
  if (!(source.shape() == target.shape()))
    fail("load", path + ": " + name + " is " + to_string(source.shape()) + " but the model has " +
                     to_string(target.shape()));
  if (!is_real(source.dtype()) && !is_half(source.dtype()))
    fail("load", path + ": " + name + " holds no real numbers");
  return source;
}

}  // namespace

std::vector<NamedTensor> read_weights(const std::string& path) {
  if (path.ends_with(".npz")) return read_npz(path);
  if (path.ends_with(".index.json")) return read_sharded_safetensors(path).tensors;
  return read_safetensors(path).tensors;
}

void assign_weights(const std::string& path, const std::vector<NamedTensor>& tensors,
                    Parameters& parameters, const std::string& prefix) {
  std::vector<std::pair<Tensor, Tensor>> copies;
  for (std::size_t i = 0; i < parameters.names().size(); i++) {
    const std::string& name = parameters.names()[i];
    const Tensor& target = parameters.tensors()[i];
    if (!name.starts_with(prefix)) continue;
    copies.emplace_back(target, tensor_for(path, tensors, name.substr(prefix.size()), target));
  }
  if (copies.empty() && !prefix.empty()) fail("load", "no parameter's name begins with " + prefix);
  for (auto& [target, source] : copies) copy_into(target, cast_copy(source, target.dtype()));
}

void load_weights(const std::string& path, Parameters& parameters, const std::string& prefix) {
  assign_weights(path, read_weights(path), parameters, prefix);
}

}  // namespace unroll
