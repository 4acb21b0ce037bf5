// The sweeps of a recurrent run that keeps no gates: it keeps the states at the starts of its
// segments alone, and each sweep runs the forward kernel over a segment once more just before it
// runs its own. Private to autograd/recurrent_op.h.
//
//   Segments<Family, Real> segments(device, shape, operands, starts);
//   segments.sweep(args);     // as Family::pull(device, shape, args), without h, c and saved
//
// A sweep carries its cotangents or tangents of the states from segment to segment, so that all
// results but the gradients of the parameters, whose sums begin anew, are the same bits.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>

#include "autograd/operands.h"
#include "kernels/recurrent.h"

namespace unroll::detail {

/// Steps of a segment. With about as many segments as one has steps, what is kept of all and what
/// a sweep needs of one are both of the order of the root of T.
inline std::int64_t steps_of_segment(const RecurrentShape& s) {
  return std::max<std::int64_t>(std::llround(std::ceil(std::sqrt(double(s.T)))), 1);
}

/// One even where no sequence has a step, for what a sweep then still writes.
inline std::int64_t count_of_segments(const RecurrentShape& s) {
  const std::int64_t steps = s.lengths.length ? s.lengths.longest : s.T;
  const std::int64_t each = steps_of_segment(s);
  return std::max<std::int64_t>((steps + each - 1) / each, 1);
}

/// Of states [T+1,N,*] those before each segment.
inline Tensor states_at_starts(const Tensor& all, const RecurrentShape& s) {
  const std::int64_t count = count_of_segments(s), each = steps_of_segment(s);
  Tensor starts = empty({count, all.shape()[1], all.shape()[2]}, all.dtype(), all.device());
  for (std::int64_t i = 0; i < count; i++) {
    Tensor to = view::select(starts, 0, i);
    copy_into(to, view::select(all, 0, i * each));
  }
  return starts;
}

template <class Family, class Real>
class Segments {
 public:
  using Shape = typename Family::Shape;
  using Forward = typename Family::template Forward<Real>;
  using Pull = typename Family::template Pull<Real>;
  using Push = typename Family::template Push<Real>;

  /// Of `operands` x, the weights and the biases are read. h and c: states_at_starts; c undefined
  /// where there is none. `width`: numbers in h.
  Segments(Device device, const Shape& shape, const Forward& operands, const Tensor& h,
           const Tensor& c)
      : device_(device),
        shape_(shape),
        operands_(operands),
        h_(h),
        c_(c),
        width_(h.shape()[2]),
        each_(steps_of_segment(shape)),
        packed_(device, Family::template sizes<Real>(device, segment(0)).packed * sizeof(Real)),
        h_states_(device, (each_ + 1) * shape.N * width_ * sizeof(Real)),
        c_states_(device, c ? (each_ + 1) * shape.N * shape.H * sizeof(Real) : 0),
        carry_(device, 4 * state_size(std::max(width_, shape.H)) * sizeof(Real)) {}

  void sweep(Pull args) const {
    const Pull whole = args;
    const std::int64_t last = count_of_segments(shape_) - 1;
    for (std::int64_t i = last; i >= 0; i--) {
      if (i < last) {
        args.dh_n = carry(i + 1, 0);
        if constexpr (Family::has_cell) args.dc_n = carry(i + 1, 1);
        add_gradients(args);
      }
      args.dh0 = i > 0 ? carry(i, 0) : whole.dh0;
      args.beta_dh0 = i > 0 ? Real(0) : whole.beta_dh0;
      if constexpr (Family::has_cell) {
        args.dc0 = i > 0 ? carry(i, 1) : whole.dc0;
        args.beta_dc0 = i > 0 ? Real(0) : whole.beta_dc0;
      }
      run(i, i == last, args, &RecurrentSizes::pullback_scratch, Family::template pull<Real>);
    }
  }

  void sweep(Push args) const {
    const Push whole = args;
    const std::int64_t last = count_of_segments(shape_) - 1;
    for (std::int64_t i = 0; i <= last; i++) {
      if (i > 0) {
        args.dh0 = carry(i, 0);
        if constexpr (Family::has_cell) args.dc0 = carry(i, 1);
      }
      args.dh_n = i < last ? carry(i + 1, 0) : whole.dh_n;
      if constexpr (Family::has_cell) args.dc_n = i < last ? carry(i + 1, 1) : whole.dc_n;
      run(i, i == 0, args, &RecurrentSizes::pushforward_scratch, Family::template push<Real>);
    }
  }

 private:
  std::size_t state_size(std::int64_t width) const {
    return static_cast<std::size_t>((shape_.K * shape_.N * width + 15) / 16 * 16);
  }

  // What a sweep carries over the start of segment i: of h (0) or of c (1).
  Real* carry(std::int64_t i, int which) const {
    return static_cast<Real*>(carry_.data()) +
           static_cast<std::size_t>(i % 2 * 2 + which) * state_size(std::max(width_, shape_.H));
  }

  // The first segment of a sweep has written what the others add to.
  static void add_gradients(Pull& args) {
    args.beta_dw_ih = args.beta_dw_hh = args.beta_db_ih = args.beta_db_hh = 1;
    if constexpr (requires { args.beta_extra; }) args.beta_extra = {1, 1, 1, 1, 1, 1};
  }

  Shape segment(std::int64_t i) const {
    Shape s = shape_;
    s.first_step = i * each_;
    s.segment = std::min(each_, shape_.T - s.first_step);
    return s;
  }

  // The forward pass of segment i, then a sweep's kernel. The first of a sweep packs the weights.
  template <class Args, class Kernel>
  void run(std::int64_t i, bool first, Args& args, std::int64_t RecurrentSizes::*sweep_scratch,
           const Kernel& kernel) const {
    const Shape space = segment(i);
    const RecurrentSizes sizes = Family::template sizes<Real>(device_, space);
    const Scratch saved(device_, sizes.saved * sizeof(Real));
    const Scratch scratch(device_,
                          std::max(sizes.forward_scratch, sizes.*sweep_scratch) * sizeof(Real));
    Forward forward = operands_;
    forward.h = first_of(h_states_, h_, i);
    forward.saved = static_cast<Real*>(saved.data());
    forward.scratch = args.scratch = static_cast<Real*>(scratch.data());
    forward.packed = static_cast<Real*>(packed_.data());
    forward.packs = first;
    args.h = forward.h;
    args.saved = forward.saved;
    if constexpr (Family::has_cell) args.c = forward.c = first_of(c_states_, c_, i);
    Family::template forward<Real>(device_, space, forward);
    kernel(device_, space, args);
  }

  // Room for the states of a segment, with the first in place.
  Real* first_of(const Scratch& states, const Tensor& starts, std::int64_t i) const {
    const std::int64_t size = starts.shape()[1] * starts.shape()[2];
    Real* const to = static_cast<Real*>(states.data());
    const Real* const from = starts.data<Real>() + i * size;
    if (device_.is_cpu())
      std::copy_n(from, size, to);
    else
      device_memory::copy(device_, to, from, size * sizeof(Real));
    return to;
  }

  const Device device_;
  const Shape shape_;
  const Forward operands_;
  const Tensor h_, c_;
  const std::int64_t width_, each_;
  const Scratch packed_, h_states_, c_states_, carry_;
};

}  // namespace unroll::detail
