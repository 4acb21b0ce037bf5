// Verdicts of problems with too many unknowns for a dense Jacobian: inversion/matrix_free.h solves
// them, and samples say what the singular value decomposition says of small ones.
#include <algorithm>
#include <cmath>
#include <limits>

#include "autograd/ops.h"
#include "core/random.h"
#include "core/view.h"
#include "inversion/matrix_free.h"
#include "inversion/rounding.h"
#include "inversion/verdict.h"

namespace unroll::detail {
namespace {

constexpr Dtype f64 = Dtype::float64;
constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr std::int64_t kRandomStarts = 4;  // each costs seconds
constexpr double kMoved = 1e-7;            // smaller shares in lost directions are rounding

class LargeJudge {
 public:
  LargeJudge(const Facts& facts, const Tensor& y, const InvertOptions& options)
      : facts_(facts), y_(y), options_(options) {
    SequenceInversion& s = out_.judged;
    s.unknowns = facts.unknowns();
    s.facts = facts.count();
    s.residual = s.error_bound = kInfinity;
    s.bound = full({facts.T(), facts.encoder().sizes().I}, kInfinity, f64);
  }

  DenseResult run(const Tensor& start) {
    enough_ = explained_residual(facts_, expected_error(facts_), facts_.count());
    solve(start);
    SequenceInversion& s = out_.judged;
    s.fact_error = fact_error(facts_, out_.row).item({0});
    const bool explained =
        s.residual <= std::max(enough_, explained_residual(facts_, s.fact_error, s.facts));
    if (s.facts < s.unknowns) {
      s.verdict = Verdict::ambiguous;
      s.reason = std::to_string(s.facts) + " facts of " + std::to_string(s.unknowns) +
                 " unknowns cannot determine them";
    } else if (!explained) {
      s.verdict = Verdict::local_minimum;
      s.reason = "no start reproduces the outputs: the closest is off by " +
                 short_number(s.residual) + " where their errors are " +
                 short_number(s.fact_error) + ", which does not say that the input is lost";
    } else {
      judge();
    }
    return std::move(out_);
  }

 private:
  void solve(const Tensor& start) {
    const std::int64_t n = facts_.unknowns();
    const bool informed = options_.prior && options_.prior->mean.numel() == n;
    if (start && attempt(start, Method::given_start)) return;
    const Tensor centre =
        on_device(informed ? view::reshape(contiguous_copy(options_.prior->mean), {1, n})
                           : zeros({1, n}, f64),
                  facts_.device());
    if (attempt(centre, Method::gauss_newton)) return;
    Random random(options_.seed, 53);
    for (std::int64_t i = 0; i < std::min(options_.restarts, kRandomStarts); i++)
      if (attempt(centre + random.normal({1, n}, 0, 1, f64, facts_.device()), Method::multistart))
        return;
    out_.judged.method = Method::none;
  }

  // Whether the start led to a root; else the closest so far is kept.
  bool attempt(const Tensor& start, Method method) {
    const MatrixFreeResult found =
        levenberg_marquardt_matrix_free(facts_, y_, start, {.stop = options_.stop});
    SequenceInversion& s = out_.judged;
    if (out_.row && !(found.residual < s.residual)) return false;
    out_.row = found.row;
    s.residual = found.residual;
    s.method = method;
    return s.residual <= enough_;
  }

  void judge() {
    SequenceInversion& s = out_.judged;
    JacobianAt at(facts_, out_.row);
    const ExtremeValues ends = extreme_singular_values(at.map());
    const SampledAnalysis local = sampled(at, ends.largest, y_ - at.facts());
    s.condition = ends.converged ? ends.condition() : ends.largest * local.inverse_norm;
    s.rank = s.unknowns - static_cast<std::int64_t>(std::llround(local.null_dimension));
    if (local.deficient) return judge_deficient(local);
    if (!local.converged) {
      s.verdict = Verdict::ill_conditioned;
      s.condition = std::max(s.condition, ends.condition());
      s.reason = "condition at least " + short_number(ends.condition()) +
                 ": the errors of the outputs cannot be followed back";
      return;
    }
    s.rank = s.unknowns;
    set_bound(local);
    const double size = root_mean_square(facts_.input_of(out_.row));
    const bool good = is_useful(s.error_bound, size) && !is_at_kink(facts_, out_.row);
    s.verdict = good ? Verdict::recovered : Verdict::ill_conditioned;
    s.reason = good ? "full rank, condition about " + short_number(s.condition)
                    : "errors of " + short_number(s.fact_error) +
                          " in the outputs may move the input by " + short_number(s.error_bound);
  }

  SampledAnalysis sampled(JacobianAt& at, double largest_value, const Tensor& residual) const {
    return analyse_by_samples(at.map(), largest_value, facts_.encoder().sizes().I, residual, 8,
                              options_.seed);
  }

  void set_bound(const SampledAnalysis& local) {
    SequenceInversion& s = out_.judged;
    const std::int64_t T = facts_.T(), I = facts_.encoder().sizes().I;
    const double factor = s.fact_error * dense_safety(facts_);
    const Tensor all = local.gain * factor + abs(local.correction) * 2.0;
    s.bound = contiguous_copy(view::reshape(view::slice(all, 0, 0, T * I), {T, I}));
    double* bound = s.bound.mutable_data<double>();
    for (std::int64_t i = 0; i < T * I; i++)
      if (local.lost.item({i}) > kMoved) bound[i] = kInfinity;
    s.error_bound = largest(s.bound);
  }

  // A rank below n everywhere, or only at this input.
  void judge_deficient(const SampledAnalysis& local) {
    SequenceInversion& s = out_.judged;
    if (local.converged) set_bound(local);
    const std::string rank = "rank about " + std::to_string(s.rank) + " of " +
                             std::to_string(s.unknowns) +
                             " unknowns: directions were found that change no output";
    s.condition = kInfinity;
    s.verdict = is_deficient_elsewhere() ? Verdict::ambiguous : Verdict::ill_conditioned;
    s.reason = rank + (s.verdict == Verdict::ambiguous ? ", here and at random inputs" : "");
  }

  bool is_deficient_elsewhere() const {
    Random random(options_.seed, 51);
    for (int i = 0; i < 3; i++) {
      JacobianAt at(facts_, random.normal({1, facts_.unknowns()}, 0, 0.3, f64, facts_.device()));
      const ExtremeValues ends = extreme_singular_values(at.map(), 20);
      if (!sampled(at, ends.largest, {}).deficient) return false;
    }
    return true;
  }

  const Facts& facts_;
  const Tensor& y_;
  const InvertOptions& options_;
  DenseResult out_;
  double enough_ = 0;
};

}  // namespace

DenseResult solve_and_judge_large(const Facts& facts, const Tensor& y, const Tensor& start,
                                  const InvertOptions& options) {
  return LargeJudge(facts, y, options).run(start);
}

}  // namespace unroll::detail
