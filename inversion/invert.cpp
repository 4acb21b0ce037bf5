#include "inversion/invert.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <mutex>

#include "autograd/ops.h"
#include "autograd/tape.h"
#include "core/parallel.h"
#include "core/view.h"
#include "inversion/closed_form.h"
#include "inversion/collision.h"
#include "inversion/levenberg_marquardt.h"
#include "inversion/rounding.h"
#include "inversion/stepwise.h"
#include "inversion/stop.h"
#include "inversion/verdict.h"

namespace unroll {
namespace {

using detail::StepwiseOutcome;
using Indices = std::vector<std::int64_t>;

constexpr Dtype f64 = Dtype::float64;
constexpr std::int64_t kDenseNumbers = 4'000'000;  // of a Jacobian
constexpr std::int64_t kDenseUnknowns = 1200;      // beyond, a dense Jacobian takes too long

// The initial states of some sequences; one of batch 1 is everybody's.
EncoderState at_sequences(const EncoderState& state, const Indices& which) {
  const std::int64_t count = static_cast<std::int64_t>(which.size());
  const auto at = [&](const Tensor& t) {
    if (!t || t.shape()[1] == 1) return t;
    return index_select(t, 1, from_values<std::int64_t>(which, {count}, t.device()));
  };
  return {at(state.h), at(state.c)};
}

Facts facts_of(const Facts& all, std::int64_t T, const Indices& which) {
  Observation seen = all.observation();
  seen.initial = at_sequences(seen.initial, which);
  return {all.encoder(), seen, T};
}

// The forward half of one layer of both directions, whose outputs alone determine the input.
Encoder forward_half(const Encoder& encoder) {
  std::vector<NamedTensor> own;
  for (const NamedTensor& t : encoder.tensors())
    if (!t.name.ends_with("_reverse")) own.push_back(t);
  const EncoderHints hints{.prefix = "", .cell = encoder.sizes().cell};
  return Encoder::from_tensors("encoder", own, hints).on(encoder.device());
}

// ---- Sequences of one length

class Group {
 public:
  Group(const Facts& facts, const Tensor& y, const Tensor& start, const InvertOptions& options)
      : facts_(facts), y_(y), start_(start), options_(options), N_(y.shape()[0]) {
    sequences_.resize(static_cast<std::size_t>(N_));
    rows_ = zeros({N_, facts.unknowns()}, f64, facts.device());
  }

  void run(const std::function<void()>& done) {
    by_steps();
    Indices open;
    for (std::int64_t n = 0; n < N_; n++) {
      if (sequences_[static_cast<std::size_t>(n)].facts == 0)
        open.push_back(n);
      else
        done();
    }
    synchronize(facts_.device());  // the streams of the jobs read what this one made
    run_jobs(open.size(), [&](std::size_t i) {
      const StreamScope own(facts_.device());
      at_once(open[i]);
      done();
    });
    synchronize(facts_.device());  // and this one's what the jobs made
  }

  std::vector<SequenceInversion>& sequences() noexcept { return sequences_; }
  Tensor x() const { return facts_.input_of(rows_); }  // [T,N,I]
  EncoderState initial() const { return facts_.state_of(rows_); }

 private:
  // The problem that blocks can solve: as it is, of the forward half, or as if the start were zero.
  void by_steps() {
    const EncoderSizes& sizes = facts_.encoder().sizes();
    if (is_stepwise(facts_)) return by_steps(facts_, y_, true);
    const bool all = facts_.observation().outputs == Seen::all && !facts_.observation().readout;
    if (all && sizes.bidirectional && sizes.layers == 1 && facts_.observation().initial_known) {
      Observation half = facts_.observation();
      half.initial = {half.initial.h ? view::slice(half.initial.h, 0, 0, 1) : Tensor(),
                      half.initial.c ? view::slice(half.initial.c, 0, 0, 1) : Tensor()};
      const Facts forward(forward_half(facts_.encoder()), half, facts_.T());
      if (!is_stepwise(forward)) return;
      const Tensor seen = view::reshape(y_, {N_, facts_.T(), sizes.output_width()});
      const Tensor own = contiguous_copy(view::slice(seen, 2, 0, sizes.state_width()));
      // With I = H the half alone may have other roots: then it is a guess.
      const bool judged = sizes.I < sizes.state_width();
      return by_steps(forward, view::reshape(own, {N_, forward.count()}), judged);
    }
    if (facts_.observation().initial_known) return;
    Observation zero = facts_.observation();
    zero.initial_known = true;
    zero.initial = {};
    const Facts guess(facts_.encoder(), zero, facts_.T());
    if (is_stepwise(guess)) by_steps(guess, y_, false);
  }

