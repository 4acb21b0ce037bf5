#include "autograd/recurrent_twin.h"

#include "core/random.h"

namespace unroll::detail {
namespace {

// Boolean [T,N,width], in time: the draws from `begin` on, in the order of the run, below the rate.
Tensor kept(const TwinRun& run, const RecurrentShape& s, std::int64_t width, double rate,
            std::uint64_t begin) {
  const RecurrentOptions& o = run.options.cell;
  if (!o.training || rate == 0) return {};
  Tensor mask = zeros({s.T, s.N, width}, Dtype::boolean);
  bool* to = mask.mutable_data<bool>();
  const LengthsView lengths = run.lengths ? run.lengths.view("zoneout", s.T, s.N) : LengthsView{};
  for (std::int64_t n = 0; n < s.N; n++) {
    const std::int64_t length = lengths.length ? lengths.length[n] : s.T;
    for (std::int64_t t = 0; t < length; t++) {
      const std::int64_t time = run.reverse ? length - 1 - t : t;
      const std::uint64_t first = begin + static_cast<std::uint64_t>((t * s.N + n) * width);
      for (std::int64_t u = 0; u < width; u++)
        to[(time * s.N + n) * width + u] =
            uniform_at(o.seed, o.stream, first + static_cast<std::uint64_t>(u)) < rate;
    }
  }
  return on_device(mask, run.x.device());
}

Tensor dropped(const TwinRun& run, const RecurrentShape& s, std::int64_t P) {
  const RecurrentOptions& o = run.options.cell;
  if (!o.training || o.dropout == 0) return {};
  Tensor factor = empty({s.N, P}, run.x.dtype());
  with_real(factor.dtype(), [&](auto type) {
    using Real = decltype(type);
    Real* to = factor.mutable_data<Real>();
    for (std::int64_t i = 0; i < s.N * P; i++) {
      const double draw = uniform_at(o.seed, o.stream, o.counter + static_cast<std::uint64_t>(i));
      to[i] = static_cast<Real>(draw < o.dropout ? 0 : 1 / (1 - o.dropout));
    }
  });
  return on_device(factor, run.x.device());
}

}  // namespace

const CellActivations TwinRun::standard = {};

Tensor TwinRun::clipped(const Tensor& v) const {
  const double bound = options.cell.clip;
  return bound > 0 ? clamp(v, -bound, bound) : v;
}

TwinMasks::TwinMasks(const TwinRun& run, const RecurrentShape& s) {
  const RecurrentOptions& o = run.options.cell;
  const std::int64_t P = run.in.state_width();
  const std::uint64_t begin = o.counter + static_cast<std::uint64_t>(s.N * P);
  drop = dropped(run, s, P);
  keep_h = kept(run, s, P, o.zoneout_h, begin);
  keep_c = kept(run, s, s.H, o.zoneout_c, begin + static_cast<std::uint64_t>(s.T * s.N * P));
}

Tensor zoned(const Tensor& before, const Tensor& after, double rate, const Tensor& keep) {
  if (rate == 0) return after;
  if (keep) return where(keep, before, after);
  return before * rate + after * (1 - rate);
}

Tensor normalised(const Tensor& x) {
  const Tensor centred = x - mean(x, -1, true);
  return centred * rsqrt(mean(square(centred), -1, true) + 1e-5);
}

Tensor gates_from(const Tensor& x, const Tensor& w, const Tensor& gain, const Tensor& bias) {
  if (!gain) return linear(x, w, bias);
  const Tensor scaled = normalised(linear(x, w)) * gain;
  return bias ? scaled + bias : scaled;
}

}  // namespace unroll::detail
