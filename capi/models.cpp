#include "capi/handles.h"
#include "models/series.h"

using namespace unroll;
using namespace unroll::capi;

namespace {

std::unique_ptr<unroll_model> make_model(RunConfig config, bool from_run) {
  auto parameters = std::make_shared<Parameters>(config.dtype);
  Reconstruction reconstruction(*parameters, config.model);
  return std::unique_ptr<unroll_model>(new unroll_model{
      std::move(config), from_run, std::move(parameters), std::move(reconstruction)});
}

Standardizer standardizer_of(const char* op, const unroll_model* model) {
  if (!the(op, model).from_run)
    fail(op, "the model was not opened from a run and knows no series' units");
  return Standardizer(model->config.mean, model->config.sd);
}

}  // namespace

unroll_status unroll_model_create(const char* kind, const char* cell, int dtype, int64_t inputs,
                                  int64_t hidden, uint64_t seed, const unroll_option* options,
                                  int count, unroll_model** out) {
  return guarded([&] {
    constexpr const char* op = "model_create";
    RunConfig config;
    ModelOptions& model = config.model;
    model.kind = model_kind(&the(op, kind));
    if (cell) model.cell = cell_type(cell);
    model.inputs = inputs;
    model.hidden = hidden;
    config.dtype = dtype_from(op, dtype);
    set_options(op, options, count,
                {{"code", &model.code},
                 {"orthogonal", &model.init.orthogonal},
                 {"forget_bias", &model.init.forget_bias}});
    auto made = make_model(std::move(config), false);
    Random random(seed);
    made->reconstruction.reset(random);
    *out = made.release();
  });
}

unroll_status unroll_model_open(const char* directory, unroll_model** out) {
  return guarded([&] {
    const std::string path = &the("model_open", directory);
    auto made = make_model(load_config(path), true);
    load_best(path, *made->parameters);
    *out = made.release();
  });
}

void unroll_model_release(unroll_model* model) { delete model; }

unroll_status unroll_model_parameters(const unroll_model* model, unroll_parameters** out) {
  return guarded([&] { *out = new unroll_parameters{the("model_parameters", model).parameters}; });
}

int64_t unroll_model_window(const unroll_model* model) {
  return model->from_run ? model->config.window : 0;
}

const char* unroll_model_column(const unroll_model* model, int64_t index) {
  const auto& columns = model->config.columns;
  if (index < 0 || index >= static_cast<int64_t>(columns.size())) return nullptr;
  return columns[static_cast<std::size_t>(index)].c_str();
}

unroll_status unroll_model_standardize(const unroll_model* model, const unroll_tensor* x,
                                       unroll_tensor** out) {
  return guarded([&] {
    constexpr const char* op = "model_standardize";
    *out = handle(standardizer_of(op, model).apply(the(op, x)));
  });
}

unroll_status unroll_model_restore(const unroll_model* model, const unroll_tensor* x,
                                   unroll_tensor** out) {
  return guarded([&] {
    constexpr const char* op = "model_restore";
    *out = handle(standardizer_of(op, model).invert(the(op, x)));
  });
}

unroll_status unroll_model_forward(const unroll_model* model, const unroll_tensor* x,
                                   const int64_t* lengths, int64_t lengths_count,
                                   unroll_tensor** out) {
  return guarded([&] {
    constexpr const char* op = "model_forward";
    const Lengths steps = lengths_from(op, lengths, lengths_count);
    *out = handle(the(op, model).reconstruction(the(op, x), steps));
  });
}

unroll_status unroll_model_loss(const unroll_model* model, const unroll_tensor* x,
                                const int64_t* lengths, int64_t lengths_count,
                                unroll_tensor** out) {
  return guarded([&] {
    constexpr const char* op = "model_loss";
    const Lengths steps = lengths_from(op, lengths, lengths_count);
    *out = handle(the(op, model).reconstruction.loss(the(op, x), steps));
  });
}
