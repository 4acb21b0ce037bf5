// The recurrent cells with every option as plain loops over one number type, the oracle of the
// general loop's tests. Written from the formulas in kernels/{recurrent,lstm,gru,rnn}.h alone.
//
//   StepsInputs<double> in = ...;   Outputs<double> out = steps_reference(problem, in);
//
// Derivatives come from `Dual` and `Traced`, as in recurrent_reference.h.
#pragma once

#include <algorithm>
#include <ostream>
#include <string>

#include "core/random.h"
#include "kernels/recurrent.h"
#include "tests/recurrent_reference.h"

namespace unroll::testing {

struct StepsProblem {
  std::string name;
  Cell cell;
  std::int64_t T, N, I, H;
  std::int64_t projection = 0;  // 0: none
  bool peephole = false, norm = false, reset_first = false, reverse = false;
  RecurrentOptions options = {};
  std::vector<std::int64_t> lengths = {};  // empty: all T
  bool coupled = false;                    // LSTM: f = 1 - i
  bool recompute = false;                  // of the op alone

  std::int64_t P() const { return projection ? projection : H; }
  std::int64_t length(std::int64_t n) const { return lengths.empty() ? T : lengths[n]; }
  std::int64_t gates() const { return gates_of(cell); }
  bool has_cell() const { return cell == Cell::lstm; }
};

inline void PrintTo(const StepsProblem& p, std::ostream* out) { *out << p.name; }

template <class Number>
struct StepsInputs {
  std::vector<Number> x, w_ih, w_hh, b_ih, b_hh, h0, c0;
  std::vector<Number> w_hr, peephole, norm_ih, norm_hh, norm_c, norm_c_bias;
  static constexpr int count = 13, parameters[10] = {1, 2, 3, 4, 7, 8, 9, 10, 11, 12};
  std::vector<std::vector<Number>*> all() {
    return {&x,    &w_ih,     &w_hh,    &b_ih,    &b_hh,   &h0,         &c0,
            &w_hr, &peephole, &norm_ih, &norm_hh, &norm_c, &norm_c_bias};
  }
};

// Elements of each input; 0 where the problem has no such operand.
inline std::vector<std::int64_t> input_sizes(const StepsProblem& p) {
  const std::int64_t rows = p.gates() * p.H, norm = p.norm ? 1 : 0;
  return {p.T * p.N * p.I,
          rows * p.I,
          rows * p.P(),
          rows,
          rows,
          p.N * p.P(),
          p.has_cell() ? p.N * p.H : 0,
          p.projection * p.H,
          p.peephole ? 3 * p.H : 0,
          norm * rows,
          norm * rows,
          norm * p.H,
          norm * p.H};
}

template <class Number>
Number clipped(Number x, double bound) {
  const double v = value_of(x);
  if (bound == 0) return x;
  return with_slope(x, std::clamp(v, -bound, bound), std::abs(v) <= bound ? 1 : 0);
}

template <class Number>
std::vector<Number> normalised(const std::vector<Number>& v) {
  const double share = 1.0 / double(v.size());
  Number mean(0), variance(0);
  for (const Number& e : v) mean = mean + e * Number(share);
  for (const Number& e : v) variance = variance + (e - mean) * (e - mean) * Number(share);
  const double scale = 1 / std::sqrt(value_of(variance) + 1e-5);
  const Number factor = with_slope(variance, scale, -0.5 * scale * scale * scale);
  std::vector<Number> result;
  for (const Number& e : v) result.push_back((e - mean) * factor);
  return result;
}

// What is drawn for a whole call, in the order that recurrent.h gives.
struct StepsDraws {
  std::vector<double> dropout, zoneout_h, zoneout_c;
  explicit StepsDraws(const StepsProblem& p) {
    Random random(p.options.seed, p.options.stream);
    random.set_counter(p.options.counter);
    for (std::int64_t i = 0; i < p.N * p.P(); ++i) dropout.push_back(random.uniform());
    for (std::int64_t i = 0; i < p.T * p.N * p.P(); ++i) zoneout_h.push_back(random.uniform());
    for (std::int64_t i = 0; i < p.T * p.N * p.H; ++i) zoneout_c.push_back(random.uniform());
  }
};

template <class Number>
class StepsReference {
  using Numbers = std::vector<Number>;

