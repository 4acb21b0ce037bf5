// LSTM and GRU with half storage, in both designs, against the CPU's kernels in double precision on
// the same rounded inputs.
//
// What differs is that h is rounded in every step: by eps = 2^-9 (bfloat16) or 2^-12 (float16) of
// its magnitude at most, which the steps behind it see. So after T steps everything is within 2 T
// eps of the largest magnitude of its kind.
#include "kernels/recurrent_half.h"

#include <deque>

#include "core/half.h"
#include "cuda/recurrent_plan.h"
#include "cuda/tests/testing.h"
#include "tests/recurrent_harness.h"

namespace unroll::gpu_test {
namespace {

using device::Chip;
using device::RecurrentDesign;

template <class Stored>
struct Half;
template <>
struct Half<Float16> {
  static constexpr double eps = 1.0 / 4096;
  static Float16 round(double x) { return to_float16(x); }
};
template <>
struct Half<Bfloat16> {
  static constexpr double eps = 1.0 / 512;
  static Bfloat16 round(double x) { return to_bfloat16(x); }
};

/// Numbers that Stored has exactly.
template <class Stored>
struct Rounded {
  std::vector<Stored> stored;
  std::vector<double> exact;
  Rounded(std::int64_t n, unsigned seed, double scale) {
    for (const double x : normal<double>(std::size_t(n), seed)) {
      stored.push_back(Half<Stored>::round(scale * x));
      exact.push_back(to_double(stored.back()));
    }
  }
};

template <class To, class From>
std::vector<To> numbers(const std::vector<From>& from) {
  std::vector<To> to;
  for (const From& x : from) {
    if constexpr (requires { to_double(x); })
      to.push_back(To(to_double(x)));
    else
      to.push_back(To(x));
  }
  return to;
}

struct Sizes {
  std::int64_t T, N, I, H;
  std::vector<std::int64_t> lengths = {};
  bool reverse = false;
  double weights = 0.3;  // their deviation
};

// The types and kernels of a cell, the CPU's in double and those with half storage.
#define UNROLL_HALF_FAMILY(Stem, stem, count)                                   \
  struct Stem##Family {                                                         \
    static constexpr std::int64_t gates = count;                                \
    using Shape = Stem##Shape;                                                  \
    using Forward = Stem##Forward<double>;                                      \
    using Pullback = Stem##Pullback<double>;                                    \
    using Pushforward = Stem##Pushforward<double>;                              \
    template <class Stored>                                                     \
    using ForwardHalf = Stem##ForwardHalf<Stored>;                              \
    template <class Stored>                                                     \
    using PullbackHalf = Stem##PullbackHalf<Stored>;                            \
    template <class Stored>                                                     \
    using PushforwardHalf = Stem##PushforwardHalf<Stored>;                      \
    static constexpr auto sizes = cpu::stem##_sizes<double>;                    \
    static constexpr auto forward = cpu::stem##_forward<double>;                \
    static constexpr auto pullback = cpu::stem##_pullback<double>;              \
    static constexpr auto pushforward = cpu::stem##_pushforward<double>;        \
    template <class Stored>                                                     \
    static constexpr auto half_sizes = device::stem##_half_sizes<Stored>;       \
    template <class Stored>                                                     \
    static constexpr auto half_forward = device::stem##_half_forward<Stored>;   \
    template <class Stored>                                                     \
    static constexpr auto half_pullback = device::stem##_half_pullback<Stored>; \
    template <class Stored>                                                     \
    static constexpr auto half_push = device::stem##_half_pushforward<Stored>;  \
  };
UNROLL_HALF_FAMILY(Lstm, lstm, 4)
UNROLL_HALF_FAMILY(Gru, gru, 3)

template <class Stored, class Family>
struct Problem {
  Sizes z;
  std::int64_t G = Family::gates;
  Rounded<Stored> x{z.T * z.N * z.I, 1, 0.7}, w_ih{G * z.H * z.I, 2, z.weights},
      w_hh{G * z.H * z.H, 3, z.weights}, h0{z.N * z.H, 4, 0.5}, dy{z.T * z.N * z.H, 5, 0.5};
  std::vector<float> b_ih = normal<float>(std::size_t(G * z.H), 6),
                     b_hh = normal<float>(std::size_t(G * z.H), 7),
                     c0 = normal<float>(std::size_t(z.N * z.H), 8);

