// Calls the recurrent kernels with any options, by one name, with buffers of exactly the size they
// ask for.
//
//   StepsHarness<double> kernel(problem, inputs);
//   Outputs<double> out = kernel.forward();
//   StepsInputs<double> d = kernel.pull(K, cotangents);
//   Outputs<double> d = kernel.push(K, tangents);
#pragma once

#include "tests/recurrent_harness.h"
#include "tests/recurrent_steps_reference.h"

namespace unroll::testing {

template <class Real>
class StepsHarness {
 public:
  StepsHarness(StepsProblem problem, StepsInputs<Real> inputs)
      : p(std::move(problem)), in(std::move(inputs)) {
    if (!p.lengths.empty()) lengths_ = Lengths(p.lengths);
  }

  StepsProblem p;
  StepsInputs<Real> in;
  std::int64_t h_stride = 0, y_stride = 0, dy_stride = 0;
  std::vector<Real> h, c;

  Outputs<Real> forward(bool save = true) {
    const std::int64_t P = p.P(), stride = h_stride ? h_stride : P;
    h.assign((p.T + 1) * p.N * stride, unset);
    c.assign((p.T + 1) * p.N * p.H, unset);
    for (std::int64_t n = 0; n < p.N; ++n) {
      std::copy_n(in.h0.begin() + n * P, P, h.begin() + n * stride);
    }
    std::copy(in.c0.begin(), in.c0.end(), c.begin());
    Outputs<Real> out = empty_outputs(1, y_stride);
    with_family([&](const auto& shape, auto args, auto, auto, auto kernel, auto, auto,
                    const RecurrentSizes& size) {
      saved_ = std::make_unique<Buffer<Real>>(size.saved);
      const Buffer<Real> scratch(size.forward_scratch);
      args.x = in.x.data(), args.w_ih = in.w_ih.data(), args.w_hh = in.w_hh.data();
      args.b_ih = or_null(in.b_ih), args.b_hh = or_null(in.b_hh);
      args.h = h.data(), args.y = out.y.data(), args.y_stride = y_stride;
      args.h_n = out.h_n.data(), args.saved = save ? saved_->data() : nullptr;
      if constexpr (requires { args.c; }) {
        args.c = c.data(), args.c_n = out.c_n.data(), args.extra = extra<const Real*>(in);
      }
      args.scratch = scratch.data();
      kernel(shape, args);
    });
    return out;
  }

  // Each tensor has K copies. Empty cotangents are passed as null; an empty tensor of `d` is not
  // wanted. `beta` is used for all results.
  void pull(std::int64_t K, const Outputs<Real>& u, StepsInputs<Real>& d, Real beta = 0) {
    K_ = K;
    with_family([&](const auto& shape, auto, auto args, auto, auto, auto kernel, auto,
                    const RecurrentSizes& size) {
      const Buffer<Real> scratch(size.pullback_scratch);
      set_point(args);
      args.dy = or_null(u.y), args.dy_stride = dy_stride, args.dh_n = or_null(u.h_n);
      args.dx = or_null(d.x), args.dh0 = or_null(d.h0);
      args.dw_ih = or_null(d.w_ih), args.dw_hh = or_null(d.w_hh);
      args.db_ih = or_null(d.b_ih), args.db_hh = or_null(d.b_hh);
      args.beta_dx = args.beta_dh0 = args.beta_dw_ih = args.beta_dw_hh = beta;
      args.beta_db_ih = args.beta_db_hh = beta;
      if constexpr (requires { args.dc0; }) {
        args.dc_n = or_null(u.c_n), args.dc0 = or_null(d.c0), args.beta_dc0 = beta;
        args.d_extra = extra<Real*>(d);
        args.beta_extra = {beta, beta, beta, beta, beta, beta};
      }
      args.scratch = scratch.data();
      kernel(shape, args);
    });
  }

  StepsInputs<Real> pull(std::int64_t K, const Outputs<Real>& u) {
    StepsInputs<Real> d = empty_inputs(K);
    pull(K, u, d);
    return d;
  }

  StepsInputs<Real> empty_inputs(std::int64_t K) const {
    StepsInputs<Real> d;
    const std::vector<std::int64_t> sizes = input_sizes(p);
    for (std::size_t i = 0; i < sizes.size(); ++i) d.all()[i]->assign(K * sizes[i], unset);
    return d;
  }

