#include "inversion/stepwise.h"

#include <algorithm>
#include <cmath>
#include <tuple>
#include <utility>

#include "autograd/ops.h"
#include "autograd/tape.h"
#include "core/view.h"
#include "inversion/closed_form.h"
#include "inversion/numbers.h"
#include "inversion/stepwise_block.h"
#include "inversion/stop.h"

namespace unroll {
namespace {

using detail::Block;
using Indices = std::vector<std::int64_t>;

constexpr std::int64_t kSamples = 8;     // of errors
constexpr std::int64_t kDeepest = 1000;  // blocks that a search for other roots descends
constexpr Dtype f64 = Dtype::float64;

Tensor repeated(const Tensor& x, std::int64_t count) {
  return index_select(x, 0, zeros({count}, Dtype::int64, x.device()));
}

// Sequence b alone, `count` times.
EncoderState repeated(const EncoderState& state, std::int64_t b, std::int64_t count) {
  return detail::state_at(state, Indices(static_cast<std::size_t>(count), b));
}

class Search {
 public:
  Search(const Facts& facts, const Tensor& y, const StepwiseOptions& options)
      : facts_(facts),
        options_(options),
        y_(y),
        N_(y.shape()[0]),
        blocks_(facts.steps_seen()),
        k_(facts.T() / blocks_),
        block_(facts.encoder(), k_, facts.observation().readout),
        random_(options.seed, 31) {
    for (std::int64_t n = 0; n < N_; n++) enough_.push_back(enough(n));
    found_.x = zeros({facts.T(), N_, facts.encoder().sizes().I}, f64, facts.device());
    found_.residual = zeros({blocks_, N_}, f64);
    found_.gain = zeros({blocks_, N_}, f64);
    found_.rank = zeros({blocks_, N_}, Dtype::int64);
    found_.failed.assign(static_cast<std::size_t>(N_), -1);
  }

  Stepwise run() {
    solve_all();
    for (std::int64_t n = 0; n < N_; n++)
      if (options_.go_back && failed(n) >= 0) go_back(n);
    estimate();
    found_.x = detail::on_host(found_.x);
    return std::move(found_);
  }

 private:
  std::int64_t& failed(std::int64_t n) { return found_.failed[static_cast<std::size_t>(n)]; }

  double enough(std::int64_t n) const {
    if (options_.enough > 0) return options_.enough;
    if (options_.error) return 20 * options_.error.item({n});
    return 1e-13;
  }

  // [N,width] of block t.
  Tensor seen(std::int64_t t) const {
    return view::select(view::reshape(y_, {N_, blocks_, facts_.width()}), 1, t);
  }

  Tensor zero_rows(std::int64_t count, std::int64_t width) const {
    return zeros({count, width}, f64, facts_.device());
  }

  EncoderState start() const {
    EncoderState known = facts_.state_of(zero_rows(N_, facts_.unknowns()));
    const EncoderState zero = detail::zero_state(facts_.encoder(), N_);
    return {known.h ? known.h : zero.h, known.c ? known.c : zero.c};
  }

  void keep(std::int64_t t, const Tensor& rows, const Tensor& residual) {
    Tensor x = view::slice(found_.x, 0, t * k_, (t + 1) * k_);
    copy_into(x, block_.input_of(rows));
    Tensor r = view::select(found_.residual, 0, t);
    copy_into(r, residual);
  }

  // Every sequence, block by block, each to its first root.
  void solve_all() {
    EncoderState state = start();
    const bool closed = detail::is_closed_form(facts_);
    if (closed) found_.x = detail::closed_form(facts_, y_, state.h);
    for (std::int64_t t = 0; t < blocks_; t++) {
      detail::stop_if(options_.stop);
      const Tensor wanted = contiguous_copy(seen(t));
      Tensor x = closed ? rows(t) : zero_rows(N_, block_.unknowns());
      std::vector<double> residual;
      if (closed)
        residual = to_vector<double>(block_.residual(x, wanted, state));
      else
        std::tie(x, residual) = solved(block_.solve(x, wanted, state));
      restart(x, residual, wanted, state);
      for (std::int64_t n = 0; n < N_; n++)
        if (failed(n) < 0 && !is_solved(n, residual)) failed(n) = t;
      keep(t, x, from_values(residual, {N_}));
      state = block_.after(x, wanted, state);
    }
  }

