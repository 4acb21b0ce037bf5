// Runs the recurrent kernels of a backend, by one name for all families and backends, and compares
// the GPU's with the CPU's.
//
//   Variant v{{"lstm", Cell::lstm, 3, 2, 4, 5}};     // tests/recurrent_steps_reference.h
//   v.K = 2;
//   expect_cpu<float>(v);                            // all three passes, all results
//
// Padding that must not be read is NaN, and so is memory before it is written.
#pragma once

#include <algorithm>
#include <cstring>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "core/lengths.h"
#include "cuda/tests/testing.h"
#include "kernels/gru.h"
#include "kernels/lstm.h"
#include "kernels/rnn.h"
#include "tests/recurrent_harness.h"
#include "tests/recurrent_steps_reference.h"

namespace unroll::gpu_test {

using testing::Cell;
using testing::Outputs;
using testing::StepsInputs;
using testing::StepsProblem;

// Bits of the operands, in the order of StepsInputs, and of the outputs, in that of Outputs.
enum Operand : unsigned {
  op_x = 1,
  op_w_ih = 2,
  op_w_hh = 4,
  op_b_ih = 8,
  op_b_hh = 16,
  op_h0 = 32,
  op_c0 = 64
};
enum Result : unsigned { out_y = 1, out_h_n = 2, out_c_n = 4 };

struct Variant {
  StepsProblem p;
  std::int64_t K = 1, h_stride = 0, y_stride = 0, dy_stride = 0;
  std::int64_t first_step = 0, segment = 0;
  double beta = 0;
  unsigned null_operands = 0;    // biases that the call does not have
  unsigned null_cotangents = 0;  // of the outputs
  unsigned unwanted = 0;         // results of the pullback
  unsigned null_tangents = 0;    // of the operands
  unsigned unwanted_outputs = 0;
  bool save = true;  // false: inference, the forward pass alone
};

// ---- Backends

template <class Real>
class HostArray {
 public:
  explicit HostArray(std::size_t n) : buffer_(std::int64_t(n)) {}
  explicit HostArray(const std::vector<Real>& values) : HostArray(values.size()) {
    std::copy(values.begin(), values.end(), buffer_.data());
  }
  Real* data() const { return buffer_.data(); }
  std::vector<Real> values() const { return {data(), data() + buffer_.size()}; }

 private:
  testing::Buffer<Real> buffer_;
};

// The kernels of one family in one namespace.
#define UNROLL_TEST_FAMILY(space, family)                                  \
  template <class Real>                                                    \
  struct family {                                                          \
    static constexpr auto sizes = space::family##_sizes<Real>;             \
    static constexpr auto forward = space::family##_forward<Real>;         \
    static constexpr auto pullback = space::family##_pullback<Real>;       \
    static constexpr auto pushforward = space::family##_pushforward<Real>; \
  };

struct OnCpu {
  template <class T>
  using Array = HostArray<T>;
  static constexpr bool on_gpu = false;
  UNROLL_TEST_FAMILY(cpu, lstm)
  UNROLL_TEST_FAMILY(cpu, gru)
  UNROLL_TEST_FAMILY(cpu, rnn)
};
struct OnGpu {
  template <class T>
  using Array = DeviceArray<T>;
  static constexpr bool on_gpu = true;
  UNROLL_TEST_FAMILY(device, lstm)
  UNROLL_TEST_FAMILY(device, gru)
  UNROLL_TEST_FAMILY(device, rnn)
};

// ---- Numbers

template <class Real>
std::vector<Real> scaled_normal(std::int64_t n, unsigned seed, double scale = 0.5) {
  std::vector<Real> values = normal<Real>(std::size_t(n), seed);
  for (Real& v : values) v = Real(v * scale);
  return values;
}

/// NaN where sequences are padded in [K,T,N,columns].
template <class Real>
void poison_padding(const StepsProblem& p, std::vector<Real>& x, std::int64_t columns) {
  if (x.empty()) return;
  const std::int64_t rows = std::int64_t(x.size()) / columns;
  for (std::int64_t row = 0; row < rows; ++row) {
    if (row / p.N % p.T < p.length(row % p.N)) continue;
    std::fill_n(x.begin() + row * columns, columns, std::numeric_limits<Real>::quiet_NaN());
  }
}

template <class Real>
StepsInputs<Real> random_inputs(const Variant& v, unsigned seed, std::int64_t K, unsigned null) {
  StepsInputs<Real> in;
  const std::vector<std::int64_t> sizes = input_sizes(v.p);
  for (std::size_t i = 0; i < sizes.size(); ++i)
    if (!(null >> i & 1)) *in.all()[i] = scaled_normal<Real>(K * sizes[i], seed + unsigned(i));
  if (v.p.I > 0) poison_padding(v.p, in.x, v.p.I);
  return in;
}

template <class Real>
Outputs<Real> random_outputs(const Variant& v, unsigned seed) {
  const StepsProblem& p = v.p;
  const std::int64_t P = p.P(), stride = v.dy_stride ? v.dy_stride : P;
  Outputs<Real> u;
  if (!(v.null_cotangents & out_y)) {
    u.y = scaled_normal<Real>(v.K * p.T * p.N * stride, seed);
    poison_padding(p, u.y, stride);
  }
  if (!(v.null_cotangents & out_h_n)) u.h_n = scaled_normal<Real>(v.K * p.N * P, seed + 1);
  if (p.has_cell() && !(v.null_cotangents & out_c_n))
    u.c_n = scaled_normal<Real>(v.K * p.N * p.H, seed + 2);
  return u;
}

// ---- A backend's kernels on a variant

/// Tensors in a backend's memory; an empty one is null there.
template <class Real, class Backend, class Tensors>
class Placed {
  using Array = typename Backend::template Array<Real>;