  // Empty tangents are passed as null.
  Outputs<Real> push(std::int64_t K, const StepsInputs<Real>& v) {
    K_ = K;
    Outputs<Real> d = empty_outputs(K, dy_stride);
    with_family([&](const auto& shape, auto, auto, auto args, auto, auto, auto kernel,
                    const RecurrentSizes& size) {
      const Buffer<Real> scratch(size.pushforward_scratch);
      set_point(args);
      args.dx = or_null(v.x), args.dh0 = or_null(v.h0);
      args.dw_ih = or_null(v.w_ih), args.dw_hh = or_null(v.w_hh);
      args.db_ih = or_null(v.b_ih), args.db_hh = or_null(v.b_hh);
      args.dy = d.y.data(), args.dy_stride = dy_stride, args.dh_n = d.h_n.data();
      if constexpr (requires { args.dc0; }) {
        args.dc0 = or_null(v.c0), args.dc_n = d.c_n.data();
        args.d_extra = extra<const Real*>(v);
      }
      args.scratch = scratch.data();
      kernel(shape, args);
    });
    return d;
  }

 private:
  static constexpr Real unset = std::numeric_limits<Real>::quiet_NaN();

  Outputs<Real> empty_outputs(std::int64_t K, std::int64_t stride) const {
    Outputs<Real> out;
    out.y.assign(K * p.T * p.N * (stride ? stride : p.P()), unset);
    out.h_n.assign(K * p.N * p.P(), unset);
    if (p.has_cell()) out.c_n.assign(K * p.N * p.H, unset);
    return out;
  }

  template <class Pointer, class From>
  static LstmExtra<Pointer> extra(From& from) {
    return {or_null(from.w_hr),    or_null(from.peephole), or_null(from.norm_ih),
            or_null(from.norm_hh), or_null(from.norm_c),   or_null(from.norm_c_bias)};
  }

  template <class Args>
  void set_point(Args& args) const {
    args.x = in.x.data(), args.w_ih = in.w_ih.data(), args.w_hh = in.w_hh.data();
    args.h = h.data(), args.saved = saved_->data();
    if constexpr (requires { args.c; }) args.c = c.data(), args.extra = extra<const Real*>(in);
  }

  // Calls body(shape, three empty argument structs, the three kernels, their sizes).
  template <class Body>
  void with_family(Body body) {
    const RecurrentShape base{.T = p.T,
                              .N = p.N,
                              .I = p.I,
                              .H = p.H,
                              .K = K_,
                              .lengths = lengths_ ? lengths_.view("test", p.T, p.N) : LengthsView{},
                              .h_stride = h_stride,
                              .reverse = p.reverse};
    if (p.cell == Cell::lstm) {
      const LstmShape s{base, p.projection, p.peephole, p.norm, p.options};
      body(s, LstmForward<Real>{}, LstmPullback<Real>{}, LstmPushforward<Real>{},
           cpu::lstm_forward<Real>, cpu::lstm_pullback<Real>, cpu::lstm_pushforward<Real>,
           cpu::lstm_sizes<Real>(s));
    } else if (p.cell == Cell::gru) {
      const GruShape s{base, p.reset_first, p.options};
      body(s, GruForward<Real>{}, GruPullback<Real>{}, GruPushforward<Real>{},
           cpu::gru_forward<Real>, cpu::gru_pullback<Real>, cpu::gru_pushforward<Real>,
           cpu::gru_sizes<Real>(s));
    } else {
      const RnnActivation activation = p.cell == Cell::tanh   ? RnnActivation::tanh
                                       : p.cell == Cell::relu ? RnnActivation::relu
                                                              : RnnActivation::identity;
      const RnnShape s{base, activation, p.options};
      body(s, RnnForward<Real>{}, RnnPullback<Real>{}, RnnPushforward<Real>{},
           cpu::rnn_forward<Real>, cpu::rnn_pullback<Real>, cpu::rnn_pushforward<Real>,
           cpu::rnn_sizes<Real>(s));
    }
  }

  std::int64_t K_ = 1;
  Lengths lengths_;
  std::unique_ptr<Buffer<Real>> saved_;
};

}  // namespace unroll::testing
