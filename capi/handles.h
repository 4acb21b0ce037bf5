// What the handles of unroll.h and unroll_inversion.h hold, and the guard that no exception passes.
//
//   unroll_status unroll_thing(const unroll_tensor* x, unroll_tensor** out) {
//     return guarded([&] { *out = handle(thing(the("thing", x))); });
//   }
#pragma once

#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include "autograd/optimizers.h"
#include "autograd/parameters.h"
#include "autograd/tape.h"
#include "capi/unroll.h"
#include "capi/unroll_inversion.h"
#include "core/lengths.h"
#include "core/random.h"
#include "core/tensor.h"
#include "inversion/identifiability.h"
#include "inversion/invert.h"
#include "models/attention.h"
#include "models/checkpoint.h"
#include "models/encoder.h"
#include "models/layers.h"
#include "models/reconstruction.h"

struct unroll_tensor {
  unroll::Tensor tensor;
};

struct unroll_parameters {
  std::shared_ptr<unroll::Parameters> parameters;
};

struct unroll_random {
  std::shared_ptr<unroll::Random> random;
};

struct unroll_layer {
  std::shared_ptr<unroll::Parameters> parameters;
  std::variant<unroll::Linear, unroll::Rnn, unroll::Lstm, unroll::Gru, unroll::RnnCell,
               unroll::LstmCell, unroll::GruCell, unroll::MultiheadAttention,
               unroll::AdditiveAttention, unroll::LuongAttention>
      layer;
  std::shared_ptr<unroll::Random> random;  // while training, else null
};

struct unroll_model {
  unroll::RunConfig config;
  bool from_run;
  std::shared_ptr<unroll::Parameters> parameters;
  unroll::Reconstruction reconstruction;
};

struct unroll_optimizer {
  std::shared_ptr<unroll::Parameters> parameters;
  std::string kind;
  std::variant<unroll::Sgd, unroll::Adam, unroll::Nadam, unroll::Radam, unroll::Rmsprop,
               unroll::Adagrad, unroll::Adadelta>
      optimizer;
  double lr;
};

struct unroll_tape {
  unroll::Tape tape;
  std::thread::id thread;
};

struct unroll_encoder {
  unroll::Encoder encoder;
  std::string description;
};

struct unroll_inversion {
  unroll::Inversion found;
};

struct unroll_identifiability {
  unroll::Identifiability answer;
};

namespace unroll::capi {

/// Keeps the message of the exception that is being handled for unroll_last_error().
unroll_status report_exception() noexcept;

/// f(), with every exception turned into a status.
template <class F>
unroll_status guarded(F&& f) noexcept {
  try {
    f();
    return UNROLL_OK;
  } catch (...) {
    return report_exception();
  }
}

/// A new handle; NULL for an undefined tensor. Throws Error for a type that unroll.h does not name.
unroll_tensor* handle(Tensor tensor);

/// Makes a handle of each tensor, NULL for an undefined one, at its place, where that is not NULL:
/// all, or none where one could not be made.
void hand_out(const std::vector<std::pair<Tensor, unroll_tensor**>>& places);

/// *pointer. Throws Error, naming `op`, for NULL.
template <class T>
T& the(const char* op, T* pointer) {
  if (!pointer) fail(op, "an argument that must be there is NULL");
  return *pointer;
}
inline const Tensor& the(const char* op, const unroll_tensor* tensor) {
  return the<const unroll_tensor>(op, tensor).tensor;
}
/// The tensor, or the undefined one for NULL.
Tensor optional(const unroll_tensor* tensor);
/// `count` tensors. NULL is an error unless `may_lack`.
Tensors list(const char* op, const unroll_tensor* const* tensors, int count, bool may_lack = false);

Dtype dtype_from(const char* op, int dtype);
unroll_dtype dtype_to(Dtype dtype);
Shape shape_from(const char* op, int rank, const std::int64_t* sizes);
Lengths lengths_from(const char* op, const std::int64_t* lengths, std::int64_t count);

/// The value of a name. Throws Error, listing the names, for another one.
template <class T>
const T& called(const char* op, const char* wanted,
                const std::vector<std::pair<const char*, T>>& all) {
  const std::string name = &the(op, wanted);
  std::string names;
  for (const auto& [each, value] : all) {
    if (name == each) return value;
    names += (names.empty() ? "" : ", ") + std::string(each);
  }
  fail(op, "there is no " + name + "; there are: " + names);
}

/// Where the option of a name goes.
struct Setting {
  const char* name;
  std::variant<bool*, double*, std::int64_t*, std::vector<std::int64_t>*> target;
};

/// Writes each option to its setting; one that is a list grows with each option of its name. Throws
/// Error, listing the settings, for another name, and for a value that a switch or a whole number
/// cannot have.
void set_options(const char* op, const unroll_option* options, int count,
                 const std::vector<Setting>& settings);

/// One update; `lr` replaces the option's rate where it is not NULL.
void step(unroll_optimizer& optimizer, const double* lr);

}  // namespace unroll::capi
