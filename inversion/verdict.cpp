#include "inversion/verdict.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>

#include "autograd/ops.h"
#include "autograd/tape.h"
#include "core/view.h"
#include "inversion/closed_form.h"
#include "inversion/collision.h"
#include "inversion/levenberg_marquardt.h"
#include "inversion/local_analysis.h"
#include "inversion/rounding.h"

namespace unroll::detail {
namespace {

constexpr Dtype f64 = Dtype::float64;
constexpr double kInfinity = std::numeric_limits<double>::infinity();
// Samples of a stepwise error are few, and rounding is measured, not bounded.
constexpr double kStepwiseSafety = 5, kDenseSafety = 6;

std::string counts(const SequenceInversion& s) {
  return std::to_string(s.facts) + " facts of " + std::to_string(s.unknowns) + " unknowns";
}

class Judge {
 public:
  Judge(const Facts& facts, const Tensor& y, const InvertOptions& options)
      : facts_(facts), y_(y), options_(options) {
    out_.judged.unknowns = facts.unknowns();
    out_.judged.facts = facts.count();
  }

  DenseResult run(const Tensor& start) {
    const double expected = expected_error(facts_);
    const double enough = explained_residual(facts_, expected, facts_.count());
    if (facts_.count() < facts_.unknowns())
      solve_with_prior();
    else
      solve(start, enough);
    SequenceInversion& s = out_.judged;
    s.fact_error = fact_error(facts_, out_.row).item({0});
    const Tensor residual = facts_.of_unknowns(out_.row) - y_;
    s.residual = root_mean_square(residual);
    explained_ =
        s.residual <= explained_residual(facts_, std::max(expected, s.fact_error), s.facts);
    look_around(residual);
    decide();
    return std::move(out_);
  }

 private:
  void solve(const Tensor& start, double enough) {
    AllAtOnceOptions how{
        .starts = options_.restarts, .seed = options_.seed, .enough = enough, .start = start};
    // As many facts as unknowns: roots are isolated, but there may be several.
    how.stop = options_.stop;
    how.all_roots = facts_.steps_seen() * facts_.independent_width() <= facts_.unknowns();
    const AllAtOnce found = invert_all_at_once(facts_, y_, how);
    out_.row = found.row;
    out_.judged.method = found.method;
    stalled_ =
        std::to_string(found.stalled) + " of " + std::to_string(found.starts) + " random starts";
    for (std::size_t i = 1; i < found.roots.size() && !out_.judged.other; i++)
      set_other(found.roots[i]);
  }

  void solve_with_prior() {
    const std::int64_t n = facts_.unknowns();
    const Prior standard{zeros({n}, f64), eye(n, f64)};
    const double noise = facts_.observation().noise;
    out_.judged.method = Method::prior;
    out_.row = map_estimate(facts_, y_, options_.prior ? *options_.prior : standard,
                            std::max(noise, 1e-8));
    if (noise > 0) return;  // to meet noise exactly is to follow it
    const LmResult exact = levenberg_marquardt(
        [&](const Tensor& x, auto) {
          return linearise(x, [&](const Tensor& rows) { return facts_.of_unknowns(rows) - y_; });
        },
        out_.row);
    out_.row = exact.x;
  }

  // Only where its facts are those of the row.
  void set_other(const Tensor& root) {
    SequenceInversion& s = out_.judged;
    Tensor row = root;
    if (!agrees(facts_, out_.row, row)) return;
    const std::int64_t T = facts_.T(), I = facts_.encoder().sizes().I;
    s.other = view::reshape(on_host(facts_.input_of(row)), {T, I});
    s.other_distance = std::sqrt(sum(square(row - out_.row)).item());
    s.other_difference = largest(facts_.of_unknowns(row) - facts_.of_unknowns(out_.row));
  }

  // Rank, condition and bounds at the row.
  void look_around(const Tensor& residual) {
    const LocalAnalysis local = analyse(facts_, out_.row);
    SequenceInversion& s = out_.judged;
    s.rank = local.rank;
    s.condition = local.condition;
    // What is left of the least-squares step, and what errors of the facts may do.
    const Tensor off = transpose(on_host(residual), 0, 1);
    const Tensor left = abs(view::reshape(matmul(local.pseudo_inverse, off), {facts_.unknowns()}));
    const double factor = s.fact_error * dense_safety(facts_);
    const Tensor bound = local.gain * factor + left * 2.0;
    const std::int64_t T = facts_.T(), I = facts_.encoder().sizes().I;
    s.bound = contiguous_copy(view::reshape(view::slice(bound, 0, 0, T * I), {T, I}));
    s.error_bound = largest(s.bound);
  }

