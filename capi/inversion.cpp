#include <limits>

#include "capi/handles.h"
#include "core/view.h"

using namespace unroll;
using namespace unroll::capi;

namespace {

constexpr Dtype kKept[] = {Dtype::float64, Dtype::float32, Dtype::float16, Dtype::bfloat16};

Dtype kept_dtype(const char* op, const char* wanted) {
  std::vector<std::pair<const char*, Dtype>> all;
  for (const Dtype dtype : kKept) all.emplace_back(name(dtype), dtype);
  return called<Dtype>(op, wanted, all);
}

// `stored`: of the outputs.
Observation observation_from(const char* op, const unroll_observation* given, Dtype stored) {
  constexpr unroll_observation kAll = {};
  const unroll_observation& from = given ? *given : kAll;
  Observation seen = observation(from.outputs ? from.outputs : "all");
  seen.readout = optional(from.readout);
  seen.initial = {optional(from.h_0), optional(from.c_0)};
  if (from.unknown_start != 0 && from.unknown_start != 1)
    fail(op, "unknown_start must be 0 or 1, not " + std::to_string(from.unknown_start));
  seen.initial_known = !from.unknown_start;
  if (from.unknown_start && (from.h_0 || from.c_0))
    fail(op, "a start that is given cannot be sought too");
  if (!(from.noise >= 0 && from.noise <= std::numeric_limits<double>::max()))
    fail(op, "noise must be a standard deviation, not " + std::to_string(from.noise));
  seen.noise = from.noise;
  seen.dtype = from.dtype ? kept_dtype(op, from.dtype) : is_real(stored) ? stored : Dtype::float64;
  return seen;
}

Prior prior_from(const char* op, const Tensor& given, std::int64_t unknowns) {
  Tensor samples = cast_copy(given, Dtype::float64);
  const Shape& s = samples.shape();
  if (samples.rank() == 3) samples = view::reshape(samples, {s[0], s[1] * s[2]});
  if (samples.rank() != 2 || samples.shape()[0] < 2 || samples.shape()[1] != unknowns)
    fail(op, "the prior is " + to_string(given.shape()) +
                 " but must be at least two samples of the " + std::to_string(unknowns) +
                 " unknowns of a sequence");
  return Prior::of_samples(samples);
}

const SequenceInversion& sequence_of(const char* op, const unroll_inversion* inversion,
                                     std::int64_t index) {
  const std::vector<SequenceInversion>& all = the(op, inversion).found.sequences;
  if (index < 0 || index >= static_cast<std::int64_t>(all.size()))
    fail(op, "there is no sequence " + std::to_string(index) + " of " + std::to_string(all.size()));
  return all[static_cast<std::size_t>(index)];
}

double number(std::int64_t count) { return static_cast<double>(count); }

}  // namespace

unroll_status unroll_invert(const unroll_encoder* encoder, const unroll_tensor* outputs,
                            const unroll_observation* seen, int64_t steps, const int64_t* lengths,
                            int64_t lengths_count, const unroll_tensor* start,
                            const unroll_tensor* prior, const unroll_option* options, int count,
                            unroll_inversion** out) {
  return guarded([&] {
    constexpr const char* op = "invert";
    const Encoder& own = the(op, encoder).encoder;
    const Tensor& y = the(op, outputs);
    const Observation what = observation_from(op, seen, y.dtype());
    InvertOptions how{.steps = steps,
                      .lengths = lengths_from(op, lengths, lengths_count),
                      .start = optional(start)};
    std::int64_t seed = 1;
    set_options(op, options, count, {{"restarts", &how.restarts}, {"seed", &seed}});
    how.seed = static_cast<std::uint64_t>(seed);
    if (prior) {
      const std::int64_t T = steps ? steps : steps_of_outputs(y, what);
      how.prior = prior_from(op, prior->tensor, Facts(own, what, T).unknowns());
    }
    *out = new unroll_inversion{invert(own, y, what, how)};
  });
}

void unroll_inversion_release(unroll_inversion* inversion) { delete inversion; }

const char* unroll_inversion_verdict(const unroll_inversion* inversion) {
  return inversion ? name(inversion->found.verdict()) : nullptr;
}

double unroll_inversion_error_bound(const unroll_inversion* inversion) {
  return inversion ? inversion->found.error_bound() : std::numeric_limits<double>::quiet_NaN();
}

int64_t unroll_inversion_count(const unroll_inversion* inversion) {
  return inversion ? static_cast<int64_t>(inversion->found.sequences.size()) : 0;
}

unroll_status unroll_inversion_x(const unroll_inversion* inversion, unroll_tensor** out) {
  return guarded([&] { *out = handle(the("inversion_x", inversion).found.x); });
}

unroll_status unroll_inversion_start(const unroll_inversion* inversion, unroll_tensor** h_0,
                                     unroll_tensor** c_0) {
  return guarded([&] {
    const EncoderState& start = the("inversion_start", inversion).found.initial;
    hand_out({{start.h, h_0}, {start.c, c_0}});
  });
}