 public:
  StepsReference(const StepsProblem& problem, const StepsInputs<Number>& inputs)
      : p(problem), in(inputs), draws(problem) {}

  Outputs<Number> run() {
    Outputs<Number> out;
    out.y.assign(p.T * p.N * p.P(), Number(0));
    for (n = 0; n < p.N; ++n) {
      h.assign(in.h0.begin() + n * p.P(), in.h0.begin() + (n + 1) * p.P());
      if (p.has_cell()) c.assign(in.c0.begin() + n * p.H, in.c0.begin() + (n + 1) * p.H);
      for (t = 0; t < p.length(n); ++t) {
        const std::int64_t time = p.reverse ? p.length(n) - 1 - t : t;
        step(in.x.data() + (time * p.N + n) * p.I);
        std::copy(h.begin(), h.end(), out.y.begin() + (time * p.N + n) * p.P());
      }
      out.h_n.insert(out.h_n.end(), h.begin(), h.end());
      if (p.has_cell()) out.c_n.insert(out.c_n.end(), c.begin(), c.end());
    }
    return out;
  }

 private:
  static Numbers product(const Numbers& w, const Numbers& v, std::int64_t begin, std::int64_t end) {
    Numbers result;
    const std::int64_t columns = std::int64_t(v.size());
    for (std::int64_t row = begin; row < end; ++row) {
      Number sum(0);
      for (std::int64_t k = 0; k < columns; ++k) sum = sum + w[row * columns + k] * v[k];
      result.push_back(sum);
    }
    return result;
  }
  Numbers with_bias(Numbers v, const Numbers& gain, const Numbers& bias) const {
    if (p.norm) v = normalised(v);
    for (std::size_t i = 0; i < v.size(); ++i) v[i] = (p.norm ? gain[i] * v[i] : v[i]) + bias[i];
    return v;
  }
  Number seen(Number pre) const { return clipped(pre, p.options.clip); }

  void step(const Number* x_data) {
    const Numbers x(x_data, x_data + p.I);
    Numbers m = h;
    if (p.options.training && p.options.dropout > 0) {
      for (std::int64_t u = 0; u < p.P(); ++u) {
        const bool dropped = draws.dropout[n * p.P() + u] < p.options.dropout;
        m[u] = m[u] * Number(dropped ? 0 : 1 / (1 - p.options.dropout));
      }
    }
    const std::int64_t rows = p.gates() * p.H;
    const Numbers a = with_bias(product(in.w_ih, x, 0, rows), in.norm_ih, in.b_ih);
    const Numbers b = with_bias(product(in.w_hh, m, 0, rows), in.norm_hh, in.b_hh);
    Numbers new_h, new_c;
    if (p.cell == Cell::lstm) {
      lstm(a, b, new_h, new_c);
    } else if (p.cell == Cell::gru) {
      gru(a, b, m, new_h);
    } else {
      for (std::int64_t u = 0; u < p.H; ++u) {
        const Number pre = seen(a[u] + b[u]);
        new_h.push_back(p.cell == Cell::tanh   ? tanh_of(pre)
                        : p.cell == Cell::relu ? relu_of(pre)
                                               : pre);
      }
    }
    zoneout(h, new_h, p.options.zoneout_h, draws.zoneout_h);
    if (p.has_cell()) zoneout(c, new_c, p.options.zoneout_c, draws.zoneout_c);
  }

  void lstm(const Numbers& a, const Numbers& b, Numbers& new_h, Numbers& new_c) const {
    const std::int64_t H = p.H;
    Numbers o;
    for (std::int64_t u = 0; u < H; ++u) {
      const auto pre = [&](int gate) { return a[gate * H + u] + b[gate * H + u]; };
      const auto peep = [&](int which, const Number& cell) {
        return p.peephole ? in.peephole[which * H + u] * cell : Number(0);
      };
      const Number i = sigmoid_of(seen(pre(0) + peep(0, c[u])));
      const Number f = p.coupled ? Number(1) - i : sigmoid_of(seen(pre(1) + peep(1, c[u])));
      new_c.push_back(f * c[u] + i * tanh_of(seen(pre(2))));
      o.push_back(sigmoid_of(seen(pre(3) + peep(2, new_c[u]))));
    }
    Numbers shown = new_c, full;
    if (p.norm) {
      shown = normalised(new_c);
      for (std::int64_t u = 0; u < H; ++u) shown[u] = in.norm_c[u] * shown[u] + in.norm_c_bias[u];
    }
    for (std::int64_t u = 0; u < H; ++u) full.push_back(o[u] * tanh_of(shown[u]));
    new_h = p.projection ? product(in.w_hr, full, 0, p.projection) : full;
  }