  void by_steps(const Facts& facts, const Tensor& y, bool judged) {
    StepwiseOptions how = stepwise_options(facts);
    Stepwise found = invert_stepwise(facts, y, how);
    // Inputs larger than those expected round more: then that is what a step may be off by.
    const auto most = [&] {
      return detail::kLoose * detail::largest(fact_error(facts, facts.rows_of(found.x)));
    };
    if (std::any_of(found.failed.begin(), found.failed.end(), [](auto t) { return t >= 0; }) &&
        most() > 2 * how.enough) {
      how.enough = most();
      found = invert_stepwise(facts, y, how);
    }
    rows_ = contiguous_copy(facts_.rows_of(found.x));
    guessed_ = true;
    if (!judged) return;
    const Tensor errors = fact_error(facts, facts.rows_of(found.x));
    for (std::int64_t n = 0; n < N_; n++) {
      judge(facts, found, n, errors.item({n}));
      if (sequence(n).facts > 0 && !holds(n, facts)) sequence(n) = {};
    }
    for (std::int64_t n = 0; n < N_; n++)
      if (sequence(n).facts > 0) look_for_other(n);
  }

  // What blocks say of sequence n is left to all unknowns at once where a relu unit is at its kink,
  // and where the blocks saw one direction: unless they recover what both directions show.
  bool holds(std::int64_t n, const Facts& facts) {
    const Facts own = facts_of(facts_, facts_.T(), {n});
    const Tensor row = contiguous_copy(view::slice(rows_, 0, n, n + 1));
    if (own.encoder().sizes().cell == Cell::relu && !detail::is_closed_form(own)) return false;
    if (detail::is_at_kink(own, row)) return sequence(n).verdict == Verdict::ambiguous;
    if (facts.count() == facts_.count()) return true;
    const Tensor off = own.of_unknowns(row) - view::slice(y_, 0, n, n + 1);
    sequence(n).facts = own.count();
    sequence(n).residual = detail::root_mean_square(off);
    return sequence(n).verdict == Verdict::recovered &&
           sequence(n).residual <= detail::kLoose * fact_error(own, row).item({0});
  }

  StepwiseOptions stepwise_options(const Facts& facts) const {
    StepwiseOptions how{.restarts = std::min<std::int64_t>(options_.restarts, 20),
                        .seed = options_.seed};
    how.enough = detail::kLoose * detail::expected_error(facts);
    how.stop = options_.stop;
    return how;
  }

  void judge(const Facts& facts, const Stepwise& found, std::int64_t n, double error) {
    const auto column = [n](const Tensor& t) { return contiguous_copy(view::select(t, 1, n)); };
    const StepwiseOutcome outcome{.x = column(found.x),
                                  .gain = column(found.gain),
                                  .rank = column(found.rank),
                                  .residual = amax(column(found.residual), {0}).item(),
                                  .failed = found.failed[static_cast<std::size_t>(n)]};
    sequences_[static_cast<std::size_t>(n)] = detail::judge_stepwise(facts, outcome, error);
  }

  // As many facts as unknowns in each block of a gated cell: other roots may exist.
  static bool is_square(const Facts& facts) {
    const std::int64_t k = facts.T() / facts.steps_seen();
    return is_stepwise(facts) && k * facts.encoder().sizes().I == facts.independent_width() &&
           !detail::is_closed_form(facts);
  }

  // Beside the row of sequence n.
  void look_for_other(std::int64_t n) {
    if (!is_square(facts_)) return;
    const Facts own = facts_of(facts_, facts_.T(), {n});
    const Tensor row = contiguous_copy(view::slice(rows_, 0, n, n + 1));
    look_for_other(own, contiguous_copy(view::slice(y_, 0, n, n + 1)),
                   contiguous_copy(own.input_of(row)), sequence(n));
    if (!sequence(n).other && own.encoder().sizes().cell != Cell::linear)
      detail::conclude_square(sequence(n));
  }

  // Another root of a block, then of those behind it: from the last block, which has none behind
  // it, to the first. Facts and y [1,m] of one sequence, whose input x [T,1,I] was found.
  void look_for_other(const Facts& facts, const Tensor& y, const Tensor& x, SequenceInversion& s) {
    const std::int64_t T = facts.T(), blocks = facts.steps_seen(), k = T / blocks;
    StepwiseOptions how = stepwise_options(facts);
    how.go_back = false;  // the next block's other root costs less
    const auto from = [&](std::int64_t t, const Tensor& before) {
      Observation seen = facts.observation();
      if (t > 0)
        seen.initial = facts.encoder()(view::slice(before, 0, 0, t * k), seen.initial).last;
      return seen;
    };
    for (std::int64_t t = blocks - 1; t >= 0 && !s.other; t--) {
      detail::stop_if(options_.stop);
      const Facts block(facts.encoder(), from(t, x), k);
      const Tensor root = contiguous_copy(block.rows_of(view::slice(x, 0, t * k, (t + 1) * k)));
      const Collision other = second_preimage(block, root, {.seed = options_.seed});
      if (!other.found) continue;
      Tensor two = cast_copy(x, f64), part = view::slice(two, 0, t * k, (t + 1) * k);
      copy_into(part, block.input_of(other.other));
      if (t + 1 < blocks) {
        const Facts rest(facts.encoder(), from(t + 1, two), T - (t + 1) * k);
        const Stepwise behind = invert_stepwise(
            rest, contiguous_copy(view::slice(y, 1, (t + 1) * facts.width(), facts.count())), how);
        if (behind.failed[0] >= 0) continue;
        Tensor end = view::slice(two, 0, (t + 1) * k, T);
        copy_into(end, behind.x);
      }
      consider(facts, x, two, s);
    }
  }

