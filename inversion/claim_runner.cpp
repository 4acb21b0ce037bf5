#include "inversion/claim_runner.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <mutex>

#include "core/error.h"
#include "core/parallel.h"

namespace unroll::claims {
namespace {

std::string text_of(const Findings& findings) {
  std::string all;
  for (const Finding& f : findings) {
    char text[32];
    std::snprintf(text, sizeof text, "%.5g", f.measured);
    all += (all.empty() ? "" : ", ") + f.what + " " + text + (f.holds ? "" : " (!)");
  }
  return all;
}

ClaimRow row_of(const Claim& claim, const std::vector<Findings>& parts) {
  Findings all;
  for (const Findings& part : parts) all.insert(all.end(), part.begin(), part.end());
  if (claim.judge) all = claim.judge(all);
  const bool pass = std::all_of(all.begin(), all.end(), [](const Finding& f) { return f.holds; });
  return {claim.number, claim.setup, claim.expected, text_of(all), claim.tolerance, pass};
}

}  // namespace

Finding near(const std::string& what, double measured, double expected, double tolerance) {
  return {what, measured, std::abs(measured - expected) <= tolerance};
}

Finding at_least(const std::string& what, double measured, double least) {
  return {what, measured, measured >= least};
}

Finding at_most(const std::string& what, double measured, double most) {
  return {what, measured, measured <= most};
}

double mean_of(const Findings& findings, const std::string& what) {
  double sum = 0, count = 0;
  for (const Finding& f : findings)
    if (f.what == what) sum += f.measured, count++;
  return sum / count;
}

Findings means(const Findings& findings) {
  Findings once;
  for (const Finding& f : findings) {
    const auto seen = std::find_if(once.begin(), once.end(),
                                   [&](const Finding& other) { return other.what == f.what; });
    if (seen == once.end())
      once.push_back({f.what, mean_of(findings, f.what), f.holds});
    else
      seen->holds &= f.holds;
  }
  return once;
}

ClaimRows run_claims(const std::string& subject, const std::vector<Claim>& claims,
                     const ClaimContext& context) {
  struct Job {
    std::size_t claim, piece;
  };
  std::vector<Job> jobs;
  std::vector<std::vector<Findings>> found(claims.size());
  for (std::size_t c = 0; c < claims.size(); c++) {
    found[c].resize(claims[c].pieces.size());
    for (std::size_t p = 0; p < claims[c].pieces.size(); p++) jobs.push_back({c, p});
  }
  std::mutex mutex;
  std::size_t done = 0;
  run_jobs(jobs.size(), [&](std::size_t j) {
    if (context.stop && *context.stop) fail("study", "stopped before the end; nothing was written");
    const auto [c, p] = jobs[j];
    Random random(context.seed, (static_cast<std::uint64_t>(claims[c].number) << 16) + p);
    found[c][p] = claims[c].pieces[p](random);
    const std::lock_guard lock(mutex);
    done++;
    if (context.progress && 10 * done / jobs.size() > 10 * (done - 1) / jobs.size())
      context.progress(subject + ": " + std::to_string(done) + " of " +
                       std::to_string(jobs.size()) + " measurements");
  });
  ClaimRows rows;
  for (std::size_t c = 0; c < claims.size(); c++) rows.push_back(row_of(claims[c], found[c]));
  return rows;
}

}  // namespace unroll::claims
