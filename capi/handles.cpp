#include "capi/handles.h"

#include <cstdio>
#include <exception>
#include <new>

#include "core/parallel.h"

namespace unroll::capi {
namespace {

constexpr std::pair<unroll_dtype, Dtype> kDtypes[] = {{UNROLL_FLOAT32, Dtype::float32},
                                                      {UNROLL_FLOAT64, Dtype::float64},
                                                      {UNROLL_INT64, Dtype::int64},
                                                      {UNROLL_BOOL, Dtype::boolean}};

// Plain memory: keeping a message cannot fail.
constinit thread_local char last_error[1024] = "";

unroll_status report(unroll_status status, const char* what) noexcept {
  std::snprintf(last_error, sizeof last_error, "%s", what);
  return status;
}

void set(const char* op, const Setting& setting, double value) {
  const auto refuse = [&](const char* wanted) {
    fail(op, std::string("option ") + setting.name + " must be " + wanted + ", not " +
                 std::to_string(value));
  };
  if (double* const* number = std::get_if<double*>(&setting.target)) {
    **number = value;
  } else if (bool* const* flag = std::get_if<bool*>(&setting.target)) {
    if (value != 0 && value != 1) refuse("0 or 1");
    **flag = value == 1;
  } else {
    if (!(value >= 0 && value < 0x1p53) || value != static_cast<double>(std::int64_t(value)))
      refuse("a whole number");
    if (std::int64_t* const* whole = std::get_if<std::int64_t*>(&setting.target))
      **whole = std::int64_t(value);
    else
      std::get<std::vector<std::int64_t>*>(setting.target)->push_back(std::int64_t(value));
  }
}

}  // namespace

unroll_status report_exception() noexcept {
  try {
    throw;
  } catch (const Error& e) {
    return report(UNROLL_ERROR, e.what());
  } catch (const std::bad_alloc&) {
    return report(UNROLL_OUT_OF_MEMORY, "there is not enough memory");
  } catch (const std::exception& e) {
    return report(UNROLL_INTERNAL, e.what());
  } catch (...) {
    return report(UNROLL_INTERNAL, "an unknown exception");
  }
}

unroll_tensor* handle(Tensor tensor) {
  if (!tensor) return nullptr;
  dtype_to(tensor.dtype());  // throws: no handle has a type without a name
  return new unroll_tensor{std::move(tensor)};
}

void hand_out(const std::vector<std::pair<Tensor, unroll_tensor**>>& places) {
  std::vector<std::unique_ptr<unroll_tensor>> made;
  for (const auto& [tensor, place] : places) made.emplace_back(place ? handle(tensor) : nullptr);
  for (std::size_t i = 0; i < places.size(); i++)
    if (places[i].second) *places[i].second = made[i].release();
}

Tensor optional(const unroll_tensor* tensor) { return tensor ? tensor->tensor : Tensor(); }

Tensors list(const char* op, const unroll_tensor* const* tensors, int count, bool may_lack) {
  if (count < 0 || (count > 0 && !tensors)) fail(op, "a list of tensors is NULL or has no length");
  Tensors all;
  for (int i = 0; i < count; i++)
    all.push_back(may_lack ? optional(tensors[i]) : the(op, tensors[i]));
  return all;
}

Dtype dtype_from(const char* op, int wanted) {
  for (const auto& [code, dtype] : kDtypes)
    if (code == wanted) return dtype;
  fail(op, "there is no dtype " + std::to_string(wanted));
}

unroll_dtype dtype_to(Dtype wanted) {
  for (const auto& [code, dtype] : kDtypes)
    if (dtype == wanted) return code;
  fail("tensor", std::string("unroll.h has no ") + name(wanted) + "; convert first");
}

Shape shape_from(const char* op, int rank, const std::int64_t* sizes) {
  if (rank < 0 || rank > Shape::max_rank)
    fail(op,
         std::to_string(rank) + " axes; a tensor has at most " + std::to_string(Shape::max_rank));
  if (rank > 0) the(op, sizes);
  return Shape(sizes, rank);
}

Lengths lengths_from(const char* op, const std::int64_t* lengths, std::int64_t count) {
  if (!lengths) return {};
  if (count < 0) fail(op, std::to_string(count) + " lengths");
  return Lengths(std::span(lengths, static_cast<std::size_t>(count)));
}

void set_options(const char* op, const unroll_option* options, int count,
                 const std::vector<Setting>& settings) {
  if (count > 0) the(op, options);
  for (int i = 0; i < count; i++) {
    const std::string name = &the(op, options[i].name);
    std::string all;
    bool found = false;
    for (const Setting& setting : settings) {
      if (name == setting.name) {
        set(op, setting, options[i].value);
        found = true;
      }
      all += (all.empty() ? "" : ", ") + std::string(setting.name);
    }
    if (!found)
      fail(op, "there is no option " + name + "; there are: " + (all.empty() ? "none" : all));
  }
}

}  // namespace unroll::capi

int unroll_abi_version(void) { return UNROLL_ABI_VERSION; }
const char* unroll_version(void) { return UNROLL_VERSION; }
const char* unroll_last_error(void) { return unroll::capi::last_error; }

unroll_status unroll_set_num_threads(int count) {
  return unroll::capi::guarded([&] { unroll::set_num_threads(count); });
}
