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
    const double enough = kExplained * expected_error(facts_);
    if (facts_.count() < facts_.unknowns())
      solve_with_prior();
    else
      solve(start, enough);
    SequenceInversion& s = out_.judged;
    s.fact_error = fact_error(facts_, out_.row).item({0});
    const Tensor residual = facts_.of_unknowns(out_.row) - y_;
    s.residual = root_mean_square(residual);
    explained_ = s.residual <= std::max(enough, kExplained * s.fact_error);
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
    how.all_roots = facts_.count() == facts_.unknowns();
    const AllAtOnce found = invert_all_at_once(facts_, y_, how);
    out_.row = found.row;
    out_.judged.method = found.method;
    stalled_ =
        std::to_string(found.stalled) + " of " + std::to_string(found.starts) + " random starts";
    if (found.roots.size() > 1) set_other(found.roots[1]);
  }

  void solve_with_prior() {
    const std::int64_t n = facts_.unknowns();
    const Prior standard{zeros({n}, f64), eye(n, f64)};
    const Tensor guess = map_estimate(facts_, y_, options_.prior ? *options_.prior : standard);
    const LmResult exact = levenberg_marquardt(
        [&](const Tensor& x, auto) {
          return linearise(x, [&](const Tensor& rows) { return facts_.of_unknowns(rows) - y_; });
        },
        guess);
    out_.row = exact.x;
    out_.judged.method = Method::given_start;
  }

  void set_other(const Tensor& row) {
    SequenceInversion& s = out_.judged;
    const std::int64_t T = facts_.T(), I = facts_.encoder().sizes().I;
    s.other = contiguous_copy(view::reshape(contiguous_copy(facts_.input_of(row)), {T, I}));
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
    const Tensor left = abs(view::reshape(matmul(local.pseudo_inverse, transpose(residual, 0, 1)),
                                          {facts_.unknowns()}));
    const double factor = s.fact_error * dense_safety(facts_);
    const Tensor bound = local.gain * factor + left * 2.0;
    const std::int64_t T = facts_.T(), I = facts_.encoder().sizes().I;
    s.bound = contiguous_copy(view::reshape(view::slice(bound, 0, 0, T * I), {T, I}));
    s.error_bound = largest(s.bound);
  }

  void decide() {
    SequenceInversion& s = out_.judged;
    if (s.facts < s.unknowns) return conclude_ambiguous(counts(s) + " cannot determine them");
    if (!explained_) {
      s.verdict = Verdict::local_minimum;
      s.reason = "no start reproduces the outputs: the closest is off by " +
                 short_number(s.residual) + " where their errors are " +
                 short_number(s.fact_error) + "; " + stalled_ +
                 " stalled, which does not say that the input is lost";
      s.error_bound = kInfinity;
      s.bound = full(s.bound.shape(), kInfinity, f64);
      return;
    }
    if (s.other) return conclude_ambiguous("a second input gives the same outputs");
    if (s.rank < s.unknowns) return decide_deficient();
    const double size = root_mean_square(facts_.input_of(out_.row));
    if (s.error_bound <= kUsefulError * size) {
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
    if (s.facts < s.unknowns || s.rank < s.unknowns) return;
    s.bound = full(s.bound.shape(), kInfinity, f64);  // isolated inputs: nothing says which
    s.error_bound = kInfinity;
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
      const Tensor row = random.normal({1, facts_.unknowns()}, 0, 0.3, f64);
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

double largest(const Tensor& x) {
  const Tensor flat = view::reshape(contiguous_copy(x), {x.numel()});
  return flat.numel() ? amax(abs(flat), {0}).item() : 0;
}

double root_mean_square(const Tensor& x) { return std::sqrt(mean(square(x)).item()); }

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
    error = std::max(error,
                     largest(fact_error(facts, random.normal({N, facts.unknowns()}, 0, 1, f64))));
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
  if (!(s.error_bound <= kUsefulError * root_mean_square(outcome.x))) return {};
  s.verdict = Verdict::recovered;
  s.reason = "every block has full rank, largest gain " + short_number(s.condition);
  return s;
}

}  // namespace unroll::detail
