// The checks that the harness derives from a row.
#include <algorithm>
#include <cmath>
#include <optional>
#include <sstream>

#include "autograd/gradcheck.h"
#include "autograd/ops.h"
#include "autograd/parameters.h"
#include "autograd/tape.h"
#include "core/memory.h"
#include "core/parallel.h"
#include "core/view.h"
#include "tests/op_cases.h"
#include "tests/teams.h"
#include "tests/testing.h"

namespace unroll::testing {
namespace {

std::string say(const std::string& what, double error, double bar) {
  if (error <= bar) return "";
  std::ostringstream text;
  text << what << ": " << error << " > " << bar << "; ";
  return text.str();
}

Arrays arrays_of(const Tensors& x) {
  Arrays all;
  for (const Tensor& t : x)
    all.push_back({t.shape(), to_vector<double>(cast_copy(t, Dtype::float64))});
  return all;
}

Tensor tensor_of(const Array& a) { return from_values<double>(a.v, a.shape); }

bool is_wanted(const Tensor& x) { return x.dtype() == Dtype::float64; }

// The inputs that derivatives are taken by.
Tensors wanted(const Tensors& x) {
  Tensors out;
  for (const Tensor& t : x)
    if (is_wanted(t)) out.push_back(t);
  return out;
}

Tensors random_like(const Tensors& x, std::uint64_t seed, std::int64_t K = 0) {
  Tensors v;
  for (const Tensor& t : x) {
    Shape shape = t.shape();
    if (K) shape.insert(0, K);
    v.push_back(random_normal(shape, seed++));
  }
  return v;
}

// The same values behind strides that are not row-major: every second element of a transposed
// buffer.
Tensor scattered(const Tensor& x) {
  if (x.rank() == 0) return x;
  Shape wide = x.shape();
  for (int i = 0; i < x.rank(); i++) wide[i] = x.shape()[-1 - i];
  wide[-1] = 2 * wide[-1] + 1;
  Tensor buffer = full(wide, x.dtype() == Dtype::int64 ? 0 : 1e6, x.dtype());
  Tensor y = view::slice(buffer, -1, 1, wide[-1], 2);
  Axes order;
  order.count = x.rank();
  for (int i = 0; i < order.count; i++) order.axis[i] = order.count - 1 - i;
  y = view::permute(y, order);
  copy_into(y, x);
  return y;
}

Tensors add_scaled(const Tensors& x, const Tensors& v, double h) {
  Tensors out;
  std::size_t k = 0;
  for (const Tensor& t : x) out.push_back(is_wanted(t) ? t + v[k++] * h : t);
  return out;
}

struct Threads {
  int before = num_threads();
  ~Threads() { set_num_threads(before); }
};

Tensors moved(const Tensors& x, Device device) {
  Tensors all;
  for (const Tensor& t : x) all.push_back(on_device(t, device));
  return all;
}

// Value, pullback and pushforward of the row on the device of x, one behind the other, with the
// same cotangent and tangents wherever that is.
Tensors swept(const OpCase& c, const Tensors& x, Dtype real) {
  const auto is_real_input = [&](const Tensor& t) { return t.dtype() == real; };
  Tensors at, v;
  std::uint64_t seed = 9;
  for (const Tensor& t : x) {
    if (!is_real_input(t)) continue;
    at.push_back(t);
    v.push_back(on_device(random_normal(t.shape(), seed++, 1, real), t.device()));
  }
  Tape tape;
  const Tensor y = c.f(x);
  Tensors all{y};
  if (!c.differentiable) return all;
  const Tensor u = on_device(random_normal(y.shape(), 3, 1, real), y.device());
  for (Tensor& g : tape.pull(y, u, at)) all.push_back(g);
  all.push_back(tape.push(at, v, y));
  return all;
}

}  // namespace

std::string check_value(const OpCase& c) {
  const Tensors x = c.make_inputs();
  const Tensor expected = tensor_of(c.reference(arrays_of(x)));
  const Tensor y = c.f(x);
  std::string wrong = say("value against the reference", difference(y, expected), 1e-13);
  if (!(y.shape() == expected.shape()))
    wrong += "shape " + to_string(y.shape()) + ", not " + to_string(expected.shape()) + "; ";
  Tensors narrow, rounded;
  for (const Tensor& t : x) {
    narrow.push_back(is_wanted(t) ? cast_copy(t, Dtype::float32) : t);
    rounded.push_back(is_wanted(t) ? cast_copy(narrow.back(), Dtype::float64) : t);
  }
  const Tensor y32 = c.f(narrow);
  if (c.differentiable && y32.dtype() != Dtype::float32) wrong += "float32 became another type; ";
  return wrong + say("float32 against float64", difference(y32, c.f(rounded)), c.float32_tolerance);
}

std::string check_strided(const OpCase& c) {
  const Tensors x = c.make_inputs();
  Tensors odd;
  for (const Tensor& t : x) odd.push_back(scattered(t));
  const Tensor expected = c.f(x);
  std::string wrong = say("value", difference(c.f(odd), expected), 1e-14);
  if (!c.differentiable) return wrong;
  const Tensor u = random_normal(expected.shape(), 3);
  const auto pulled = [&](const Tensors& at, const Tensor& cotangent) {
    Tape tape;
    return tape.pull(c.f(at), cotangent, wanted(at));
  };
  const auto pushed = [&](const Tensors& at, const Tensors& tangents) {
    Tape tape;
    const Tensor y = c.f(at);
    return tape.push(wanted(at), tangents, y);
  };
  const Tensors g = pulled(x, u), v = random_like(wanted(x), 9);
  Tensors odd_v;
  for (const Tensor& t : v) odd_v.push_back(scattered(t));
  wrong += say("gradients", difference(pulled(odd, u), g), 1e-13);
  wrong += say("gradients of an odd cotangent", difference(pulled(x, scattered(u)), g), 1e-13);
  wrong += say("odd tangents", difference(pushed(odd, odd_v), pushed(x, v)), 1e-13);
  return wrong;
}

std::string check_threads(const OpCase& c) {
  if (c.large.empty()) return "";
  Tensors x;
  for (std::size_t i = 0; i < c.inputs.size(); i++)
    x.push_back(c.inputs[i].make(c.large[i], 1 + 100 * i));
  const auto run = [&](int threads) {
    set_num_threads(threads);
    Tape tape;
    const Tensor y = c.f(x);
    Tensors all{y};
    if (!c.differentiable) return all;
    const Tensor u = random_normal(y.shape(), 3);
    for (Tensor& g : tape.pull(y, u, wanted(x))) all.push_back(g);
    all.push_back(tape.push(wanted(x), random_like(wanted(x), 9), y));
    return all;
  };
  const Threads restore;
  const Tensors one = run(1);
  std::string wrong;
  const std::int64_t teams = teams_started();
  for (const int threads : {2, 3}) {
    const Tensors more = run(threads);
    for (std::size_t i = 0; i < one.size(); i++)
      if (!same_bits(one[i], more[i]))
        wrong += std::to_string(threads) + " threads change result " + std::to_string(i) + "; ";
  }
  if (teams >= 0 && teams_started() == teams) wrong += "too small for a second thread; ";
  return wrong;
}

std::string check_gradients(const OpCase& c) {
  if (!c.differentiable) return "";
  const Tensors x = c.make_inputs();
  const GradcheckReport report = gradcheck(c.f, x);
  std::string wrong = say("pullback (" + report.text + ")", report.pull, 1e-8) +
                      say("pushforward", report.push, 1e-8) +
                      say("u.(Jv) = (J^T u).v", report.identity, 1e-12);
  if (c.flat) {
    Tape tape;
    const Tensor y = c.f(x);
    for (const Tensor& g : tape.pull(y, ones(y.shape(), y.dtype()), wanted(x)))
      wrong += say("gradient of a piecewise constant", norm(g), 0);
  }
  return wrong;
}

std::string check_directions(const OpCase& c) {
  if (!c.differentiable) return "";
  constexpr std::int64_t K = 3;
  const Tensors all = c.make_inputs(), x = wanted(all);
  const Tensors v = random_like(x, 9, K);
  std::string wrong;
  for (const bool recorded : {false, true}) {
    std::optional<Tape> outer;
    if (recorded) outer.emplace();
    Tape tape;
    const Tensor y = c.f(all);
    const Tensor u = random_like({y}, 3, K)[0];
    const Tensors g = tape.pull(y, u, x);
    const Tensor jv = tape.push(x, v, y);
    for (std::int64_t k = 0; k < K; k++) {
      Tensors vk;
      for (const Tensor& t : v) vk.push_back(view::select(t, 0, k));
      const Tensors gk = tape.pull(y, view::select(u, 0, k), x);
      for (std::size_t i = 0; i < x.size(); i++) {
        if (g[i].rank() != x[i].rank() + 1) return "a gradient has no axis of directions";
        wrong += say("pull", difference(view::select(g[i], 0, k), gk[i]), 1e-13);
      }
      wrong += say("push", difference(view::select(jv, 0, k), tape.push(x, vk, y)), 1e-13);
    }
  }
  return wrong;
}

// F = f(x + 0.02 x^2)^2, so that even a linear op is swept with cotangents and tangents that
// depend on x.
std::string check_second_order(const OpCase& c) {
  if (!c.differentiable || c.flat) return "";
  const Tensors all = c.make_inputs(), x = wanted(all);
  const Tensors v = random_like(x, 9);
  const auto F = [&](const Tensors& at) {
    Tensors bent;
    for (const Tensor& t : at) bent.push_back(is_wanted(t) ? t + square(t) * 0.02 : t);
    return square(c.f(bent));
  };
  const Tensor u = random_normal(F(all).shape(), 3);
  Tensors over_pull, push_over_pull, over_push, first;
  {
    Tape outer;
    Tensor product = number(0);
    {
      Tape inner;
      const Tensor y = F(all);
      first = inner.pull(y, u, x);
    }
    for (std::size_t i = 0; i < x.size(); i++) product = product + sum(first[i] * v[i]);
    over_pull = outer.pull(product, number(1), x);
    push_over_pull = outer.push(x, v, first);
  }
  {
    Tape outer;
    Tensor d;
    {
      Tape inner;
      const Tensor y = F(all);
      d = inner.push(x, v, y);
    }
    over_push = outer.pull(d, u, x);
  }
  std::string wrong;
  Tensors plain;
  {
    Tape tape;
    plain = tape.pull(F(all), u, x);
  }
  wrong += say("a recorded sweep against a plain one", difference(first, plain), 1e-12);
  wrong += say("reverse over reverse against forward over reverse",
               difference(over_pull, push_over_pull), 1e-11);
  wrong += say("reverse over forward against forward over reverse",
               difference(over_push, push_over_pull), 1e-11);
  for (std::size_t i = 0; i < x.size(); i++) {
    const Tensor expected = difference_quotient(
        [&](double h) {
          const Tensors moved = add_scaled(all, v, h);
          Tape tape;
          return tape.pull(F(moved), u, wanted(moved))[i];
        },
        4e-4);
    wrong += say("Hessian-vector product against differences of the pull",
                 difference(push_over_pull[i], expected), 1e-8);
  }
  return wrong;
}

std::string check_backward(const OpCase& c) {
  if (!c.differentiable) return "";
  const Tensors x = c.make_inputs();
  Parameters parameters(Dtype::float64);
  Tensors at, views;
  for (const Tensor& t : x) {
    if (!is_wanted(t)) {
      at.push_back(t);
      continue;
    }
    at.push_back(parameters.add("p" + std::to_string(at.size()), t.shape()));
    copy_into(at.back(), t);
    views.push_back(at.back());
  }
  Tensors expected;
  const auto loss = [&] {
    const Tensor y = c.f(at);
    return sum(y * random_normal(y.shape(), 3));
  };
  {
    Tape tape;
    expected = tape.pull(loss(), number(1), views);
  }
  std::string wrong;
  for (const double times : {1.0, 2.0}) {
    Tape tape;
    tape.backward(loss(), parameters);
    for (std::size_t i = 0; i < views.size(); i++)
      wrong += say("gradient after " + std::to_string(int(times)) + " backward",
                   difference(parameters.gradient_views()[i], expected[i] * times), 1e-14);
  }
  return wrong;
}

std::string check_device(const OpCase& c, Device device) {
  const Tensors x = c.make_inputs();
  Tensors narrow;
  for (const Tensor& t : x) narrow.push_back(is_wanted(t) ? cast_copy(t, Dtype::float32) : t);
  std::string wrong;
  const auto compare = [&](const Tensors& at, Dtype real, double bar) {
    const Tensors here = swept(c, at, real), there = swept(c, moved(at, device), real);
    for (std::size_t i = 0; i < here.size(); i++) {
      const char* what = i == 0 ? "value" : i + 1 < here.size() ? "pullback" : "pushforward";
      wrong += say(std::string(name(real)) + " " + what, difference(there[i], here[i]), bar);
      if (!(there[i].device() == device)) wrong += std::string(what) + " left the device; ";
    }
  };
  compare(x, Dtype::float64, 1e-12);
  compare(narrow, Dtype::float32, 2 * c.float32_tolerance);
  return wrong;
}

std::string check_footprint(const OpCase& c) {
  if (!c.differentiable) return "";
  const Tensors x = c.make_inputs();
  const auto run = [&] {
    Tape tape;
    const Tensor y = c.f(x);
    tape.pull(y, random_normal(y.shape(), 3), wanted(x));
    tape.push(wanted(x), random_like(wanted(x), 9), y);
  };
  run();  // tables grow once
  const std::int64_t before = memory::stats().live;
  run();
  return say("bytes not given back", static_cast<double>(memory::stats().live - before), 0);
}

}  // namespace unroll::testing
