// The options that name a run to turn back: the weights, what was seen of it, where it started. Of
// `unroll identify`, `invert` and `collide`.
//
//   const auto options = std::make_shared<InversionOptions>(command);
//   command.on_run([options] {
//     const Encoder encoder = options->encoder();
//     const Facts facts(encoder, options->observation(encoder), T);
//   });
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/options.h"
#include "inversion/observation.h"

namespace unroll::cli {

class InversionOptions {
 public:
  /// Registers --weights, --prefix, --cell, --observe, --readout, --h0, --c0, --unknown-start,
  /// --noise and --dtype of `command`. This object must outlive the parsing.
  explicit InversionOptions(Command command);
  InversionOptions(const InversionOptions&) = delete;
  InversionOptions& operator=(const InversionOptions&) = delete;

  /// Registers --device too, for what runs and sweeps the encoder.
  void device() { command_.device(device_); }

  /// From --weights, on --device. Throws Error as Encoder::load.
  Encoder encoder() const;
  /// Reads the files that the options name. Without --dtype the run was computed in `of_outputs`,
  /// the type that its file has. Throws UsageError for options that contradict each other, Error
  /// where a file cannot be read or does not fit the encoder.
  Observation observation(const Encoder& encoder, Dtype of_outputs = Dtype::float64) const;

  /// The files that the options name, which no output may overwrite.
  std::vector<std::string> files() const;
  const std::string& weights() const noexcept { return weights_; }
  /// What --observe says, for people.
  const std::string& observe() const noexcept { return observe_; }

 private:
  std::string readout() const;  // its path, or empty

  Command command_;
  std::string weights_, observe_ = "all", readout_, h0_, c0_;
  std::string prefix_;
  std::optional<Cell> cell_;
  std::optional<Dtype> dtype_;
  Device device_;
  double noise_ = 0;
  bool unknown_start_ = false;
};

/// [T,N,I] of an npy file that may leave out N. Throws Error as read_numbers, and for other ranks.
Tensor read_input(const char* option, const std::string& path);

/// A whole npy file as float64. Throws Error, naming it, where it holds no finite real numbers.
Tensor read_numbers(const std::string& path);

}  // namespace unroll::cli