  /// Of x, w_ih, w_hh, b_ih, b_hh, h0 and c0.
  std::vector<std::vector<float>> tangents() const {
    std::vector<std::vector<float>> all;
    for (const std::int64_t n :
         {z.T * z.N * z.I, G * z.H * z.I, G * z.H * z.H, G * z.H, G * z.H, z.N * z.H, z.N * z.H})
      all.push_back(normal<float>(std::size_t(n), 20 + unsigned(all.size())));
    return all;
  }

  typename Family::Shape shape(const LengthsView& lengths) const {
    typename Family::Shape s{};
    s.T = z.T, s.N = z.N, s.I = z.I, s.H = z.H, s.lengths = lengths, s.reverse = z.reverse;
    return s;
  }
};

/// h, h_n, c, c_n; cotangents of x, w_ih, w_hh, b_ih, b_hh, h0, c0; tangents of y, h_n, c_n.
using Results = std::vector<std::vector<double>>;

/// What only an LSTM has, emptied.
void without_cell(Results& all) {
  for (const std::size_t i : {2, 3, 10, 13}) all[i].clear();
}

/// Calls `push` for the pass that the arguments `f` ran. Place: an array with data(), of numbers or
/// of a size.
template <class Push, class Place, class Forward, class Call>
std::deque<Place> pushed(const Forward& f, const Sizes& z, const std::deque<Place>& tangents,
                         std::int64_t scratch_size, Push a, const Call& push) {
  std::deque<Place> out;
  for (const std::int64_t n : {z.T * z.N * z.H, z.N * z.H, z.N * z.H})
    out.emplace_back(std::size_t(n));
  Place scratch(static_cast<std::size_t>(scratch_size));
  a.x = f.x, a.w_ih = f.w_ih, a.w_hh = f.w_hh, a.h = f.h, a.saved = f.saved;
  a.dx = tangents[0].data(), a.dw_ih = tangents[1].data(), a.dw_hh = tangents[2].data();
  a.db_ih = tangents[3].data(), a.db_hh = tangents[4].data(), a.dh0 = tangents[5].data();
  a.dy = out[0].data(), a.dh_n = out[1].data(), a.scratch = scratch.data();
  if constexpr (requires { a.c; }) a.c = f.c, a.dc0 = tangents[6].data(), a.dc_n = out[2].data();
  push(a);
  return out;
}

template <class Stored, class Family>
Results on_cpu(const Problem<Stored, Family>& p) {
  const Sizes& z = p.z;
  const Lengths lengths = z.lengths.empty() ? Lengths() : Lengths(z.lengths);
  const auto shape = p.shape(lengths ? lengths.view("test", z.T, z.N) : LengthsView{});
  const auto size = Family::sizes(shape);
  const auto place = [](std::int64_t n) { return testing::Buffer<double>(n); };
  auto h = place((z.T + 1) * z.N * z.H), c = place((z.T + 1) * z.N * z.H), h_n = place(z.N * z.H),
       c_n = place(z.N * z.H), saved = place(size.saved),
       scratch = place(std::max(size.forward_scratch, size.pullback_scratch));
  std::copy(p.h0.exact.begin(), p.h0.exact.end(), h.data());
  std::copy(p.c0.begin(), p.c0.end(), c.data());
  const auto b_ih = numbers<double>(p.b_ih), b_hh = numbers<double>(p.b_hh);
  typename Family::Forward f{};
  f.x = p.x.exact.data(), f.w_ih = p.w_ih.exact.data(), f.w_hh = p.w_hh.exact.data();
  f.b_ih = b_ih.data(), f.b_hh = b_hh.data(), f.h = h.data(), f.h_n = h_n.data();
  f.saved = saved.data(), f.scratch = scratch.data();
  if constexpr (requires { f.c; }) f.c = c.data(), f.c_n = c_n.data();
  Family::forward(shape, f);
  auto dx = place(z.T * z.N * z.I), dw_ih = place(p.G * z.H * z.I), dw_hh = place(p.G * z.H * z.H),
       db_ih = place(p.G * z.H), db_hh = place(p.G * z.H), dh0 = place(z.N * z.H),
       dc0 = place(z.N * z.H);
  typename Family::Pullback b{};
  b.x = f.x, b.w_ih = f.w_ih, b.w_hh = f.w_hh, b.h = h.data(), b.saved = saved.data();
  b.dy = p.dy.exact.data(), b.dx = dx.data(), b.dh0 = dh0.data(), b.dw_ih = dw_ih.data();
  b.dw_hh = dw_hh.data(), b.db_ih = db_ih.data(), b.db_hh = db_hh.data();
  b.scratch = scratch.data();
  if constexpr (requires { b.c; }) b.c = c.data(), b.dc0 = dc0.data();
  Family::pullback(shape, b);
  Results all;
  for (const auto* each : {&h, &h_n, &c, &c_n, &dx, &dw_ih, &dw_hh, &db_ih, &db_hh, &dh0, &dc0})
    all.emplace_back(each->data(), each->data() + each->size());
  std::deque<std::vector<double>> tangents;
  for (const auto& each : p.tangents()) tangents.push_back(numbers<double>(each));
  for (auto& each : pushed(f, z, tangents, size.pushforward_scratch, typename Family::Pushforward{},
                           [&](const auto& a) { Family::pushforward(shape, a); }))
    all.push_back(std::move(each));
  if (Family::gates == 3) without_cell(all);
  return all;
}

template <class Stored, class Family>
Results on_gpu(const Problem<Stored, Family>& p) {
  const Sizes& z = p.z;
  const Lengths lengths = z.lengths.empty() ? Lengths() : Lengths(z.lengths);
  LengthsView view = lengths ? lengths.view("test", z.T, z.N) : LengthsView{};
  std::vector<std::int64_t> words(view.length, view.length + (lengths ? z.N : 0));
  if (lengths) {
    words.insert(words.end(), view.order, view.order + z.N);
    words.insert(words.end(), view.active, view.active + view.longest);
  }
  const DeviceArray<std::int64_t> on_device(words);
  view.on_device = on_device.data();
  const auto shape = p.shape(view);
  const auto size = Family::template half_sizes<Stored>(shape);
  using Floats = DeviceArray<float>;
  using Halves = DeviceArray<Stored>;
  const auto n = [](std::int64_t count) { return std::size_t(count); };
  std::vector<Stored> h_host = p.h0.stored;
  h_host.resize(n((z.T + 1) * z.N * z.H));
  std::vector<float> c_host = p.c0;
  c_host.resize(n((z.T + 1) * z.N * z.H));
  const Halves x(p.x.stored), w_ih(p.w_ih.stored), w_hh(p.w_hh.stored), h(h_host),
      h_n(n(z.N * z.H)), dy(p.dy.stored);
  const Floats b_ih(p.b_ih), b_hh(p.b_hh), c(c_host), c_n(n(z.N * z.H)), saved(n(size.saved)),
      scratch(n(std::max(size.forward_scratch, size.pullback_scratch)));
  typename Family::template ForwardHalf<Stored> f{};
  f.x = x.data(), f.w_ih = w_ih.data(), f.w_hh = w_hh.data(), f.b_ih = b_ih.data();
  f.b_hh = b_hh.data(), f.h = h.data(), f.h_n = h_n.data(), f.saved = saved.data();
  f.scratch = scratch.data();
  if constexpr (requires { f.c; }) f.c = c.data(), f.c_n = c_n.data();
  Family::template half_forward<Stored>(shape, f);
  const Floats dx(n(z.T * z.N * z.I)), dw_ih(n(p.G * z.H * z.I)), dw_hh(n(p.G * z.H * z.H)),
      db_ih(n(p.G * z.H)), db_hh(n(p.G * z.H)), dh0(n(z.N * z.H)), dc0(n(z.N * z.H));
  typename Family::template PullbackHalf<Stored> b{};
  b.x = f.x, b.w_ih = f.w_ih, b.w_hh = f.w_hh, b.h = h.data(), b.saved = saved.data();
  b.dy = dy.data(), b.dx = dx.data(), b.dh0 = dh0.data(), b.dw_ih = dw_ih.data();
  b.dw_hh = dw_hh.data(), b.db_ih = db_ih.data(), b.db_hh = db_hh.data();
  b.scratch = scratch.data();
  if constexpr (requires { b.c; }) b.c = c.data(), b.dc0 = dc0.data();
  Family::template half_pullback<Stored>(shape, b);
  Results all = {numbers<double>(h.values()), numbers<double>(h_n.values())};
  for (const Floats* each : {&c, &c_n, &dx, &dw_ih, &dw_hh, &db_ih, &db_hh, &dh0, &dc0})
    all.push_back(numbers<double>(each->values()));
  std::deque<Floats> tangents;
  for (const auto& each : p.tangents()) tangents.emplace_back(each);
  for (const Floats& each :
       pushed(f, z, tangents, size.pushforward_scratch,
              typename Family::template PushforwardHalf<Stored>{},
              [&](const auto& a) { Family::template half_push<Stored>(shape, a); }))
    all.push_back(numbers<double>(each.values()));
  if (Family::gates == 3) without_cell(all);
  return all;
}

template <class Stored, class Family>
void expect_close_to_double(const Sizes& sizes) {
  const Problem<Stored, Family> p{sizes};
  const Results want = on_cpu(p), got = on_gpu(p);
  for (std::size_t i = 0; i < want.size(); i++) {
    SCOPED_TRACE("result " + std::to_string(i));
    expect_close(got[i], want[i], 2 * double(sizes.T) * Half<Stored>::eps);
  }
}

class RecurrentHalf : public ::testing::TestWithParam<RecurrentDesign> {
 protected:
  void SetUp() override {
    device::persistent_settings() = {
        .design = GetParam(),
        .chip = Chip{.multiprocessors = 5, .shared_bytes = 12 << 10, .weight_registers = 16}};
  }
  void TearDown() override { device::persistent_settings() = before_; }