unroll_status unroll_inversion_text(const unroll_inversion* inversion, int64_t sequence,
                                    const char* wanted, const char** out) {
  return guarded([&] {
    constexpr const char* op = "inversion_text";
    const SequenceInversion& s = sequence_of(op, inversion, sequence);
    *out = called<const char*>(
        op, wanted,
        {{"verdict", name(s.verdict)}, {"reason", s.reason.c_str()}, {"method", name(s.method)}});
  });
}

unroll_status unroll_inversion_number(const unroll_inversion* inversion, int64_t sequence,
                                      const char* wanted, double* out) {
  return guarded([&] {
    constexpr const char* op = "inversion_number";
    const SequenceInversion& s = sequence_of(op, inversion, sequence);
    *out = called<double>(op, wanted,
                          {{"error_bound", s.error_bound},
                           {"residual", s.residual},
                           {"fact_error", s.fact_error},
                           {"unknowns", number(s.unknowns)},
                           {"facts", number(s.facts)},
                           {"rank", number(s.rank)},
                           {"condition", s.condition},
                           {"other_distance", s.other_distance},
                           {"other_difference", s.other_difference}});
  });
}

unroll_status unroll_inversion_tensor(const unroll_inversion* inversion, int64_t sequence,
                                      const char* wanted, unroll_tensor** out) {
  return guarded([&] {
    constexpr const char* op = "inversion_tensor";
    const SequenceInversion& s = sequence_of(op, inversion, sequence);
    *out = handle(called<Tensor>(op, wanted, {{"bound", s.bound}, {"other", s.other}}));
  });
}

unroll_status unroll_identify(const unroll_encoder* encoder, const unroll_observation* seen,
                              int64_t steps, const unroll_tensor* x, const unroll_option* options,
                              int count, unroll_identifiability** out) {
  return guarded([&] {
    constexpr const char* op = "identify";
    const Encoder& own = the(op, encoder).encoder;
    IdentifyOptions how{.x = optional(x)};
    std::int64_t seed = 1;
    set_options(op, options, count,
                {{"inputs", &how.inputs},
                 {"scale", &how.scale},
                 {"seed", &seed},
                 {"saturated", &how.saturated}});
    how.seed = static_cast<std::uint64_t>(seed);
    if (how.x && how.x.rank() == 3 && steps == 0) steps = how.x.shape()[0];
    const Facts facts(own, observation_from(op, seen, Dtype::float64), steps);
    *out = new unroll_identifiability{identify(facts, how)};
  });
}

void unroll_identifiability_release(unroll_identifiability* answer) { delete answer; }

const char* unroll_identifiability_verdict(const unroll_identifiability* answer) {
  return answer ? answer->answer.verdict.c_str() : nullptr;
}

unroll_status unroll_identifiability_number(const unroll_identifiability* answer,
                                            const char* wanted, double* out) {
  return guarded([&] {
    constexpr const char* op = "identifiability_number";
    const Identifiability& a = the(op, answer).answer;
    *out = called<double>(op, wanted,
                          {{"determined", number(a.determined())},
                           {"unknowns", number(a.unknowns)},
                           {"facts", number(a.facts)},
                           {"rank", number(a.rank)},
                           {"condition", a.condition},
                           {"effective_rank", a.effective_rank},
                           {"inverse_radius", a.inverse_radius},
                           {"exact", number(a.exact)},
                           {"converged", number(a.converged)},
                           {"condition_from", a.condition_from},
                           {"condition_to", a.condition_to}});
  });
}

unroll_status unroll_identifiability_tensor(const unroll_identifiability* answer,
                                            const char* wanted, unroll_tensor** out) {
  return guarded([&] {
    constexpr const char* op = "identifiability_tensor";
    const Identifiability& a = the(op, answer).answer;
    const Tensor lost =
        from_values<std::int64_t>(a.lost_steps, {static_cast<std::int64_t>(a.lost_steps.size())});
    *out = handle(called<Tensor>(op, wanted,
                                 {{"singular_values", a.singular_values},
                                  {"gain", a.gain},
                                  {"known", a.known},
                                  {"saturation", a.saturation},
                                  {"lost_steps", lost}}));
  });
}

unroll_status unroll_identifiability_digits(const unroll_identifiability* answer, const char* dtype,
                                            double* error, double* worst, double* median) {
  return guarded([&] {
    constexpr const char* op = "identifiability_digits";
    std::vector<std::pair<const char*, PredictedDigits>> all;
    for (const PredictedDigits& d : the(op, answer).answer.digits)
      all.emplace_back(name(d.dtype), d);
    const PredictedDigits found = called<PredictedDigits>(op, dtype, all);
    if (error) *error = found.error;
    if (worst) *worst = found.worst;
    if (median) *median = found.median;
  });
}