  SequenceInversion& sequence(std::int64_t n) { return sequences_[static_cast<std::size_t>(n)]; }

  // Whether `found` [T,1,I] is, or is near, another input with the outputs of `one`.
  static void consider(const Facts& facts, const Tensor& one, const Tensor& found,
                       SequenceInversion& s) {
    Tensor row = contiguous_copy(facts.rows_of(found));
    if (!detail::agrees(facts, facts.rows_of(one), row)) return;
    const Tensor two = contiguous_copy(facts.input_of(row));
    const double distance = std::sqrt(sum(square(one - two)).item());
    if (distance < 1e-3 * (1 + amax(abs(one), {0, 1, 2}).item())) return;
    const auto outputs = [&](const Tensor& x) { return facts.of_unknowns(facts.rows_of(x)); };
    s.other = detail::on_host(view::select(two, 1, 0));
    s.other_distance = distance;
    s.other_difference = amax(abs(outputs(two) - outputs(one)), {0, 1}).item();
    s.verdict = Verdict::ambiguous;
    s.reason = "a second input gives the same outputs";
    s.error_bound = std::numeric_limits<double>::infinity();
    s.bound = full(s.bound.shape(), s.error_bound, f64);
  }

  void at_once(std::int64_t n) {
    detail::stop_if(options_.stop);
    const Indices own = {n};
    const Facts facts = facts_of(facts_, facts_.T(), own);
    SequenceInversion& s = sequences_[static_cast<std::size_t>(n)];
    Tensor start;
    if (start_)
      start = facts.rows_of(contiguous_copy(view::slice(start_, 1, n, n + 1)));
    else if (guessed_)
      start = contiguous_copy(view::slice(rows_, 0, n, n + 1));
    const auto solve =
        facts.unknowns() > kDenseUnknowns || facts.unknowns() * facts.count() > kDenseNumbers
            ? detail::solve_and_judge_large
            : detail::solve_and_judge;
    const detail::DenseResult result =
        solve(facts, contiguous_copy(view::slice(y_, 0, n, n + 1)), start, options_);
    s = result.judged;
    Tensor row = view::slice(rows_, 0, n, n + 1);
    copy_into(row, result.row);
    if (s.verdict == Verdict::recovered) look_for_other(n);
  }

  Facts facts_;
  Tensor y_, start_;
  const InvertOptions& options_;
  std::int64_t N_;
  std::vector<SequenceInversion> sequences_;
  Tensor rows_;
  bool guessed_ = false;
};

// ---- All sequences

std::map<std::int64_t, Indices> by_length(const Lengths& lengths, std::int64_t T, std::int64_t N) {
  std::map<std::int64_t, Indices> groups;
  for (std::int64_t n = 0; n < N; n++)
    groups[lengths ? lengths.values()[static_cast<std::size_t>(n)] : T].push_back(n);
  return groups;
}

std::int64_t steps_of(const Tensor& outputs, const Observation& observation,
                      const InvertOptions& options) {
  if (options.steps < 0) fail("invert", "steps must be at least 1");
  return options.steps ? options.steps : steps_of_outputs(outputs, observation);
}

void check_options(const Facts& facts, std::int64_t N, const InvertOptions& options) {
  const Observation& seen = facts.observation();
  const Shape wanted{facts.T(), N, facts.encoder().sizes().I};
  if (options.start && !(options.start.shape() == wanted))
    fail("invert", "the start is " + to_string(options.start.shape()) + " but " +
                       to_string(wanted) + " is wanted");
  if (options.lengths) {
    if (seen.outputs != Seen::all)
      fail("invert", "lengths go with outputs at all steps; cut other sequences to one length");
    options.lengths.view("invert", facts.T(), N);
  }
  for (const Tensor& state : {seen.initial.h, seen.initial.c})
    if (state && (state.rank() != 3 || (state.shape()[1] != N && state.shape()[1] != 1)))
      fail("invert", "the initial state is " + to_string(state.shape()) + " but there are " +
                         std::to_string(N) + " sequences");
}

// Writes the sequences `which` along axis 1.
void put(Tensor& to, const Indices& which, const Tensor& from) {
  for (std::size_t i = 0; i < which.size(); i++) {
    const std::int64_t source = static_cast<std::int64_t>(i);
    Tensor part = view::slice(view::slice(to, 0, 0, from.shape()[0]), 1, which[i], which[i] + 1);
    copy_into(part, view::slice(from, 1, source, source + 1));
  }
}

class Inverter {
 public:
  Inverter(const Facts& facts, const Tensor& y, const InvertOptions& options)
      : facts_(facts), y_(y), options_(options), N_(y.shape()[0]) {
    const EncoderSizes& sizes = facts.encoder().sizes();
    found_.x = zeros({facts.T(), N_, sizes.I}, f64);
    found_.sequences.resize(static_cast<std::size_t>(N_));
    const auto home = [](const Tensor& t) { return t ? detail::on_host(t) : t; };
    found_.initial = {home(facts.observation().initial.h), home(facts.observation().initial.c)};
    if (facts.observation().initial_known) return;
    const std::int64_t runs = sizes.layers * sizes.directions();
    found_.initial.h = zeros({runs, N_, sizes.state_width()}, f64);
    if (sizes.has_cell_state()) found_.initial.c = zeros({runs, N_, sizes.H}, f64);
  }