  static std::pair<Tensor, std::vector<double>> solved(LmResult&& result) {
    return {result.x, std::move(result.residual)};
  }

  bool is_solved(std::int64_t n, const std::vector<double>& residual) const {
    return residual[static_cast<std::size_t>(n)] <= enough_[static_cast<std::size_t>(n)];
  }

  // From where it is, then from random starts, what is not solved; sequences that have failed
  // before are left.
  void restart(Tensor& x, std::vector<double>& residual, const Tensor& wanted,
               const EncoderState& state) {
    for (std::int64_t r = 0; r <= options_.restarts; r++) {
      detail::stop_if(options_.stop);
      Indices open;
      for (std::int64_t n = 0; n < N_; n++)
        if (failed(n) < 0 && !is_solved(n, residual)) open.push_back(n);
      if (open.empty()) return;
      const std::int64_t count = static_cast<std::int64_t>(open.size());
      const LmResult again = block_.solve(r ? random_start(count) : rows_at(x, open),
                                          rows_at(wanted, open), detail::state_at(state, open));
      for (std::size_t i = 0; i < open.size(); i++) {
        const std::size_t n = static_cast<std::size_t>(open[i]);
        if (!(again.residual[i] < residual[n])) continue;
        residual[n] = again.residual[i];
        const std::int64_t one[] = {open[i]}, own[] = {static_cast<std::int64_t>(i)};
        detail::put_rows(x, one, rows_at(again.x, own));
      }
    }
  }

  Tensor random_start(std::int64_t count) {
    const double scales[] = {1, 2, 0.5, 4};
    return random_.normal({count, block_.unknowns()}, 0, scales[next_scale_++ % 4], f64,
                          facts_.device());
  }

  // ---- Other roots of earlier blocks, for one sequence: depth first.

  // Distinct roots [1,k*I] of a block, those from zero first.
  std::vector<Tensor> roots(std::int64_t n, std::int64_t t, const EncoderState& state) {
    const std::int64_t count = options_.restarts + 1;
    const Tensor starts =
        cat({zero_rows(1, block_.unknowns()), random_start(options_.restarts)}, 0);
    const Tensor wanted = repeated(view::slice(seen(t), 0, n, n + 1), count);
    const LmResult result = block_.solve(starts, wanted, repeated(state, 0, count));
    std::vector<Tensor> distinct;
    for (std::int64_t i = 0; i < count; i++) {
      if (result.residual[static_cast<std::size_t>(i)] > enough_[static_cast<std::size_t>(n)])
        continue;
      const Tensor row = contiguous_copy(view::slice(result.x, 0, i, i + 1));
      const bool known = std::any_of(distinct.begin(), distinct.end(), [&](const Tensor& other) {
        return amax(abs(row - other), {0, 1}).item() < 1e-6 * (1 + amax(abs(row), {0, 1}).item());
      });
      if (!known) distinct.push_back(row);
    }
    return distinct;
  }

  bool descend(std::int64_t n, std::int64_t t, const EncoderState& state,
               std::vector<Tensor>& path) {
    if (t == blocks_) return true;
    if (--budget_ < 0) return false;
    for (const Tensor& root : roots(n, t, state)) {
      path[static_cast<std::size_t>(t)] = root;
      const Tensor wanted = contiguous_copy(view::slice(seen(t), 0, n, n + 1));
      if (descend(n, t + 1, block_.after(root, wanted, state), path)) return true;
    }
    return false;
  }

