// The recurrent cells as plain loops over one number type, the oracle of the kernels' tests.
//
//   Inputs<double> in = ...;   Outputs<double> out = reference(problem, in);
//
// With `Dual` for the number the same loops give tangents, with `Traced` cotangents: no derivative
// is written by hand, so none can repeat a mistake of the kernels.
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

namespace unroll::testing {

enum class Cell { lstm, gru, tanh, relu, identity };

inline int gates_of(Cell cell) { return cell == Cell::lstm ? 4 : cell == Cell::gru ? 3 : 1; }

struct Problem {
  Cell cell;
  std::int64_t T, N, I, H;
  std::vector<std::int64_t> lengths = {};  // empty: all T
  bool reverse = false;                    // from the last valid step to the first
  std::int64_t length(std::int64_t n) const { return lengths.empty() ? T : lengths[n]; }
  std::int64_t gates() const { return gates_of(cell); }
  // Where step t of the run of sequence n lies in time.
  std::int64_t time(std::int64_t t, std::int64_t n) const {
    return reverse ? length(n) - 1 - t : t;
  }
};

template <class Number>
struct Inputs {
  std::vector<Number> x, w_ih, w_hh, b_ih, b_hh, h0, c0;
  // Every tensor, in this order, for loops over all of them.
  std::vector<std::vector<Number>*> all() { return {&x, &w_ih, &w_hh, &b_ih, &b_hh, &h0, &c0}; }
};

template <class Number>
struct Outputs {
  std::vector<Number> y, h_n, c_n;
  std::vector<std::vector<Number>*> all() { return {&y, &h_n, &c_n}; }
};

// ---- Numbers that carry derivatives

struct Dual {
  double value = 0, tangent = 0;
  Dual(double v = 0, double t = 0) : value(v), tangent(t) {}
};
inline Dual operator+(Dual a, Dual b) { return {a.value + b.value, a.tangent + b.tangent}; }
inline Dual operator-(Dual a, Dual b) { return {a.value - b.value, a.tangent - b.tangent}; }
inline Dual operator*(Dual a, Dual b) {
  return {a.value * b.value, a.tangent * b.value + a.value * b.tangent};
}
inline Dual with_slope(Dual x, double value, double slope) { return {value, slope * x.tangent}; }
inline double value_of(Dual x) { return x.value; }

// A number that remembers what it was made of.
struct Traced {
  struct Node {
    int a = -1, b = -1;
    double slope_a = 0, slope_b = 0, cotangent = 0;
  };
  static std::vector<Node>& nodes() {
    static std::vector<Node> all;
    return all;
  }
  double value = 0;
  int node = -1;  // -1: a constant
  Traced(double v = 0) : value(v) {}
  static Traced leaf(double v) { return made(v, {}); }
  static Traced made(double v, Node node) {
    Traced result(v);
    result.node = int(nodes().size());
    nodes().push_back(node);
    return result;
  }
  // Cotangents of all nodes, from those already set.
  static void sweep() {
    for (auto node = nodes().rbegin(); node != nodes().rend(); ++node) {
      if (node->a >= 0) nodes()[node->a].cotangent += node->slope_a * node->cotangent;
      if (node->b >= 0) nodes()[node->b].cotangent += node->slope_b * node->cotangent;
    }
  }
};
inline Traced operator+(Traced a, Traced b) {
  return Traced::made(a.value + b.value, {a.node, b.node, 1, 1, 0});
}
inline Traced operator-(Traced a, Traced b) {
  return Traced::made(a.value - b.value, {a.node, b.node, 1, -1, 0});
}
inline Traced operator*(Traced a, Traced b) {
  return Traced::made(a.value * b.value, {a.node, b.node, b.value, a.value, 0});
}
inline Traced with_slope(Traced x, double value, double slope) {
  return Traced::made(value, {x.node, -1, slope, 0, 0});
}
inline double value_of(Traced x) { return x.value; }

inline double with_slope(double, double value, double) { return value; }
inline double value_of(double x) { return x; }

template <class Number>
Number sigmoid_of(Number x) {
  const double y = 1 / (1 + std::exp(-value_of(x)));
  return with_slope(x, y, y * (1 - y));
}
template <class Number>
Number tanh_of(Number x) {
  const double y = std::tanh(value_of(x));
  return with_slope(x, y, 1 - y * y);
}
template <class Number>
Number relu_of(Number x) {
  const double v = value_of(x);
  return with_slope(x, v <= 0 ? 0 : v, v > 0 ? 1 : 0);
}

// ---- The cells

// w[row, :] v + b[row]
template <class Number>
Number affine(const std::vector<Number>& w, const std::vector<Number>& b, std::int64_t row,
              const Number* v, std::int64_t columns) {
  Number sum = b[row];
  for (std::int64_t k = 0; k < columns; ++k) sum = sum + w[row * columns + k] * v[k];
  return sum;
}

// One step of one sequence: h and c are replaced.
template <class Number>
void reference_step(const Problem& p, const Inputs<Number>& in, const Number* x,
                    std::vector<Number>& h, std::vector<Number>& c) {
  const std::int64_t H = p.H;
  std::vector<Number> a(p.gates() * H), b(p.gates() * H);
  for (std::int64_t row = 0; row < p.gates() * H; ++row) {
    a[row] = affine(in.w_ih, in.b_ih, row, x, p.I);
    b[row] = affine(in.w_hh, in.b_hh, row, h.data(), H);
  }
  for (std::int64_t u = 0; u < H; ++u) {
    const auto pre = [&](int gate) { return a[gate * H + u] + b[gate * H + u]; };
    switch (p.cell) {
      case Cell::lstm: {
        const Number g = tanh_of(pre(2));
        c[u] = sigmoid_of(pre(1)) * c[u] + sigmoid_of(pre(0)) * g;
        h[u] = sigmoid_of(pre(3)) * tanh_of(c[u]);
        break;
      }
      case Cell::gru: {
        const Number r = sigmoid_of(pre(0)), z = sigmoid_of(pre(1));
        const Number n = tanh_of(a[2 * H + u] + r * b[2 * H + u]);
        h[u] = (Number(1) - z) * n + z * h[u];
        break;
      }
      case Cell::tanh: h[u] = tanh_of(pre(0)); break;
      case Cell::relu: h[u] = relu_of(pre(0)); break;
      case Cell::identity: h[u] = pre(0); break;
    }
  }
}

template <class Number>
Outputs<Number> reference(const Problem& p, const Inputs<Number>& in) {
  const std::int64_t H = p.H;
  Outputs<Number> out;
  out.y.assign(p.T * p.N * H, Number(0));
  for (std::int64_t n = 0; n < p.N; ++n) {
    std::vector<Number> h(in.h0.begin() + n * H, in.h0.begin() + (n + 1) * H);
    std::vector<Number> c(in.c0.begin() + n * H, in.c0.begin() + (n + 1) * H);
    for (std::int64_t t = 0; t < p.length(n); ++t) {
      const std::int64_t row = p.time(t, n) * p.N + n;
      reference_step(p, in, in.x.data() + row * p.I, h, c);
      for (std::int64_t u = 0; u < H; ++u) out.y[row * H + u] = h[u];
    }
    out.h_n.insert(out.h_n.end(), h.begin(), h.end());
    out.c_n.insert(out.c_n.end(), c.begin(), c.end());
  }
  return out;
}

// Tangents of the inputs -> tangents of the outputs.
inline Outputs<double> reference_push(const Problem& p, Inputs<double> at, Inputs<double> tangent) {
  Inputs<Dual> in;
  for (std::size_t i = 0; i < in.all().size(); ++i) {
    for (std::size_t e = 0; e < at.all()[i]->size(); ++e) {
      in.all()[i]->push_back({(*at.all()[i])[e], (*tangent.all()[i])[e]});
    }
  }
  Outputs<Dual> out = reference(p, in);
  Outputs<double> result;
  for (std::size_t i = 0; i < out.all().size(); ++i) {
    for (const Dual& d : *out.all()[i]) result.all()[i]->push_back(d.tangent);
  }
  return result;
}

// Cotangents of the outputs -> cotangents of the inputs.
inline Inputs<double> reference_pull(const Problem& p, Inputs<double> at,
                                     Outputs<double> cotangent) {
  Traced::nodes().clear();
  Inputs<Traced> in;
  for (std::size_t i = 0; i < in.all().size(); ++i) {
    for (double v : *at.all()[i]) in.all()[i]->push_back(Traced::leaf(v));
  }
  Outputs<Traced> out = reference(p, in);
  for (std::size_t i = 0; i < out.all().size(); ++i) {
    for (std::size_t e = 0; e < out.all()[i]->size(); ++e) {
      const int node = (*out.all()[i])[e].node;
      if (node >= 0) Traced::nodes()[node].cotangent += (*cotangent.all()[i])[e];
    }
  }
  Traced::sweep();
  Inputs<double> result;
  for (std::size_t i = 0; i < in.all().size(); ++i) {
    for (const Traced& leaf : *in.all()[i]) {
      result.all()[i]->push_back(Traced::nodes()[leaf.node].cotangent);
    }
  }
  return result;
}

}  // namespace unroll::testing
