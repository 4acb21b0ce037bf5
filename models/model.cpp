#include "models/model.h"

#include "autograd/tape.h"
#include "models/series.h"

namespace unroll {
namespace {

// Of the run's seed; shuffling and lengths have their own.
constexpr std::uint64_t kStartStream = 1;

Tensor as(Dtype dtype, const Tensor& t) { return t ? cast_copy(t, dtype) : t; }

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

Model Model::open(const std::string& directory) { return load(load_config(directory), directory); }

Tensor decode_state(const Model& model, const Encoded& seen, std::int64_t steps,
                    const Lengths& lengths) {
  if (steps < 1) fail("decode_state", std::to_string(steps) + " steps are fewer than 1");
  const NoTape none;
  const Dtype dtype = model.parameters->dtype();
  const Encoded encoded{
      as(dtype, seen.y), {as(dtype, seen.state.h), as(dtype, seen.state.c)}, as(dtype, seen.last)};
  const Tensor x = cast_copy(model.reconstruction.decode(encoded, steps, lengths), Dtype::float64);
  const auto& given = model.reconstruction.options().given;
  return given && !given->mean.empty() ? Standardizer(given->mean, given->sd).invert(x) : x;
}

}  // namespace unroll
