#include "models/model.h"

#include "autograd/tape.h"
#include "models/series.h"

namespace unroll {
namespace {

// Of the run's seed; shuffling and lengths have their own.
constexpr std::uint64_t kStartStream = 1;

Tensor as(const Parameters& parameters, const Tensor& t) {
  return t ? on_device(cast_copy(t, parameters.dtype()), parameters.device()) : t;
}

}  // namespace

Model::Model(const RunConfig& config)
    : parameters(std::make_unique<Parameters>(config.dtype)),
      reconstruction(*parameters, config.model) {
  Random random(config.seed, kStartStream);
  reconstruction.reset(random);
}

Model Model::load(const RunConfig& config, const std::string& directory) {
  Model model(config);
  load_best(directory, *model.parameters);
  return model;
}

void Model::move_to(Device device) {
  parameters->move_to(device);
  reconstruction.move_constants(device);
}

Model Model::open(const std::string& directory) { return load(load_config(directory), directory); }

Tensor decode_state(const Model& model, const Encoded& seen, std::int64_t steps,
                    const Lengths& lengths) {
  if (steps < 1) fail("decode_state", std::to_string(steps) + " steps are fewer than 1");
  const NoTape none;
  const Parameters& p = *model.parameters;
  const Encoded encoded{
      as(p, seen.y), {as(p, seen.state.h), as(p, seen.state.c)}, as(p, seen.last)};
  const Tensor decoded = model.reconstruction.decode(encoded, steps, lengths);
  const Tensor x = cast_copy(on_device(decoded, Device::cpu()), Dtype::float64);
  const auto& given = model.reconstruction.options().given;
  return given && !given->mean.empty() ? Standardizer(given->mean, given->sd).invert(x) : x;
}

}  // namespace unroll
