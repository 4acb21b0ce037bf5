#include "models/generators.h"

#include <cmath>
#include <numbers>
#include <vector>

#include "models/series.h"
#include "models/windows.h"

namespace unroll {
namespace {

constexpr std::int64_t kTrainSteps = 6000, kTestSteps = 3000;
// Seeds of users are small numbers of stream 0: what is held out shares no draw with them.
constexpr std::uint64_t kHeldOutStream = 0x6865'6c64'2d6f'7574;

constexpr int kSines = 3;

// sin(2 pi f t + p) for t = 0, 1, ... by rotating (sin, cos): two products a step instead of a
// sine.
struct Wave {
  double sine, cosine, turn_sine, turn_cosine;

  Wave(double amplitude, double frequency, double phase)
      : sine(amplitude * std::sin(phase)),
        cosine(amplitude * std::cos(phase)),
        turn_sine(std::sin(2 * std::numbers::pi * frequency)),
        turn_cosine(std::cos(2 * std::numbers::pi * frequency)) {}

  double next() noexcept {
    const double now = sine;
    sine = now * turn_cosine + cosine * turn_sine;
    cosine = cosine * turn_cosine - now * turn_sine;
    return now;
  }
};

Tensor sines(Random& random, std::int64_t N, std::int64_t T, Dtype dtype) {
  const Tensor draws = random.uniform({N, kSines, 3}, 0, 1, Dtype::float64);
  const double scale = 1 / std::sqrt(kSines * 0.5 * 7 / 12);
  Tensor x = empty({T, N, 1}, dtype);
  with_real(dtype, [&](auto type) {
    using Real = decltype(type);
    Real* out = x.mutable_data<Real>();
    const double* u = draws.data<double>();
    const auto wave = [&](int i) {
      const double* d = u + 3 * i;
      return Wave(scale * (0.5 + 0.5 * d[0]), 0.02 + 0.18 * d[1], 2 * std::numbers::pi * d[2]);
    };
    for (std::int64_t n = 0; n < N; n++, u += 3 * kSines) {
      Wave a = wave(0), b = wave(1), c = wave(2);
      for (std::int64_t t = 0; t < T; t++)
        out[t * N + n] = static_cast<Real>(a.next() + b.next() + c.next());
    }
  });
  return x;
}

void require_count(const char* op, std::int64_t count) {
  if (count < 0) fail(op, std::to_string(count) + " samples cannot be made");
}

double mackey_glass_slope(double x, double delayed) {
  const double square = delayed * delayed, fifth = square * square * delayed;
  return 0.2 * delayed / (1 + fifth * fifth) - 0.1 * x;
}

using Point = std::array<double, 3>;

Point lorenz_slope(const Lorenz& o, const Point& p) {
  return {o.sigma * (p[1] - p[0]), p[0] * (o.rho - p[2]) - p[1], p[0] * p[1] - o.beta * p[2]};
}

Point moved(const Point& p, double by, const Point& slope) {
  return {p[0] + by * slope[0], p[1] + by * slope[1], p[2] + by * slope[2]};
}

Point lorenz_step(const Lorenz& o, const Point& p) {
  const Point k1 = lorenz_slope(o, p), k2 = lorenz_slope(o, moved(p, o.dt / 2, k1)),
              k3 = lorenz_slope(o, moved(p, o.dt / 2, k2)),
              k4 = lorenz_slope(o, moved(p, o.dt, k3));
  Point sum;
  for (int i = 0; i < 3; i++) sum[i] = k1[i] + 2 * k2[i] + 2 * k3[i] + k4[i];
  return moved(p, o.dt / 6, sum);
}

}  // namespace

Tensor mackey_glass(std::int64_t count, const MackeyGlass& o) {
  require_count("mackey_glass", count);
  if (!(o.dt >= 1e-6 && o.dt <= 8.5) || o.every < 1 || o.discard < 0)
    fail("mackey_glass", "dt must lie in 1e-6..8.5, every from 1 and discard from 0");
  const std::int64_t delay = std::llround(17 / o.dt);
  if (std::abs(static_cast<double>(delay) * o.dt - 17) > 1e-9)
    fail("mackey_glass", "the step " + std::to_string(o.dt) + " does not divide the delay 17");
  Tensor series = empty({count, 1}, Dtype::float64);
  double* out = series.mutable_data<double>();
  // Value and slope at each grid point, in a ring of the last delay + 1.
  const std::int64_t ring = delay + 1;
  std::vector<double> value(ring), slope(ring);
  double x = o.start;
  for (std::int64_t n = 0;; n++) {
    if (n % o.every == 0 && n / o.every >= o.discard) {
      const std::int64_t sample = n / o.every - o.discard;
      if (sample == count) return series;
      out[sample] = x;
    }
    // The delayed value at the start, the middle and the end of this step.
    double from = o.start, middle = o.start, to = o.start;
    if (n >= delay) {
      const std::int64_t i = (n - delay) % ring, j = (n - delay + 1) % ring;
      from = value[i];
      to = value[j];
      middle = (from + to) / 2 + o.dt / 8 * (slope[i] - slope[j]);
    }
    const double k1 = mackey_glass_slope(x, from);
    value[n % ring] = x;
    slope[n % ring] = k1;
    const double k2 = mackey_glass_slope(x + o.dt / 2 * k1, middle);
    const double k3 = mackey_glass_slope(x + o.dt / 2 * k2, middle);
    const double k4 = mackey_glass_slope(x + o.dt * k3, to);
    x += o.dt / 6 * (k1 + 2 * k2 + 2 * k3 + k4);
  }
}

Tensor lorenz(std::int64_t count, const Lorenz& o) {
  require_count("lorenz", count);
  if (o.every < 1 || o.discard < 0) fail("lorenz", "every must be from 1 and discard from 0");
  Tensor series = empty({count, 3}, Dtype::float64);
  double* out = series.mutable_data<double>();
  Point p = o.start;
  for (std::int64_t sample = -o.discard; sample < count; sample++) {
    if (sample >= 0) {
      for (const double v : p) *out++ = v;
    }
    for (std::int64_t i = 0; i < o.every; i++) p = lorenz_step(o, p);
  }
  return series;
}

const std::vector<std::string>& Task::names() {
  static const std::vector<std::string> all = {"sines", "iid", "mackey-glass", "lorenz"};
  return all;
}

Task::Task(const std::string& name) : name_(name) {
  if (name == "sines") {
    kind_ = Kind::sines;
  } else if (name == "mackey-glass") {
    kind_ = Kind::series;
    train_ = mackey_glass(kTrainSteps);
    test_ = mackey_glass(kTestSteps, {.start = 0.9});
  } else if (name == "lorenz") {
    kind_ = Kind::series;
    train_ = lorenz(kTrainSteps);
    test_ = lorenz(kTestSteps, {.start = {-5, 3, 20}});
  } else if (name != "iid") {
    fail("task", "there is no task '" + name + "'; choose sines, iid, mackey-glass or lorenz");
  }
  if (kind_ != Kind::series) return;
  const Standardizer standardizer(Series{train_, {}});
  train_ = standardizer.apply(train_);
  test_ = standardizer.apply(test_);
  train_narrow_ = cast_copy(train_, Dtype::float32);
  channels_ = train_.size(1);
}

Tensor Task::batch(Random& random, std::int64_t N, std::int64_t T, Dtype dtype) const {
  if (N < 1 || T < 1)
    fail("task", "a batch of " + std::to_string(N) + " sequences of " + std::to_string(T) +
                     " steps is empty");
  if (kind_ == Kind::sines) return sines(random, N, T, dtype);
  if (kind_ == Kind::iid) return random.normal({T, N, 1}, 0, 1, dtype);
  const Tensor windows = sliding_windows(dtype == Dtype::float32 ? train_narrow_ : train_, T);
  const Tensor starts = random.integers({N}, 0, windows.size(0));
  return gather_windows(windows, {starts.data<std::int64_t>(), static_cast<std::size_t>(N)}, dtype);
}

Tensor Task::held_out(std::int64_t count, std::int64_t T, Dtype dtype) const {
  if (kind_ != Kind::series) {
    Random random(0, kHeldOutStream);
    return batch(random, count, T, dtype);
  }
  if (count < 1) fail("task", std::to_string(count) + " held-out sequences are none");
  const Tensor windows = sliding_windows(test_, T);
  std::vector<std::int64_t> starts(static_cast<std::size_t>(count));
  for (std::int64_t i = 0; i < count; i++)
    starts[i] = count > 1 ? i * (windows.size(0) - 1) / (count - 1) : 0;
  return gather_windows(windows, starts, dtype);
}

}  // namespace unroll
