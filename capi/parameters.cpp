#include <algorithm>

#include "capi/handles.h"
#include "core/view.h"
#include "models/weights.h"

using namespace unroll;
using namespace unroll::capi;

namespace {

Parameters& set_of(const char* op, const unroll_parameters* parameters) {
  return *the(op, parameters).parameters;
}

}  // namespace

unroll_status unroll_parameters_create(int dtype, unroll_parameters** out) {
  return guarded([&] {
    const Dtype type = dtype_from("parameters_create", dtype);
    *out = new unroll_parameters{std::make_shared<Parameters>(type)};
  });
}

void unroll_parameters_release(unroll_parameters* parameters) { delete parameters; }

unroll_status unroll_parameters_add(unroll_parameters* parameters, const char* name, int rank,
                                    const int64_t* shape, unroll_tensor** out) {
  return guarded([&] {
    constexpr const char* op = "parameters_add";
    const Shape sizes = shape_from(op, rank, shape);
    const Tensor added = set_of(op, parameters).add(&the(op, name), sizes);
    if (out) *out = handle(added);
  });
}

unroll_status unroll_parameters_load(unroll_parameters* parameters, const char* path,
                                     const char* prefix) {
  return guarded([&] {
    constexpr const char* op = "parameters_load";
    load_weights(&the(op, path), set_of(op, parameters), prefix ? prefix : "");
  });
}

unroll_status unroll_parameters_save(const unroll_parameters* parameters, const char* path) {
  return guarded([&] {
    constexpr const char* op = "parameters_save";
    save_model(&the(op, path), set_of(op, parameters));
  });
}

int64_t unroll_parameters_count(const unroll_parameters* parameters) {
  return static_cast<int64_t>(parameters->parameters->names().size());
}

const char* unroll_parameters_name(const unroll_parameters* parameters, int64_t index) {
  if (index < 0 || index >= unroll_parameters_count(parameters)) return nullptr;
  return parameters->parameters->names()[static_cast<std::size_t>(index)].c_str();
}

unroll_status unroll_parameters_get(const unroll_parameters* parameters, const char* name,
                                    unroll_tensor** out) {
  return guarded([&] {
    constexpr const char* op = "parameters_get";
    *out = handle(set_of(op, parameters).get(&the(op, name)));
  });
}

unroll_status unroll_parameters_gradient(const unroll_parameters* parameters, const char* name,
                                         unroll_tensor** out) {
  return guarded([&] {
    constexpr const char* op = "parameters_gradient";
    *out = handle(set_of(op, parameters).gradient(&the(op, name)));
  });
}

unroll_status unroll_parameters_set(unroll_parameters* parameters, const char* name,
                                    const unroll_tensor* values) {
  return guarded([&] {
    constexpr const char* op = "parameters_set";
    Tensor target = set_of(op, parameters).get(&the(op, name));
    const Tensor& source = the(op, values);
    if (!is_real(source.dtype()))
      fail(op, std::string(name) + " cannot be set from " + unroll::name(source.dtype()));
    copy_into(target, cast_copy(source, target.dtype()));
  });
}

unroll_status unroll_parameters_flat(const unroll_parameters* parameters, unroll_tensor** out) {
  return guarded([&] { *out = handle(set_of("parameters_flat", parameters).flat()); });
}

unroll_status unroll_parameters_gradients(const unroll_parameters* parameters,
                                          unroll_tensor** out) {
  return guarded([&] { *out = handle(set_of("parameters_gradients", parameters).gradients()); });
}

unroll_status unroll_parameters_zero_gradients(unroll_parameters* parameters) {
  return guarded([&] { set_of("parameters_zero_gradients", parameters).zero_gradients(); });
}

unroll_status unroll_parameters_clip_norm(unroll_parameters* parameters, double max_norm,
                                          double* norm) {
  return guarded([&] {
    const double before = clip_norm(set_of("parameters_clip_norm", parameters), max_norm);
    if (norm) *norm = before;
  });
}

unroll_status unroll_parameters_clip_value(unroll_parameters* parameters, double limit) {
  return guarded([&] { clip_value(set_of("parameters_clip_value", parameters), limit); });
}
