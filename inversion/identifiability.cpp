#include "inversion/identifiability.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "autograd/ops.h"
#include "autograd/tape.h"
#include "core/view.h"
#include "inversion/levenberg_marquardt.h"
#include "inversion/linear_algebra.h"
#include "inversion/local_analysis.h"
#include "inversion/matrix_free.h"
#include "inversion/rounding.h"
#include "inversion/verdict.h"

namespace unroll {
namespace {

using detail::short_number;

constexpr Dtype f64 = Dtype::float64;
constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kUndefined = std::numeric_limits<double>::quiet_NaN();
constexpr double kLost = 1e-10;        // smaller shares of sampled lost directions are rounding
constexpr double kUsefulDigits = 2;    // of the worst number
constexpr double kMostDigits = 17;     // of a float64
constexpr double kUnknownState = 0.3;  // standard deviation of random initial states
constexpr Dtype kDtypes[] = {f64, Dtype::float32, Dtype::float16, Dtype::bfloat16};

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

// "1, 3-5"
std::string ranges(const std::vector<std::int64_t>& steps) {
  std::string text;
  for (std::size_t i = 0; i < steps.size();) {
    std::size_t j = i;
    while (j + 1 < steps.size() && steps[j + 1] == steps[j] + 1) j++;
    text += (text.empty() ? "" : ", ") + std::to_string(steps[i] + 1);
    if (j > i) text += "-" + std::to_string(steps[j] + 1);
    i = j + 1;
  }
  return text;
}

// Of one sequence, starting where sequence n of `all` does.
Facts facts_of_sequence(const Facts& all, std::int64_t n) {
  Observation seen = all.observation();
  for (Tensor* state : {&seen.initial.h, &seen.initial.c})
    if (*state && state->shape()[1] > 1) {
      const std::int64_t own = n % state->shape()[1];
      *state = contiguous_copy(view::slice(*state, 1, own, own + 1));
    }
  return {all.encoder(), seen, all.T()};
}

// Over the steps and sequences of the run x [T,N,I].
EncoderState mean_state(const Facts& facts, const Tensor& x) {
  const std::int64_t N = x.shape()[1];
  const auto spread = [&](const Tensor& s) {
    return s ? contiguous_copy(view::expand(s, {s.shape()[0], N, s.shape()[2]})) : s;
  };
  const EncoderState start = facts_of_sequence(facts, 0).observation().initial;
  EncoderState state{spread(start.h), spread(start.c)}, total;
  for (std::int64_t t = 0; t < facts.T(); t++) {
    state = facts.encoder()(contiguous_copy(view::slice(x, 0, t, t + 1)), state).last;
    total.h = total.h ? total.h + state.h : state.h;
    if (state.c) total.c = total.c ? total.c + state.c : state.c;
  }
  const auto mean_of = [&](const Tensor& s) {
    return s ? contiguous_copy(mean(s, {1}, true)) / static_cast<double>(facts.T()) : s;
  };
  return {mean_of(total.h), mean_of(total.c)};
}

class Identifier {
 public:
  Identifier(const Facts& facts, const IdentifyOptions& options)
      : facts_(facts), options_(options), T_(facts.T()), I_(facts.encoder().sizes().I) {
    out_.unknowns = facts.unknowns();
    out_.facts = facts.count();
    out_.exact = out_.unknowns * out_.facts <= options.dense;
    draw();
  }

  Identifiability run() {
    out_.gain = zeros({T_, I_}, f64);
    out_.known = ones({T_, I_}, f64);
    const std::int64_t N = x_.shape()[1];
    for (std::int64_t n = 0; n < (out_.exact ? N : 1); n++) {
      const Facts facts = facts_of_sequence(facts_, n);
      const Tensor row = facts.rows_of(contiguous_copy(view::slice(x_, 1, n, n + 1)), state(n));
      out_.exact ? look_at(facts, row) : sample_at(facts, row);
      for (const Dtype dtype : kDtypes) add_error(facts, row, dtype);
    }
    out_.condition = median(conditions_);
    out_.effective_rank = median(effective_);
    find_lost();
    count_digits();
    out_.inverse_radius = inverse_radius(facts_, x_);
    out_.saturation = saturation_map(facts_, x_, options_.saturated);
    out_.verdict = verdict();
    return std::move(out_);
  }

