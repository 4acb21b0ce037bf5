// Calls the recurrent kernels of kernels/{rnn,lstm,gru}.h by one name, with buffers of exactly the
// size they ask for.
//
//   Harness<double> kernel(problem, inputs);
//   kernel.forward();   kernel.y()   kernel.h_n   kernel.c_n
//   Inputs<double> d = kernel.pull(K, cotangents);
//   Outputs<double> d = kernel.push(K, tangents);
#pragma once

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <memory>
#include <vector>

#include "core/lengths.h"
#include "kernels/gru.h"
#include "kernels/lstm.h"
#include "kernels/rnn.h"
#include "tests/recurrent_reference.h"

namespace unroll::testing {

// 64-byte aligned, exactly `size` long, filled with NaN.
template <class Real>
class Buffer {
 public:
  explicit Buffer(std::int64_t size) : size_(size) {
    void* p = nullptr;
    if (size > 0 && posix_memalign(&p, 64, size * sizeof(Real)) != 0) std::abort();
    data_.reset(static_cast<Real*>(p));
    std::fill_n(data_.get(), size, std::numeric_limits<Real>::quiet_NaN());
  }
  Real* data() const { return data_.get(); }
  std::int64_t size() const { return size_; }

 private:
  struct Free {
    void operator()(Real* p) const { std::free(p); }
  };
  std::unique_ptr<Real, Free> data_;
  std::int64_t size_;
};

template <class Real>
const Real* or_null(const std::vector<Real>& v) {
  return v.empty() ? nullptr : v.data();
}
template <class Real>
Real* or_null(std::vector<Real>& v) {
  return v.empty() ? nullptr : v.data();
}

template <class Real>
class Harness {
 public:
  // Empty biases are passed as null.
  Harness(Problem problem, Inputs<Real> inputs) : p(std::move(problem)), in(std::move(inputs)) {
    if (!p.lengths.empty()) lengths_ = Lengths(p.lengths);
  }

  std::int64_t h_stride = 0, y_stride = 0, dy_stride = 0;
  Problem p;
  Inputs<Real> in;
  std::vector<Real> h, c, h_n, c_n;  // h is [T+1,N,h_stride]
  std::vector<Real> y_rows;          // [T,N,y_stride]; empty where h[1..T] says it

  // The outputs without their row stride.
  std::vector<Real> y() const {
    std::vector<Real> result;
    const auto& rows = y_rows.empty() ? h : y_rows;
    const std::int64_t stride = y_rows.empty() ? state_stride() : out_stride();
    const std::int64_t first = y_rows.empty() ? p.N : 0;
    for (std::int64_t row = first; row < first + p.T * p.N; ++row) {
      const auto begin = rows.begin() + row * stride;
      result.insert(result.end(), begin, begin + p.H);
    }
    return result;
  }

  void forward(bool save = true) {
    const Real unset = std::numeric_limits<Real>::quiet_NaN();
    h.assign((p.T + 1) * p.N * state_stride(), unset);
    y_rows.assign(p.reverse || y_stride ? p.T * p.N * out_stride() : 0, unset);
    c.assign((p.T + 1) * p.N * p.H, unset);
    for (std::int64_t n = 0; n < p.N; ++n) {
      std::copy_n(in.h0.begin() + n * p.H, p.H, h.begin() + n * state_stride());
    }
    std::copy(in.c0.begin(), in.c0.end(), c.begin());
    h_n.assign(p.N * p.H, unset);
    c_n.assign(p.N * p.H, unset);
    const RecurrentSizes size = sizes(1);
    saved_ = std::make_unique<Buffer<Real>>(size.saved);
    const Buffer<Real> scratch(size.forward_scratch);
    const auto call = [&](auto args, auto kernel, const auto& shape) {
      args.x = in.x.data(), args.w_ih = in.w_ih.data(), args.w_hh = in.w_hh.data();
      args.b_ih = or_null(in.b_ih), args.b_hh = or_null(in.b_hh);
      args.h = h.data(), args.h_n = h_n.data(), args.scratch = scratch.data();
      args.y = or_null(y_rows), args.y_stride = y_stride;
      if constexpr (requires { args.saved; }) args.saved = save ? saved_->data() : nullptr;
      if constexpr (requires { args.c; }) args.c = c.data(), args.c_n = c_n.data();
      kernel(shape, args);
    };
    if (p.cell == Cell::lstm) {
      call(LstmForward<Real>{}, cpu::lstm_forward<Real>, LstmShape{shape(1)});
    } else if (p.cell == Cell::gru) {
      call(GruForward<Real>{}, cpu::gru_forward<Real>, GruShape{shape(1)});
    } else {
      call(RnnForward<Real>{}, cpu::rnn_forward<Real>, rnn_shape(1));
    }
  }