 public:
  explicit Placed(Tensors tensors) : like_(tensors) {
    for (auto* tensor : tensors.all())
      arrays_.push_back(tensor->empty() ? nullptr : std::make_unique<Array>(*tensor));
  }
  Real* operator[](std::size_t i) const { return arrays_[i] ? arrays_[i]->data() : nullptr; }
  Tensors values() const {
    Tensors result = like_;
    for (std::size_t i = 0; i < arrays_.size(); ++i)
      if (arrays_[i]) *result.all()[i] = arrays_[i]->values();
    return result;
  }

 private:
  Tensors like_;
  std::vector<std::unique_ptr<Array>> arrays_;
};

template <class Real, class Backend>
class Recurrent {
  using Array = typename Backend::template Array<Real>;
  using Words = typename Backend::template Array<std::int64_t>;
  template <class Tensors>
  using Placed_ = Placed<Real, Backend, Tensors>;

 public:
  struct Forward {
    std::vector<Real> h, c;
    Outputs<Real> out;
  };

  Recurrent(const Variant& variant, StepsInputs<Real> inputs)
      : v_(variant),
        p_(variant.p),
        in_(inputs),
        h_(states(h_stride(), inputs.h0, p_.P())),
        c_(states(p_.has_cell() ? p_.H : 0, inputs.c0, p_.H)) {
    if (!p_.lengths.empty()) lengths_ = Lengths(p_.lengths);
    if (lengths_ && Backend::on_gpu) words_ = std::make_unique<Words>(words());
  }

  Forward forward() {
    Placed_<Outputs<Real>> out(empty_outputs(1, v_.y_stride));
    with_family([&](const auto& shape, auto args, auto, auto, auto family) {
      const RecurrentSizes size = family.sizes(shape);
      saved_ = std::make_unique<Array>(std::size_t(size.saved));
      const Array scratch(std::size_t(size.forward_scratch));
      args.x = in_[0], args.w_ih = in_[1], args.w_hh = in_[2], args.b_ih = in_[3];
      args.b_hh = in_[4], args.h = h_.data();
      args.y = out[0], args.y_stride = v_.y_stride, args.h_n = out[1];
      args.saved = v_.save ? saved_->data() : nullptr;
      if constexpr (requires { args.c; })
        args.c = c_.data(), args.c_n = out[2], args.extra = extra<const Real*>(in_);
      args.scratch = scratch.data();
      family.forward(shape, args);
      if (Backend::on_gpu) synchronize();
    });
    return {h_.values(), c_.values(), out.values()};
  }