 private:
  void draw() {
    if (!options_.x) {
      if (options_.inputs < 1) fail("identify", "at least 1 input is wanted");
      x_ = Random(options_.seed, 71).normal({T_, options_.inputs, I_}, 0, options_.scale, f64);
      return;
    }
    x_ = cast_copy(detail::on_host(options_.x), f64);
    if (x_.rank() != 3 || x_.shape()[0] != T_ || x_.shape()[2] != I_ || x_.shape()[1] < 1)
      fail("identify", "the inputs are " + to_string(x_.shape()) + " but must be [" +
                           std::to_string(T_) + ",N," + std::to_string(I_) + "]");
    for (const double value : to_vector<double>(x_))
      if (!std::isfinite(value)) fail("identify", "the inputs hold NaN or infinity");
  }

  // Where the start is sought: a random one.
  EncoderState state(std::int64_t n) const {
    if (facts_.observation().initial_known) return {};
    const EncoderSizes& s = facts_.encoder().sizes();
    const std::int64_t runs = s.layers * s.directions();
    Random random(options_.seed, 72 + static_cast<std::uint64_t>(n));
    EncoderState start{random.normal({runs, 1, s.state_width()}, 0, kUnknownState, f64), {}};
    if (s.has_cell_state()) start.c = random.normal({runs, 1, s.H}, 0, kUnknownState, f64);
    return start;
  }

  void look_at(const Facts& facts, const Tensor& row) {
    const LocalAnalysis local = analyse(facts, row);
    if (!out_.singular_values) out_.singular_values = local.singular_values;
    out_.rank = std::max(out_.rank, local.rank);
    conditions_.push_back(local.condition);
    out_.condition_from = std::max(out_.condition_from, local.condition);
    out_.condition_to = out_.condition_from;
    effective_.push_back(effective_rank(local.singular_values));
    add(local.gain, contiguous_copy(sum(square(local.null_basis), {1})));
  }

  void sample_at(const Facts& facts, const Tensor& row) {
    JacobianAt at(facts, row);
    const ExtremeValues ends = extreme_singular_values(at.map(), 300, options_.seed);
    const SampledAnalysis local =
        analyse_by_samples(at.map(), ends.largest, I_, {}, 8, options_.seed);
    const NoTape none;
    out_.singular_values = ends.values;
    // What is as good as lost, but not proved to be, is neither.
    out_.converged = local.converged && (local.deficient || local.null_dimension < 0.5);
    const std::int64_t lost = static_cast<std::int64_t>(std::llround(local.null_dimension));
    const std::int64_t most = std::min(out_.unknowns - (local.deficient ? 1 : 0), out_.facts);
    out_.rank = std::clamp<std::int64_t>(out_.unknowns - lost, 0, most);
    out_.condition_from = ends.condition();
    out_.condition_to =
        local.converged ? std::max(ends.condition(), ends.largest * local.inverse_norm) : kInfinity;
    conditions_.push_back(out_.rank < out_.unknowns ? kInfinity
                          : ends.converged          ? ends.condition()
                                                    : out_.condition_to);
    effective_.push_back(ends.effective_rank);
    Tensor gain = contiguous_copy(local.gain);
    for (std::int64_t i = 0; i < out_.unknowns; i++)
      if (local.lost.item({i}) > kLost) gain.mutable_data<double>()[i] = kInfinity;
    add(gain, local.lost);
  }

  void add(const Tensor& gain, const Tensor& lost) {
    const auto of_input = [&](const Tensor& x) {
      return view::reshape(contiguous_copy(view::slice(x, 0, 0, T_ * I_)), {T_, I_});
    };
    out_.gain = maximum(out_.gain, of_input(gain));
    out_.known = minimum(out_.known, maximum(1.0 - of_input(lost), zeros({T_, I_}, f64)));
  }

  void add_error(const Facts& facts, const Tensor& row, Dtype dtype) {
    Observation seen = facts.observation();
    seen.dtype = dtype;
    const double error = fact_error(Facts(facts.encoder(), seen, T_), row).item({0});
    for (PredictedDigits& d : out_.digits)
      if (d.dtype == dtype) {
        d.error = std::max(d.error, error);
        return;
      }
    out_.digits.push_back({.dtype = dtype, .error = error});
  }

  void find_lost() {
    for (std::int64_t t = 0; t < T_; t++)
      if (std::isinf(amax(contiguous_copy(view::select(out_.gain, 0, t)), {0}).item()))
        out_.lost_steps.push_back(t);
  }