  void decide() {
    SequenceInversion& s = out_.judged;
    if (s.facts < s.unknowns) {
      conclude_ambiguous(counts(s) + " cannot determine them" +
                         (explained_ ? "" : "; x does not reproduce the outputs"));
      if (!explained_) set_unknown();
      return;
    }
    if (!explained_) {
      s.verdict = Verdict::local_minimum;
      s.reason = "no start reproduces the outputs: the closest is off by " +
                 short_number(s.residual) + " where their errors are " +
                 short_number(s.fact_error) + "; " + stalled_ +
                 " stalled, which does not say that the input is lost";
      return set_unknown();
    }
    if (s.other) return conclude_ambiguous("a second input gives the same outputs");
    if (s.rank < s.unknowns) return decide_deficient();
    const Cell cell = facts_.encoder().sizes().cell;
    if (cell == Cell::relu) {  // pieces of linear maps may meet again
      const Collision c = second_preimage(facts_, out_.row, {.starts = 20, .seed = options_.seed});
      if (c.found) set_other(c.other);
      if (s.other) return conclude_ambiguous("a second input gives the same outputs");
    }
    const std::int64_t independent = facts_.steps_seen() * facts_.independent_width();
    if (independent <= s.unknowns && cell != Cell::linear) return conclude_square(s);
    const double size = root_mean_square(facts_.input_of(out_.row));
    if (is_at_kink(facts_, out_.row)) {
      s.verdict = Verdict::ill_conditioned;
      s.reason = "a relu unit is at its kink, where it may count as on or off";
      set_unknown();
    } else if (is_useful(s.error_bound, size)) {
      s.verdict = Verdict::recovered;
      s.reason = "full rank, condition " + short_number(s.condition);
    } else {
      s.verdict = Verdict::ill_conditioned;
      s.reason = "errors of " + short_number(s.fact_error) +
                 " in the outputs may move the input by " + short_number(s.error_bound);
    }
  }

  void conclude_ambiguous(const std::string& why) {
    SequenceInversion& s = out_.judged;
    s.verdict = Verdict::ambiguous;
    s.reason = why;
    if (!s.other) {
      const Collision c = find_collision(facts_, out_.row, {.seed = options_.seed});
      if (c.found) set_other(c.other);
    }
    // Numbers may be determined all the same; but not where inputs are isolated, nor by relu, whose
    // other pieces the derivative does not see.
    const bool smooth = facts_.encoder().sizes().cell != Cell::relu;
    if (smooth && (s.facts < s.unknowns || s.rank < s.unknowns)) return;
    set_unknown();
  }

  void set_unknown() {
    SequenceInversion& s = out_.judged;
    s.error_bound = kInfinity;
    s.bound = full(s.bound.shape(), kInfinity, f64);
  }

  // A Jacobian without full rank: of a surface of inputs, which is shown, or only at this point.
  void decide_deficient() {
    SequenceInversion& s = out_.judged;
    const Collision c = find_collision(facts_, out_.row, {.seed = options_.seed});
    const std::string rank =
        "rank " + std::to_string(s.rank) + " of " + std::to_string(s.unknowns) + " unknowns";
    if (c.found) {
      set_other(c.other);
      return conclude_ambiguous(rank + ", and a second input gives the same outputs");
    }
    if (is_deficient_elsewhere()) return conclude_ambiguous(rank + ", here and at random inputs");
    s.verdict = Verdict::ill_conditioned;
    s.reason = rank + " at this input";
  }

  bool is_deficient_elsewhere() const {
    Random random(options_.seed, 51);
    for (int i = 0; i < 3; i++) {
      const Tensor row = random.normal({1, facts_.unknowns()}, 0, 0.3, f64, facts_.device());
      if (analyse(facts_, row).rank >= facts_.unknowns()) return false;
    }
    return true;
  }