 private:
  const device::PersistentSettings before_ = device::persistent_settings();
};

TEST_P(RecurrentHalf, IsWithinItsRoundingsOfDouble) {
  for (const Sizes& sizes :
       {Sizes{1, 1, 1, 1}, Sizes{3, 2, 3, 7}, Sizes{4, 5, 2, 24},
        Sizes{4, 6, 3, 12, {2, 4, 0, 1, 4, 3}}, Sizes{3, 4, 2, 9, {3, 0, 2, 1}, true}}) {
    SCOPED_TRACE("H " + std::to_string(sizes.H));
    expect_close_to_double<Float16, LstmFamily>(sizes);
    expect_close_to_double<Bfloat16, LstmFamily>(sizes);
    expect_close_to_double<Float16, GruFamily>(sizes);
    expect_close_to_double<Bfloat16, GruFamily>(sizes);
  }
}

#ifdef __CUDACC__  // the simulator would take minutes
// Units and rows for all the multiprocessors that there are.
TEST_P(RecurrentHalf, FillsTheGpu) {
  device::persistent_settings().chip = device::current_chip();
  const Sizes sizes{.T = 5, .N = 70, .I = 24, .H = 600, .weights = 0.03};
  expect_close_to_double<Float16, LstmFamily>(sizes);
  expect_close_to_double<Bfloat16, LstmFamily>(sizes);
  expect_close_to_double<Float16, GruFamily>(sizes);
  expect_close_to_double<Bfloat16, GruFamily>(sizes);
}
#endif

TEST_P(RecurrentHalf, SameBitsInEveryOrder) {
  const Problem<Bfloat16, LstmFamily> p{{3, 5, 2, 12, {3, 1, 0, 2, 3}}};
  std::vector<Results> runs;
  in_every_order([&] { runs.push_back(on_gpu(p)); });
  for (const Results& run : runs) EXPECT_EQ(run, runs[0]);
}

INSTANTIATE_TEST_SUITE_P(Designs, RecurrentHalf,
                         ::testing::Values(RecurrentDesign::step, RecurrentDesign::persistent));

}  // namespace
}  // namespace unroll::gpu_test
