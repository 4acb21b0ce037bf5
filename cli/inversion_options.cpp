#include "cli/inversion_options.h"

#include <cmath>

#include "cli/training_options.h"
#include "core/view.h"
#include "io/npy.h"

namespace unroll::cli {
namespace {

constexpr const char* kReadout = "readout:";

std::optional<Dtype> dtype_called(const std::string& text) {
  for (const Dtype dtype : {Dtype::float64, Dtype::float32, Dtype::float16, Dtype::bfloat16})
    if (text == name(dtype)) return dtype;
  return {};
}

// [runs,N,width] of a file that may leave out N, or both where there is one run.
Tensor state(const char* option, const std::string& path, const EncoderSizes& sizes,
             std::int64_t width) {
  const std::int64_t runs = sizes.layers * sizes.directions();
  Tensor x = read_numbers(path);
  if (x.rank() == 1 && runs == 1) x = view::unsqueeze(x, 0);
  if (x.rank() == 2) x = view::unsqueeze(x, 1);
  if (x.rank() != 3 || x.shape()[0] != runs || x.shape()[2] != width)
    throw Error(path + ": " + option + " is " + to_string(x.shape()) + " but must be [" +
                std::to_string(runs) + ",N," + std::to_string(width) + "]");
  return x;
}

Observation parsed(const std::string& text) {
  try {
    return unroll::observation(text);
  } catch (const Error&) {
    throw UsageError("--observe " + text +
                     " is none of all, every:K, final, final-cell, state, readout:C.npy");
  }
}

}  // namespace

Tensor read_numbers(const std::string& path) {
  const Tensor read = read_npy(path);
  if (read.dtype() == Dtype::boolean) throw Error(path + " holds no numbers but true and false");
  const Tensor x = cast_copy(read, Dtype::float64);
  const double* values = x.data<double>();
  for (std::int64_t i = 0; i < x.numel(); i++)
    if (!std::isfinite(values[i]))
      throw Error(path + " holds NaN or infinity at place " + std::to_string(i) +
                  "; mend what wrote it");
  return x;
}

Tensor read_input(const char* option, const std::string& path) {
  const Tensor x = read_numbers(path);
  if (x.rank() != 2 && x.rank() != 3)
    throw Error(path + ": " + option + " is " + to_string(x.shape()) + " but must be [T,N,I]");
  return x.rank() == 2 ? view::unsqueeze(x, 1) : x;
}

InversionOptions::InversionOptions(Command command) : command_(command) {
  command_.text("--weights", weights_, "weights under PyTorch's names: safetensors or npz",
                Need::required);
  command_.text("--prefix", prefix_, "of the layer's names, as in encoder.rnn.; else it is found");
  command_.choice(
      "--cell", cell_names(), [this](const std::string& text) { cell_ = cell_type(text); },
      "what an RNN's weights do not say (default tanh)");
  command_.text("--observe", observe_,
                "what was seen: all, every:K, final, final-cell, state, or readout:C.npy of all "
                "(default all)");
  command_.text("--readout", readout_, "npy [M,width]: M products with what --observe says");
  command_.text("--h0", h0_, "npy [layers*directions,N,H], or without N; default 0");
  command_.text("--c0", c0_, "npy, the LSTM's cell state at the start; default 0");
  command_.flag("--unknown-start", unknown_start_, "the state at the start is sought too");
  command_.real("--noise", noise_, 0, 1e300, "standard deviation of noise on what was seen");
  command_.choice(
      "--dtype", {"float64", "float32", "float16", "bfloat16"},
      [this](const std::string& text) { dtype_ = dtype_called(text); },
      "in which the run was computed and kept (default: as the outputs are stored)");
}

Encoder InversionOptions::encoder() const {
  EncoderHints hints{.cell = cell_};
  if (command_.is_given("--prefix")) hints.prefix = prefix_;
  return Encoder::load(weights_, hints).on(device_);
}

std::string InversionOptions::readout() const {
  return observe_.starts_with(kReadout) ? observe_.substr(std::string(kReadout).size()) : readout_;
}

std::vector<std::string> InversionOptions::files() const { return {weights_, readout(), h0_, c0_}; }

Observation InversionOptions::observation(const Encoder& encoder, Dtype of_outputs) const {
  const EncoderSizes& sizes = encoder.sizes();
  const bool short_form = observe_.starts_with(kReadout);
  if (observe_ == kReadout) throw UsageError("--observe readout: names no file; say readout:C.npy");
  if (short_form && !readout_.empty())
    throw UsageError("--observe " + observe_ + " and --readout " + readout_ + " name two readouts");
  if (unknown_start_ && !(h0_.empty() && c0_.empty()))
    throw UsageError("--unknown-start and a start in --h0 or --c0 contradict each other");
  if (!c0_.empty() && !sizes.has_cell_state())
    throw UsageError("--c0 is an LSTM's, and these weights are of a " + encoder.describe());
  Observation seen = parsed(short_form ? "all" : observe_);
  if (!readout().empty()) seen.readout = read_numbers(readout());
  seen.initial_known = !unknown_start_;
  if (!h0_.empty()) seen.initial.h = state("--h0", h0_, sizes, sizes.state_width());
  if (!c0_.empty()) seen.initial.c = state("--c0", c0_, sizes, sizes.H);
  seen.noise = noise_;
  seen.dtype = dtype_.value_or(
      of_outputs == Dtype::int64 || of_outputs == Dtype::boolean ? Dtype::float64 : of_outputs);
  return seen;
}

}  // namespace unroll::cli