  const Facts& facts_;
  const Tensor& y_;
  const InvertOptions& options_;
  DenseResult out_;
  std::string stalled_;
  bool explained_ = false;
};

}  // namespace

double explained_residual(const Facts& facts, double fact_error, std::int64_t count) {
  const double noise = facts.observation().noise;
  const double rounding = std::sqrt(std::max(0.0, fact_error * fact_error - noise * noise));
  const double spread =
      1 + 5 / std::sqrt(2.0 * static_cast<double>(std::max<std::int64_t>(count, 1)));
  return kLoose * rounding + 1.5 * spread * noise;
}

bool is_useful(double error_bound, double size) noexcept {
  constexpr double kLeastSize = 1e-6;  // an input of zeros is known too
  return error_bound <= kUsefulError * std::max(size, kLeastSize);
}

bool agrees(const Facts& facts, const Tensor& row, Tensor& other) {
  const Tensor y = facts.of_unknowns(row);
  const double most = 1e-9 * (1 + largest(y));
  if (largest(facts.of_unknowns(other) - y) <= most) return true;
  other = levenberg_marquardt(
              [&](const Tensor& x, auto) {
                return linearise(x, [&](const Tensor& at) { return facts.of_unknowns(at) - y; });
              },
              other)
              .x;
  return largest(facts.of_unknowns(other) - y) <= most &&
         largest(other - row) > 1e-3 * (1 + largest(row));
}

void conclude_square(SequenceInversion& s) {
  s.verdict = Verdict::ill_conditioned;
  s.reason =
      "as many facts as unknowns: other inputs may have these outputs, though none was found";
  s.error_bound = kInfinity;
  s.bound = full(s.bound.shape(), kInfinity, f64);
}

bool is_at_kink(const Facts& facts, const Tensor& row) {
  const EncoderSizes& s = facts.encoder().sizes();
  if (s.cell != Cell::relu) return false;
  const double close = 1e-9 * (1 + largest(facts.of_unknowns(row)));
  const EncoderState initial = facts.state_of(row);
  for (std::int64_t layers = 1; layers <= s.layers; layers++) {
    const std::int64_t runs = layers * s.directions();
    const Tensor h0 = initial.h ? slice(initial.h, 0, 0, runs) : initial.h;
    const Tensor y =
        contiguous_copy(facts.encoder().first_layers(layers)(facts.input_of(row), {h0, {}}).y);
    for (const double h : to_vector<double>(y))
      if (h > 0 && h < close) return true;
  }
  return false;
}

double dense_safety(const Facts& facts) {
  return kDenseSafety + std::sqrt(static_cast<double>(facts.count()));
}

std::string short_number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2g", value);
  return text;
}

double expected_error(const Facts& facts) {
  Random random(3, 52);
  std::int64_t N = 1;  // a row for each state that a sequence starts from
  for (const Tensor& state : {facts.observation().initial.h, facts.observation().initial.c})
    if (state) N = std::max(N, state.shape()[1]);
  double error = 0;
  for (int i = 0; i < 3; i++)
    error = std::max(error, largest(fact_error(facts, random.normal({N, facts.unknowns()}, 0, 1,
                                                                    f64, facts.device()))));
  return error;
}

DenseResult solve_and_judge(const Facts& facts, const Tensor& y, const Tensor& start,
                            const InvertOptions& options) {
  return Judge(facts, y, options).run(start);
}

SequenceInversion judge_stepwise(const Facts& facts, const StepwiseOutcome& outcome,
                                 double fact_error) {
  const EncoderSizes& sizes = facts.encoder().sizes();
  const std::int64_t blocks = facts.steps_seen(), k = facts.T() / blocks, n = k * sizes.I;
  SequenceInversion s{.method = Method::stepwise,
                      .residual = outcome.residual,
                      .fact_error = fact_error,
                      .unknowns = facts.unknowns(),
                      .facts = facts.count(),
                      .rank = facts.unknowns()};
  s.bound = empty({facts.T(), sizes.I}, f64);
  double* bound = s.bound.mutable_data<double>();
  std::int64_t deficient = -1;
  for (std::int64_t t = 0; t < blocks; t++) {
    const std::int64_t missing = n - outcome.rank.data<std::int64_t>()[t];
    if (missing > 0 && deficient < 0) deficient = t;
    s.rank -= missing;
    const double gain = outcome.gain.data<double>()[t];
    s.condition = std::max(s.condition, gain);
    std::fill_n(bound + t * n, n, missing > 0 ? kInfinity : kStepwiseSafety * gain * fact_error);
  }
  s.error_bound = largest(s.bound);
  // Where the whole state is seen, what a step does not say is said nowhere.
  const bool whole_state = is_closed_form(facts) || (sizes.layers == 1 && !sizes.has_cell_state() &&
                                                     !facts.observation().readout);
  if (outcome.failed >= 0) return {};
  if (deficient >= 0) {
    if (!whole_state) return {};
    s.verdict = Verdict::ambiguous;
    s.reason = "the outputs of step " + std::to_string((deficient + 1) * k) + " have rank " +
               std::to_string(outcome.rank.data<std::int64_t>()[deficient]) + " for " +
               std::to_string(n) + " unknowns";
    return s;
  }
  if (!is_useful(s.error_bound, root_mean_square(outcome.x))) return {};
  if (outcome.residual > explained_residual(facts, fact_error, facts.count())) return {};
  s.verdict = Verdict::recovered;
  s.reason = "every block has full rank, largest gain " + short_number(s.condition);
  return s;
}

}  // namespace unroll::detail