  void gru(const Numbers& a, const Numbers& b, const Numbers& m, Numbers& new_h) const {
    const std::int64_t H = p.H;
    Numbers r, reset;
    for (std::int64_t u = 0; u < H; ++u) r.push_back(sigmoid_of(seen(a[u] + b[u])));
    for (std::int64_t u = 0; u < H; ++u) reset.push_back(r[u] * m[u]);
    const Numbers inner = product(in.w_hh, reset, 2 * H, 3 * H);
    for (std::int64_t u = 0; u < H; ++u) {
      const Number z = sigmoid_of(seen(a[H + u] + b[H + u]));
      const Number from_h = p.reset_first ? inner[u] + in.b_hh[2 * H + u] : r[u] * b[2 * H + u];
      const Number candidate = tanh_of(seen(a[2 * H + u] + from_h));
      new_h.push_back((Number(1) - z) * candidate + z * h[u]);
    }
  }

  void zoneout(Numbers& state, const Numbers& next, double rate,
               const std::vector<double>& drawn) const {
    const std::int64_t width = std::int64_t(state.size());
    for (std::int64_t u = 0; u < width; ++u) {
      const bool keep = drawn[(t * p.N + n) * width + u] < rate;
      if (p.options.training) {
        state[u] = keep ? state[u] : next[u];
      } else {
        state[u] = Number(rate) * state[u] + Number(1 - rate) * next[u];
      }
    }
  }

  const StepsProblem& p;
  const StepsInputs<Number>& in;
  const StepsDraws draws;
  std::int64_t n = 0, t = 0;
  Numbers h, c;
};

template <class Number>
Outputs<Number> steps_reference(const StepsProblem& p, const StepsInputs<Number>& in) {
  return StepsReference<Number>(p, in).run();
}

// Tangents of the inputs -> tangents of the outputs. An empty tangent is zero.
inline Outputs<double> steps_reference_push(const StepsProblem& p, StepsInputs<double> at,
                                            StepsInputs<double> tangent) {
  StepsInputs<Dual> in;
  for (std::size_t i = 0; i < in.all().size(); ++i) {
    const auto &value = *at.all()[i], &v = *tangent.all()[i];
    for (std::size_t e = 0; e < value.size(); ++e) {
      in.all()[i]->push_back({value[e], v.empty() ? 0 : v[e]});
    }
  }
  Outputs<Dual> out = steps_reference(p, in);
  Outputs<double> result;
  for (std::size_t i = 0; i < out.all().size(); ++i) {
    for (const Dual& d : *out.all()[i]) result.all()[i]->push_back(d.tangent);
  }
  return result;
}

// Cotangents of the outputs -> cotangents of the inputs.
inline StepsInputs<double> steps_reference_pull(const StepsProblem& p, StepsInputs<double> at,
                                                Outputs<double> cotangent) {
  Traced::nodes().clear();
  StepsInputs<Traced> in;
  for (std::size_t i = 0; i < in.all().size(); ++i) {
    for (double v : *at.all()[i]) in.all()[i]->push_back(Traced::leaf(v));
  }
  Outputs<Traced> out = steps_reference(p, in);
  for (std::size_t i = 0; i < out.all().size(); ++i) {
    for (std::size_t e = 0; e < out.all()[i]->size(); ++e) {
      const int node = (*out.all()[i])[e].node;
      if (node >= 0) Traced::nodes()[node].cotangent += (*cotangent.all()[i])[e];
    }
  }
  Traced::sweep();
  StepsInputs<double> result;
  for (std::size_t i = 0; i < in.all().size(); ++i) {
    for (const Traced& leaf : *in.all()[i]) {
      result.all()[i]->push_back(Traced::nodes()[leaf.node].cotangent);
    }
  }
  return result;
}

}  // namespace unroll::testing