  void count_digits() {
    const double own = detail::root_mean_square(x_), size = own > 0 ? own : 1;
    const std::vector<double> gains = to_vector<double>(out_.gain);
    for (PredictedDigits& d : out_.digits) {
      std::vector<double> digits;
      d.worst = kMostDigits;
      for (const double gain : gains) {
        const double left = -std::log10(std::max(gain * d.error / size, 1e-300));
        digits.push_back(std::isinf(gain) ? 0 : std::clamp(left, 0.0, kMostDigits));
        if (!std::isinf(gain)) d.worst = std::min(d.worst, digits.back());
      }
      if (std::all_of(gains.begin(), gains.end(), [](double g) { return std::isinf(g); }))
        d.worst = 0;
      d.median = median(digits);
    }
  }

  std::string verdict() const {
    if (!out_.converged && out_.facts >= out_.unknowns)
      return "not decided: condition at least " + short_number(out_.condition_from) +
             ", too much for the samples";
    if (!out_.determined()) {
      const std::string counts =
          out_.facts < out_.unknowns ? std::to_string(out_.facts) + " facts, " : std::string();
      const bool all = static_cast<std::int64_t>(out_.lost_steps.size()) == T_;
      const std::string lost = out_.lost_steps.empty() ? "nothing of the input"
                               : all                   ? "a part of every step"
                                                       : "steps " + ranges(out_.lost_steps);
      return "not determined: " + counts + "rank " + (out_.exact ? "" : "about ") +
             std::to_string(out_.rank) + " of " + std::to_string(out_.unknowns) +
             " unknowns; lost: " + lost;
    }
    for (const PredictedDigits& d : out_.digits)
      if ((d.dtype == f64 || d.dtype == Dtype::float32) && d.worst < kUsefulDigits)
        return "determined but ill-conditioned in " + std::string(name(d.dtype)) + ": condition " +
               short_number(out_.condition) + " leaves " + short_number(d.worst) +
               " digits of the worst number";
    return "determined: rank " + std::to_string(out_.rank) + ", condition " +
           short_number(out_.condition);
  }

  const Facts& facts_;
  const IdentifyOptions& options_;
  std::int64_t T_, I_;
  Tensor x_;  // [T,N,I]
  std::vector<double> conditions_, effective_;
  Identifiability out_;
};

}  // namespace

double effective_rank(const Tensor& singular_values) {
  double total = 0, entropy = 0;
  const std::vector<double> values = to_vector<double>(singular_values);
  for (const double s : values) total += s;
  for (const double s : values)
    if (s > 0) entropy -= s / total * std::log(s / total);
  return total > 0 ? std::exp(entropy) : 0;
}

double inverse_radius(const Facts& facts, const Tensor& anywhere) {
  const NoTape none;
  const Tensor x = on_device(anywhere, facts.device());
  const EncoderSizes& sizes = facts.encoder().sizes();
  Observation seen = facts.observation();
  const bool sequence = seen.outputs == Seen::all || seen.outputs == Seen::every;
  if (!sequence || sizes.bidirectional) return kUndefined;
  const std::int64_t k = facts.T() / facts.steps_seen(), n = k * sizes.I;
  // k steps from the mean state with the mean input: the unknowns are the input, then the state.
  seen.initial_known = false;
  seen.initial = {};
  const Facts outputs(facts.encoder(), seen, k);
  const Facts states(facts.encoder(), {.outputs = Seen::state, .initial_known = false}, k);
  const Tensor input = contiguous_copy(expand(mean(x, {0, 1}, true), {k, 1, sizes.I}));
  const Tensor row = contiguous_copy(outputs.rows_of(input, mean_state(facts, x)));
  const auto slope = [&](const Facts& f) {
    const Tensor J = linearise(row, [&](const Tensor& r) { return f.of_unknowns(r); }).jacobian;
    return detail::on_host(view::select(J, 0, 0));
  };
  const auto of_input = [&](const Tensor& J) { return contiguous_copy(view::slice(J, 1, 0, n)); };
  const auto of_state = [&](const Tensor& J) {
    return contiguous_copy(view::slice(J, 1, n, J.shape()[1]));
  };
  const Tensor s = slope(states), y = slope(outputs), CB = of_input(y);
  if (numerical_rank(singular_values(CB), CB.shape()[0], n) < n) return kUndefined;
  return spectral_radius(of_state(s) -
                         matmul(of_input(s), matmul(pseudo_inverse(CB), of_state(y))));
}

Identifiability identify(const Facts& facts, const IdentifyOptions& options) {
  const NoTape none;
  return Identifier(facts, options).run();
}

}  // namespace unroll
