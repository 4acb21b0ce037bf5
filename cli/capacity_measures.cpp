#include "cli/capacity_measures.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "autograd/ops.h"
#include "cli/options.h"
#include "cli/terminal.h"
#include "inversion/capacity.h"

namespace unroll::cli {
namespace {

using Json = nlohmann::json;

Measured jaeger_line(const std::string& name, const JaegerCapacity& c) {
  Measured m{.name = name,
             .value = number(c.total),
             .theory = std::to_string(c.controllable),
             .rank = c.krylov_rank,
             .condition = c.krylov_condition,
             .warning = c.warning};
  m.json = {{"total", c.total},
            {"theory", c.controllable},
            {"m", c.m},
            {"spectral_radius", c.spectral_radius}};
  m.curve_title = name + ": m_k by lag";
  m.curve = c.m;
  return m;
}

std::vector<Measured> jaeger(const Encoder& encoder, const CapacityOptions&) {
  const LinearNetwork net = linear_network(encoder);
  Measured naive = jaeger_line("jaeger, naive", jaeger_capacity_naive(net.W, net.w));
  if (!naive.warning.empty()) naive.value += " (failed)";
  return {jaeger_line("jaeger", jaeger_capacity(net.W, net.w)), naive};
}

MemoryProfile profile_of(const Encoder& encoder, const CapacityOptions& o) {
  Random random(o.seed, 1);
  return memory_profile(encoder, {.lags = o.lags, .steps = o.steps}, random);
}

std::vector<Measured> sampled(const Encoder& encoder, const CapacityOptions& o) {
  const MemoryProfile p = profile_of(encoder, o);
  Measured m{.name = "sampled",
             .value = number(p.capacity),
             .theory = "<= " + std::to_string(p.states),
             .rank = p.rank,
             .condition = p.condition,
             .warning = p.warning};
  m.json = {{"total", p.capacity}, {"theory", p.states}, {"m", p.m}};
  m.curve_title = "sampled: m_k by lag";
  m.curve = p.m;
  return {m};
}

std::vector<Measured> profile(const Encoder& encoder, const CapacityOptions& o) {
  const MemoryProfile p = profile_of(encoder, o);
  const auto half = std::count_if(p.r2.begin(), p.r2.end(), [](double r) { return r >= 0.5; });
  Measured m{.name = "profile",
             .value = std::to_string(half) + " lags with R2 >= .5",
             .rank = p.rank,
             .condition = p.condition,
             .warning = p.warning};
  m.json = {{"r2", p.r2}, {"lags_above_half", half}};
  m.curve_title = "profile: R2 by lag";
  m.curve = p.r2;
  return {m};
}

std::vector<Measured> information(const Encoder& encoder, const CapacityOptions& o) {
  Random random(o.seed, 2);
  InformationOptions options;
  options.steps = o.steps;
  const InformationCapacity c = information_capacity(encoder, options, random);
  Measured m{.name = "information",
             .value = number(c.total),
             .theory = std::to_string(c.states),
             .rank = c.rank,
             .condition = c.condition,
             .warning = c.warning};
  m.json = {{"total", c.total}, {"theory", c.states}, {"threshold", c.threshold}};
  for (const DegreeCapacity& d : c.degrees) {
    m.json["degrees"].push_back(
        {{"capacity", d.capacity}, {"targets", d.targets}, {"counted", d.counted}});
    m.curve.push_back(d.capacity);
  }
  m.curve_title = "information: capacity by degree less one";
  return {m};
}

std::vector<Measured> fisher(const Encoder& encoder, const CapacityOptions&) {
  const LinearNetwork net = linear_network(encoder);
  const FisherMemory f = fisher_memory(net.W, net.w / norm(net.w, 2, {0}));
  Measured m{.name = "fisher",
             .value = number(f.total),
             .theory = f.is_normal ? "1" : "",
             .rank = f.rank,
             .condition = f.condition,
             .warning = f.warning};
  m.json = {{"total", f.total},
            {"basis_total", f.basis_total},
            {"states", net.w.numel()},
            {"normal", f.is_normal},
            {"J", f.J}};
  m.curve_title = "fisher: J by lag, unit input vector";
  m.curve = f.J;
  return {m};
}

std::vector<Measured> lyapunov(const Encoder& encoder, const CapacityOptions& o) {
  Random random(o.seed, 3);
  const std::int64_t steps = std::min<std::int64_t>(o.steps, 2000);
  const LyapunovSpectrum l =
      lyapunov_spectrum(encoder, random.normal({steps, encoder.sizes().I}, 0, 1, Dtype::float64));
  Measured m{.name = "lyapunov",
             .value = "largest " + number(l.exponents[0]),
             .rank = l.rank,
             .condition = l.condition,
             .warning = l.warning};
  m.json = {{"exponents", l.exponents}, {"steps", l.steps}, {"kaplan_yorke", l.kaplan_yorke}};
  m.curve_title = "lyapunov: exponents, largest first";
  m.curve = l.exponents;
  return {m};
}

using Measure = std::vector<Measured> (*)(const Encoder&, const CapacityOptions&);
constexpr std::pair<const char*, Measure> kMeasures[] = {
    {"jaeger", jaeger}, {"sampled", sampled},   {"information", information},
    {"fisher", fisher}, {"lyapunov", lyapunov}, {"profile", profile}};

}  // namespace

const std::vector<std::string>& measure_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> all;
    for (const auto& [name, f] : kMeasures) all.emplace_back(name);
    return all;
  }();
  return names;
}

std::string obstacle(const std::string& measure, const Encoder& encoder) {
  const EncoderSizes& s = encoder.sizes();
  if (measure == "jaeger" || measure == "fisher")
    return s.cell == Cell::linear && s.layers == 1 && !s.bidirectional && s.I == 1
               ? ""
               : "is of one linear layer of one direction with one input";
  if (measure == "information" && s.I != 1) return "is of one input";
  if (measure == "lyapunov" && s.bidirectional) return "is of one direction";
  return "";
}

std::vector<Measured> measure(const std::string& name, const Encoder& encoder,
                              const CapacityOptions& options) {
  for (const auto& [known, f] : kMeasures)
    if (name == known) {
      std::vector<Measured> lines = f(encoder, options);
      for (Measured& m : lines) {
        m.json["rank"] = m.rank;
        m.json["condition"] = m.condition;
        m.json["warning"] = m.warning;
      }
      return lines;
    }
  throw UsageError("there is no measure " + name);
}

Measured describe(const AttentionShare& share) {
  Measured m{.name = "attention",
             .value = "share " + number(share.share),
             .rank = share.rank,
             .condition = share.condition,
             .warning = share.warning};
  m.json = {{"whole", share.whole},
            {"ablated", share.ablated},
            {"refitted", share.refitted},
            {"share", share.share},
            {"share_refitted", share.share_refitted},
            {"rank", share.rank},
            {"condition", share.condition},
            {"warning", share.warning}};
  return m;
}

}  // namespace unroll::cli