  Inversion run() {
    for (const auto& [T, which] : by_length(options_.lengths, facts_.T(), N_)) {
      if (T == 0)
        for (std::int64_t n : which) nothing(n);
      else
        solve(T, which);
    }
    return std::move(found_);
  }

 private:
  void nothing(std::int64_t n) {
    SequenceInversion& s = found_.sequences[static_cast<std::size_t>(n)];
    s.verdict = Verdict::recovered;
    s.reason = "no steps";
    s.bound = zeros({0, facts_.encoder().sizes().I}, f64);
    count();
  }

  void solve(std::int64_t T, const Indices& which) {
    Tensor y = rows_at(y_, which);
    if (T < facts_.T()) {
      const std::int64_t N = y.shape()[0], width = facts_.width();
      const Tensor steps = view::reshape(y, {N, facts_.T(), width});
      y = view::reshape(contiguous_copy(view::slice(steps, 1, 0, T)), {N, T * width});
    }
    Tensor start;
    if (options_.start) {
      const Tensor all = cast_copy(on_device(options_.start, facts_.device()), f64);
      const Tensor index = from_values<std::int64_t>(which, {y.shape()[0]}, facts_.device());
      start = slice(index_select(all, 1, index), 0, 0, T);
    }
    Group group(facts_of(facts_, T, which), y, start, options_);
    group.run([&] { count(); });
    put(found_.x, which, contiguous_copy(group.x()));
    if (!facts_.observation().initial_known) {
      put(found_.initial.h, which, contiguous_copy(group.initial().h));
      if (found_.initial.c) put(found_.initial.c, which, contiguous_copy(group.initial().c));
    }
    for (std::size_t i = 0; i < which.size(); i++)
      found_.sequences[static_cast<std::size_t>(which[i])] = std::move(group.sequences()[i]);
  }

  void count() {
    const std::lock_guard lock(mutex_);
    if (options_.progress) options_.progress(++done_, N_);
  }

  const Facts& facts_;
  Tensor y_;
  const InvertOptions& options_;
  std::int64_t N_, done_ = 0;
  std::mutex mutex_;
  Inversion found_;
};

}  // namespace

const char* name(Verdict verdict) noexcept {
  switch (verdict) {
    case Verdict::recovered: return "recovered";
    case Verdict::ambiguous: return "ambiguous";
    case Verdict::ill_conditioned: return "ill-conditioned";
    case Verdict::local_minimum: return "local minimum";
  }
  return "?";
}

Verdict Inversion::verdict() const noexcept {
  Verdict worst = Verdict::recovered;
  for (const SequenceInversion& s : sequences) worst = std::max(worst, s.verdict);
  return worst;
}

double Inversion::error_bound() const noexcept {
  double most = 0;
  for (const SequenceInversion& s : sequences) most = std::max(most, s.error_bound);
  return most;
}

Inversion invert(const Encoder& encoder, const Tensor& outputs, const Observation& observation,
                 const InvertOptions& options) {
  if (!outputs) fail("invert", "there are no outputs");
  const NoTape none;
  const Facts facts(encoder, observation, steps_of(outputs, observation, options));
  const Tensor y = facts.from_outputs(outputs);
  check_options(facts, y.shape()[0], options);
  return Inverter(facts, y, options).run();
}

}  // namespace unroll
