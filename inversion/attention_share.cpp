#include "inversion/attention_share.h"

#include <algorithm>
#include <vector>

#include "autograd/ops.h"
#include "autograd/tape.h"
#include "inversion/readout.h"
#include "models/score.h"

namespace unroll {
namespace {

// Some sequences, and what the model sees of them.
struct Part {
  Tensor x;
  Lengths lengths;
  Reconstruction::Glimpse seen;
};

Part part_of(const Reconstruction& model, const Tensor& x, const Lengths& lengths,
             std::int64_t first, std::int64_t end) {
  Part part{.x = contiguous(slice(x, 1, first, end))};
  if (lengths) {
    const auto all = lengths.values();
    part.lengths = Lengths(std::vector<std::int64_t>(all.begin() + first, all.begin() + end));
  }
  part.seen = model.glimpse(part.x, part.lengths);
  return part;
}

// The valid steps of [T,N,K] as rows, float64.
Tensor valid_rows(const Tensor& y, const Lengths& lengths) {
  const std::int64_t T = y.shape()[0], N = y.shape()[1];
  std::vector<std::int64_t> rows;
  for (std::int64_t t = 0; t < T; t++)
    for (std::int64_t n = 0; n < N; n++)
      if (!lengths || t < lengths.values()[static_cast<std::size_t>(n)]) rows.push_back(t * N + n);
  const auto count = static_cast<std::int64_t>(rows.size());
  const Tensor flat = reshape(y, {T * N, y.shape()[2]});
  return cast_copy(index_select(flat, 0, from_values<std::int64_t>(rows, {count})), Dtype::float64);
}

double nmse(const Reconstruction& model, const Part& part, const Reconstruction::Glimpse& seen) {
  Score score(part.x.shape()[2]);
  score.add(model.from_glimpse(seen), part.x, part.lengths);
  return score.nmse();
}

double share(double without, double whole) {
  return whole < 1 ? std::clamp((without - whole) / (1 - whole), 0.0, 1.0) : 0;
}

}  // namespace

AttentionShare attention_share(const Reconstruction& model, const Tensor& x,
                               const Lengths& lengths) {
  if (!x || x.rank() != 3 || x.shape()[1] < 2)
    fail("attention_share", "x must be [T,N,I] with at least two sequences" +
                                (x ? ", not " + to_string(x.shape()) : std::string()));
  const NoTape none;
  const std::int64_t N = x.shape()[1];
  const Part fit = part_of(model, x, lengths, 0, N / 2);
  const Part test = part_of(model, x, lengths, N / 2, N);
  const Tensor mean_context = to(mean(valid_rows(fit.seen.context, fit.lengths), {0}), x.dtype());
  AttentionShare a;
  a.whole = nmse(model, test, test.seen);
  a.ablated = nmse(model, test,
                   {contiguous(expand(mean_context, test.seen.context.shape())), test.seen.query});
  const auto samples = [](const Part& p) {
    return Samples{valid_rows(p.seen.query, p.lengths), valid_rows(p.x, p.lengths)};
  };
  const ReadoutScore readout = score_readout(samples(fit), samples(test));
  a.refitted = readout.total_nmse;
  a.rank = readout.rank;
  a.condition = readout.condition;
  a.share = share(a.ablated, a.whole);
  a.share_refitted = share(a.refitted, a.whole);
  if (a.whole >= 1)
    a.warning = "the model explains nothing of these data: there is nothing to share";
  else if (a.ablated < a.whole)
    a.warning = "the model does better without its context: it is not trained for these data";
  return a;
}

}  // namespace unroll