  StepsInputs<Real> pull(const Outputs<Real>& cotangents, const StepsInputs<Real>& before) {
    const Placed_<Outputs<Real>> u(cotangents);
    const Placed_<StepsInputs<Real>> d(before);
    const Real beta = Real(v_.beta);
    with_family([&](const auto& shape, auto, auto args, auto, auto family) {
      const Array scratch(std::size_t(family.sizes(shape).pullback_scratch));
      set_point(args);
      args.dy = u[0], args.dy_stride = v_.dy_stride, args.dh_n = u[1];
      args.dx = d[0], args.dw_ih = d[1], args.dw_hh = d[2], args.db_ih = d[3], args.db_hh = d[4];
      args.dh0 = d[5];
      args.beta_dx = args.beta_dh0 = args.beta_dw_ih = args.beta_dw_hh = beta;
      args.beta_db_ih = args.beta_db_hh = beta;
      if constexpr (requires { args.dc0; }) {
        args.dc_n = u[2], args.dc0 = d[6], args.beta_dc0 = beta;
        args.d_extra = extra<Real*>(d);
        args.beta_extra = {beta, beta, beta, beta, beta, beta};
      }
      args.scratch = scratch.data();
      family.pullback(shape, args);
      if (Backend::on_gpu) synchronize();
    });
    return d.values();
  }

  Outputs<Real> push(const StepsInputs<Real>& tangents) {
    const Placed_<StepsInputs<Real>> d(tangents);
    const Placed_<Outputs<Real>> out(empty_outputs(v_.K, v_.dy_stride));
    with_family([&](const auto& shape, auto, auto, auto args, auto family) {
      const Array scratch(std::size_t(family.sizes(shape).pushforward_scratch));
      set_point(args);
      args.dx = d[0], args.dw_ih = d[1], args.dw_hh = d[2], args.db_ih = d[3], args.db_hh = d[4];
      args.dh0 = d[5];
      args.dy = out[0], args.dy_stride = v_.dy_stride, args.dh_n = out[1];
      if constexpr (requires { args.dc0; })
        args.dc0 = d[6], args.dc_n = out[2], args.d_extra = extra<const Real*>(d);
      args.scratch = scratch.data();
      family.pushforward(shape, args);
      if (Backend::on_gpu) synchronize();
    });
    return out.values();
  }

  Outputs<Real> empty_outputs(std::int64_t K, std::int64_t stride) const {
    const Real unset = std::numeric_limits<Real>::quiet_NaN();
    Outputs<Real> out;
    const auto fill = [&](unsigned bit, std::vector<Real>& to, std::int64_t size) {
      if (!(v_.unwanted_outputs & bit)) to.assign(std::size_t(size), unset);
    };
    fill(out_y, out.y, K * p_.T * p_.N * (stride ? stride : p_.P()));
    fill(out_h_n, out.h_n, K * p_.N * p_.P());
    if (p_.has_cell()) fill(out_c_n, out.c_n, K * p_.N * p_.H);
    return out;
  }

 private:
  std::int64_t h_stride() const { return v_.h_stride ? v_.h_stride : p_.P(); }

  // [T+1,N,stride], the initial states and NaN behind them.
  std::vector<Real> states(std::int64_t stride, const std::vector<Real>& first,
                           std::int64_t width) const {
    std::vector<Real> all(std::size_t((p_.T + 1) * p_.N * stride),
                          std::numeric_limits<Real>::quiet_NaN());
    for (std::int64_t n = 0; !all.empty() && n < p_.N; ++n)
      std::copy_n(first.begin() + n * width, width, all.begin() + n * stride);
    return all;
  }

  // length, order and active.
  std::vector<std::int64_t> words() const {
    const LengthsView view = lengths_.view("test", p_.T, p_.N);
    std::vector<std::int64_t> all(view.length, view.length + p_.N);
    all.insert(all.end(), view.order, view.order + p_.N);
    all.insert(all.end(), view.active, view.active + view.longest);
    return all;
  }

  template <class Pointer, class From>
  static LstmExtra<Pointer> extra(const From& from) {
    return {from[7], from[8], from[9], from[10], from[11], from[12]};
  }

  template <class Args>
  void set_point(Args& args) const {
    args.x = in_[0], args.w_ih = in_[1], args.w_hh = in_[2];
    args.h = h_.data(), args.saved = saved_->data();
    if constexpr (requires { args.c; }) args.c = c_.data(), args.extra = extra<const Real*>(in_);
  }

