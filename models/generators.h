// The four tasks on which the models are compared: sums of sines, white noise, Mackey-Glass,
// Lorenz.
//
//   Task task("lorenz");
//   Random random(1);
//   Tensor x = task.batch(random, 64, 20);       // [20,64,3], fresh at every call
//   Tensor test = task.held_out(1000, 20);       // [20,1000,3], always the same
//
// All have mean 0 and variance 1 in each channel. A Task is immutable: share it between threads,
// each with its own Random. batch() allocates nothing but its tensors.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "core/random.h"
#include "core/tensor.h"

namespace UNROLL_API unroll {

/// One of the four tasks.
class Task {
 public:
  /// "sines", "iid", "mackey-glass" or "lorenz":
  /// - sines: a_1 sin(2 pi f_1 t + p_1) + two more, t = 0, 1, ..., with f ~ U(.02,.2),
  ///   p ~ U(0,2 pi), a ~ U(.5,1), divided by sqrt(3 * .5 * 7/12), its standard deviation;
  /// - iid: N(0,1);
  /// - mackey-glass, lorenz: windows of a series of 6000 samples, standardised with its own mean
  /// and
  ///   variance; the held-out windows are of another series, of 3000 samples from another start,
  ///   standardised with the same numbers.
  /// Throws Error, listing the names, for any other.
  explicit Task(const std::string& name);

  /// The four names.
  static const std::vector<std::string>& names();

  /// Name, and number of channels.
  const std::string& name() const noexcept { return name_; }
  std::int64_t channels() const noexcept { return channels_; }  // I

  /// A fresh batch [T,N,I] for training, float32 or float64, of what `random` says next. Throws
  /// Error unless T, N >= 1 and, for the two series, T <= 6000.
  Tensor batch(Random& random, std::int64_t N, std::int64_t T, Dtype dtype = Dtype::float32) const;

  /// [T,count,I] that no training batch has: for sines and iid drawn with a seed of its own, for
  /// the two series evenly spaced windows of the held-out series. The same at every call. Throws
  /// Error as batch, with T <= 3000.
  Tensor held_out(std::int64_t count, std::int64_t T, Dtype dtype = Dtype::float32) const;

 private:
  enum class Kind { sines, iid, series };

  std::string name_;
  Kind kind_ = Kind::iid;
  std::int64_t channels_ = 1;
  Tensor train_, test_;  // [6000,I], [3000,I] float64
  Tensor train_narrow_;  // the same in float32
};

/// Mackey and Glass (1977): dx/dt = .2 x(t-17) / (1 + x(t-17)^10) - .1 x(t), x(t) = start for
/// t <= 0. Fourth-order Runge-Kutta; between grid points the delayed value is the cubic Hermite
/// interpolant, which keeps the order.
struct MackeyGlass {
  double dt = 0.1;              // 17 must be a multiple of it
  std::int64_t every = 10;      // steps from one sample to the next
  std::int64_t discard = 1000;  // samples left out at the start
  double start = 1.2;
};
/// [count,1] float64. Throws Error for a step that does not divide 17, is above 8.5 or below
/// 1e-6, and for a count below 0.
Tensor mackey_glass(std::int64_t count, const MackeyGlass& options = {});

/// Lorenz (1963): dx/dt = sigma (y - x), dy/dt = x (rho - z) - y, dz/dt = x y - beta z.
/// Fourth-order Runge-Kutta.
struct Lorenz {
  double sigma = 10, rho = 28, beta = 8.0 / 3;
  double dt = 0.01;
  std::int64_t every = 5;      // steps from one sample to the next
  std::int64_t discard = 500;  // samples left out at the start
  std::array<double, 3> start = {1, 1, 1};
};
/// [count,3] float64. Throws Error for a count below 0.
Tensor lorenz(std::int64_t count, const Lorenz& options = {});

}  // namespace unroll