  // Each tensor has K copies. Empty cotangents are passed as null; an empty tensor of `d` is not
  // wanted. `beta` is used for all results.
  void pull(std::int64_t K, const Outputs<Real>& cotangent, Inputs<Real>& d, Real beta = 0) {
    const Buffer<Real> scratch(sizes(K).pullback_scratch);
    const auto call = [&](auto args, auto kernel, const auto& shape) {
      set_point(args);
      args.dy = or_null(cotangent.y), args.dh_n = or_null(cotangent.h_n);
      args.dy_stride = dy_stride;
      args.dx = or_null(d.x), args.dh0 = or_null(d.h0);
      args.dw_ih = or_null(d.w_ih), args.dw_hh = or_null(d.w_hh);
      args.db_ih = or_null(d.b_ih), args.db_hh = or_null(d.b_hh);
      args.beta_dx = args.beta_dh0 = args.beta_dw_ih = args.beta_dw_hh = beta;
      args.beta_db_ih = args.beta_db_hh = beta;
      if constexpr (requires { args.dc0; }) {
        args.dc_n = or_null(cotangent.c_n), args.dc0 = or_null(d.c0), args.beta_dc0 = beta;
      }
      args.scratch = scratch.data();
      kernel(shape, args);
    };
    if (p.cell == Cell::lstm) {
      call(LstmPullback<Real>{}, cpu::lstm_pullback<Real>, LstmShape{shape(K)});
    } else if (p.cell == Cell::gru) {
      call(GruPullback<Real>{}, cpu::gru_pullback<Real>, GruShape{shape(K)});
    } else {
      call(RnnPullback<Real>{}, cpu::rnn_pullback<Real>, rnn_shape(K));
    }
  }

  // All results, into tensors that hold NaN before.
  Inputs<Real> pull(std::int64_t K, const Outputs<Real>& cotangent) {
    Inputs<Real> d = empty_inputs(K);
    pull(K, cotangent, d);
    return d;
  }

  Inputs<Real> empty_inputs(std::int64_t K) {
    Inputs<Real> d;
    const std::int64_t rows = p.gates() * p.H;
    const std::int64_t sizes[] = {p.T * p.N * p.I,
                                  rows * p.I,
                                  rows * p.H,
                                  rows,
                                  rows,
                                  p.N * p.H,
                                  p.cell == Cell::lstm ? p.N * p.H : 0};
    for (int i = 0; i < 7; ++i) {
      d.all()[i]->assign(K * sizes[i], std::numeric_limits<Real>::quiet_NaN());
    }
    return d;
  }

  // Empty tangents are passed as null.
  Outputs<Real> push(std::int64_t K, const Inputs<Real>& tangent) {
    const Real unset = std::numeric_limits<Real>::quiet_NaN();
    Outputs<Real> d;
    d.y.assign(K * p.T * p.N * (dy_stride ? dy_stride : p.H), unset);
    d.h_n.assign(K * p.N * p.H, unset);
    if (p.cell == Cell::lstm) d.c_n.assign(K * p.N * p.H, unset);
    const Buffer<Real> scratch(sizes(K).pushforward_scratch);
    const auto call = [&](auto args, auto kernel, const auto& shape) {
      set_point(args);
      args.dx = or_null(tangent.x), args.dh0 = or_null(tangent.h0);
      args.dw_ih = or_null(tangent.w_ih), args.dw_hh = or_null(tangent.w_hh);
      args.db_ih = or_null(tangent.b_ih), args.db_hh = or_null(tangent.b_hh);
      args.dy = d.y.data(), args.dh_n = d.h_n.data(), args.dy_stride = dy_stride;
      if constexpr (requires { args.dc0; }) {
        args.dc0 = or_null(tangent.c0), args.dc_n = d.c_n.data();
      }
      args.scratch = scratch.data();
      kernel(shape, args);
    };
    if (p.cell == Cell::lstm) {
      call(LstmPushforward<Real>{}, cpu::lstm_pushforward<Real>, LstmShape{shape(K)});
    } else if (p.cell == Cell::gru) {
      call(GruPushforward<Real>{}, cpu::gru_pushforward<Real>, GruShape{shape(K)});
    } else {
      call(RnnPushforward<Real>{}, cpu::rnn_pushforward<Real>, rnn_shape(K));
    }
    return d;
  }

 private:
  std::int64_t state_stride() const { return h_stride ? h_stride : p.H; }
  std::int64_t out_stride() const { return y_stride ? y_stride : p.H; }

  RecurrentShape shape(std::int64_t K) const {
    LengthsView view;
    if (lengths_) view = lengths_.view("test", p.T, p.N);
    return {.T = p.T,
            .N = p.N,
            .I = p.I,
            .H = p.H,
            .K = K,
            .lengths = view,
            .h_stride = h_stride,
            .reverse = p.reverse};
  }
  RnnShape rnn_shape(std::int64_t K) const {
    const RnnActivation activation = p.cell == Cell::tanh   ? RnnActivation::tanh
                                     : p.cell == Cell::relu ? RnnActivation::relu
                                                            : RnnActivation::identity;
    return {shape(K), activation};
  }
  RecurrentSizes sizes(std::int64_t K) const {
    if (p.cell == Cell::lstm) return cpu::lstm_sizes<Real>(LstmShape{shape(K)});
    if (p.cell == Cell::gru) return cpu::gru_sizes<Real>(GruShape{shape(K)});
    return cpu::rnn_sizes<Real>(rnn_shape(K));
  }
  template <class Args>
  void set_point(Args& args) const {
    args.x = in.x.data(), args.w_ih = in.w_ih.data(), args.w_hh = in.w_hh.data();
    args.h = h.data();
    if constexpr (requires { args.saved; }) args.saved = saved_->data();
    if constexpr (requires { args.c; }) args.c = c.data();
  }

  Lengths lengths_;
  std::unique_ptr<Buffer<Real>> saved_;
};

}  // namespace unroll::testing