  // From a few blocks before the one that failed: a wrong root shows soon.
  void go_back(std::int64_t n) {
    if (blocks_ - failed(n) > kDeepest) return;
    constexpr std::int64_t kBack = 4;
    const std::int64_t first = std::max<std::int64_t>(0, failed(n) - kBack);
    const std::int64_t own[] = {n};
    EncoderState state = detail::state_at(start(), own);
    for (std::int64_t t = 0; t < first; t++)
      state = block_.after(row(n, t), contiguous_copy(view::slice(seen(t), 0, n, n + 1)), state);
    std::vector<Tensor> path(static_cast<std::size_t>(blocks_));
    budget_ = 4 * (blocks_ - first) + 40;
    if (!descend(n, first, state, path)) return;
    failed(n) = -1;
    for (std::int64_t t = first; t < blocks_; t++) {
      const Tensor& root = path[static_cast<std::size_t>(t)];
      const Tensor wanted = contiguous_copy(view::slice(seen(t), 0, n, n + 1));
      Tensor x = view::slice(view::slice(found_.x, 0, t * k_, (t + 1) * k_), 1, n, n + 1);
      copy_into(x, block_.input_of(root));
      Tensor r = view::slice(view::select(found_.residual, 0, t), 0, n, n + 1);
      copy_into(r, block_.residual(root, wanted, state));
      state = block_.after(root, wanted, state);
    }
  }

  // [1,k*I] of a sequence, [N,k*I] of all.
  Tensor row(std::int64_t n, std::int64_t t) const {
    return contiguous_copy(view::slice(rows(t), 0, n, n + 1));
  }
  Tensor rows(std::int64_t t) const {
    const Tensor x = view::slice(found_.x, 0, t * k_, (t + 1) * k_);
    return view::reshape(contiguous_copy(view::transpose(x, 0, 1)), {N_, block_.unknowns()});
  }

  // ---- How errors pass through what was found

  void estimate() {
    EncoderState state = start();
    const EncoderState none = detail::zero_state(facts_.encoder(), N_);
    const auto samples = [](const Tensor& zero) {
      Shape shape = zero.shape();
      shape.insert(0, kSamples);
      return zeros(shape, f64, zero.device());
    };
    EncoderState error{samples(none.h), none.c ? samples(none.c) : Tensor()};
    Random random(7, 32);
    for (std::int64_t t = 0; t < blocks_; t++) {
      const Tensor at = rows(t), wanted = contiguous_copy(seen(t));
      const Tensor seen_error =
          random.normal({kSamples, N_, facts_.width()}, 0, 1, f64, facts_.device());
      const Block::Errors errors = block_.propagate(at, state, said(wanted), seen_error, error);
      Tensor gain = view::select(found_.gain, 0, t), rank = view::select(found_.rank, 0, t);
      copy_into(gain, amax(abs(errors.x), {0, 2}));
      copy_into(rank, from_values(errors.rank, {N_}));
      error = errors.state;
      state = block_.after(at, wanted, state);
    }
  }

  // A relu unit that is off says nothing but an inequality, whatever rounding makes of its kink.
  Tensor said(const Tensor& wanted) const {
    if (facts_.encoder().sizes().cell != Cell::relu || !detail::is_closed_form(facts_)) return {};
    return to(gt(wanted, scalar(detail::off_level(facts_), f64, facts_.device())), f64);
  }

  const Facts& facts_;
  const StepwiseOptions& options_;
  Tensor y_;
  std::int64_t N_, blocks_, k_;
  Block block_;
  Random random_;
  int next_scale_ = 0;
  std::int64_t budget_ = 0;
  std::vector<double> enough_;
  Stepwise found_;
};

}  // namespace

bool is_stepwise(const Facts& facts) noexcept {
  const Observation& seen = facts.observation();
  const EncoderSizes& sizes = facts.encoder().sizes();
  const std::int64_t k = seen.outputs == Seen::every ? seen.every : 1;
  return (seen.outputs == Seen::all || seen.outputs == Seen::every) && !sizes.bidirectional &&
         seen.initial_known && facts.T() % k == 0 && k * sizes.I <= facts.independent_width();
}

Stepwise invert_stepwise(const Facts& facts, const Tensor& y, const StepwiseOptions& options) {
  if (!is_stepwise(facts))
    fail("invert_stepwise", "the outputs of " + facts.encoder().describe() + " seen as " +
                                name(facts.observation()) +
                                " do not determine the input block by block");
  if (y.rank() != 2 || y.shape()[1] != facts.count())
    fail("invert_stepwise", "outputs are " + to_string(y.shape()) + " but [N," +
                                std::to_string(facts.count()) + "] are wanted");
  facts.require_here("invert_stepwise", "the outputs' facts", y);
  const NoTape none;
  return Search(facts, y, options).run();
}

}  // namespace unroll