  // Calls body(shape, three empty argument structs, the family's kernels).
  template <class Body>
  void with_family(const Body& body) const {
    RecurrentShape base{.T = p_.T, .N = p_.N, .I = p_.I, .H = p_.H, .K = v_.K};
    base.h_stride = v_.h_stride, base.reverse = p_.reverse;
    base.first_step = v_.first_step, base.segment = v_.segment;
    if (lengths_) base.lengths = lengths_.view("test", p_.T, p_.N);
    if (words_) base.lengths.on_device = words_->data();
    if (p_.cell == Cell::lstm) {
      body(LstmShape{base, p_.projection, p_.peephole, p_.norm, p_.options}, LstmForward<Real>{},
           LstmPullback<Real>{}, LstmPushforward<Real>{}, typename Backend::template lstm<Real>{});
    } else if (p_.cell == Cell::gru) {
      body(GruShape{base, p_.reset_first, p_.options}, GruForward<Real>{}, GruPullback<Real>{},
           GruPushforward<Real>{}, typename Backend::template gru<Real>{});
    } else {
      const RnnActivation activation = p_.cell == Cell::tanh   ? RnnActivation::tanh
                                       : p_.cell == Cell::relu ? RnnActivation::relu
                                                               : RnnActivation::identity;
      body(RnnShape{base, activation, p_.options}, RnnForward<Real>{}, RnnPullback<Real>{},
           RnnPushforward<Real>{}, typename Backend::template rnn<Real>{});
    }
  }

  const Variant v_;
  const StepsProblem& p_ = v_.p;
  const Placed_<StepsInputs<Real>> in_;
  const Array h_, c_;
  Lengths lengths_;
  std::unique_ptr<Words> words_;
  std::unique_ptr<Array> saved_;
};

// ---- All passes

template <class Real>
struct Results {
  std::vector<std::pair<std::string, std::vector<Real>>> all;
  template <class Tensors>
  void add(const std::string& prefix, Tensors tensors) {
    for (std::size_t i = 0; i < tensors.all().size(); ++i)
      all.emplace_back(prefix + " " + std::to_string(i), *tensors.all()[i]);
  }
};

/// Everything that the three passes return, with the same numbers for every backend.
template <class Real, class Backend>
Results<Real> run_all(const Variant& v, double scale = 1) {
  StepsInputs<Real> in = random_inputs<Real>(v, 1, 1, v.null_operands);
  for (auto* tensor : in.all())
    for (Real& number : *tensor) number = Real(number * scale);
  Recurrent<Real, Backend> kernels(v, in);
  Results<Real> results;
  const auto forward = kernels.forward();
  results.all.emplace_back("h", forward.h);
  results.all.emplace_back("c", forward.c);
  results.add("output", forward.out);
  if (!v.save) return results;
  StepsInputs<Real> before = random_inputs<Real>(v, 40, v.K, v.unwanted);
  if (v.beta == 0) {  // never read
    for (auto* tensor : before.all())
      std::fill(tensor->begin(), tensor->end(), std::numeric_limits<Real>::quiet_NaN());
  }
  results.add("cotangent", kernels.pull(random_outputs<Real>(v, 70), before));
  results.add("output's tangent", kernels.push(random_inputs<Real>(v, 100, v.K, v.null_tangents)));
  return results;
}

template <class Real>
constexpr double tolerance = sizeof(Real) == 4 ? 1e-5 : 1e-11;

/// The GPU's results are the CPU's. Numbers of a large `scale` saturate the gates: of their
/// derivatives, 1 - h^2, only what the rounding of 1 leaves is known.
template <class Real>
void expect_cpu(const Variant& v, double scale = 1) {
  const double rounding = 16 * double(std::numeric_limits<Real>::epsilon()) * scale;
  const double terms = scale > 1 ? rounding / tolerance<Real> : 0;
  const Results<Real> want = run_all<Real, OnCpu>(v, scale), got = run_all<Real, OnGpu>(v, scale);
  for (std::size_t i = 0; i < want.all.size(); ++i) {
    SCOPED_TRACE(v.p.name + ": " + want.all[i].first);
    expect_close(got.all[i].second, want.all[i].second, tolerance<Real>, terms);
    if (::testing::Test::HasFailure()) return;
  }
}

template <class Real>
void expect_equal_bits(const Results<Real>& got, const Results<Real>& want) {
  for (std::size_t i = 0; i < want.all.size(); ++i) {
    const auto &a = got.all[i].second, &b = want.all[i].second;
    SCOPED_TRACE(want.all[i].first);
    ASSERT_EQ(a.size(), b.size());
    EXPECT_TRUE(a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(Real)) == 0);
  }
}

/// Each order of threads gives the same bits.
template <class Real>
void expect_same_bits(const Variant& v) {
  std::vector<Results<Real>> runs;
  in_every_order([&] { runs.push_back(run_all<Real, OnGpu>(v)); });
  SCOPED_TRACE(v.p.name);
  for (const Results<Real>& run : runs) expect_equal_bits(run, runs[0]);
}

}  // namespace unroll::gpu_test
