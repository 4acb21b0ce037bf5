#include "cli/rebuild.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "autograd/tape.h"
#include "core/view.h"
#include "models/windows.h"

namespace unroll::cli {
namespace {

constexpr std::int64_t kBatch = 256;

}  // namespace

Tensor rebuild(const Model& model, const Tensor& values, const RunConfig& config) {
  const NoTape none;
  const std::int64_t T = values.shape()[0], C = values.shape()[1];
  const std::int64_t window = std::min(config.window, T);
  const Device device = model.parameters->device();
  const bool last_only = config.model.kind == ModelKind::autoencoder_last;
  const Tensor windows = sliding_windows(values, window);
  std::vector<std::int64_t> starts;
  for (std::int64_t start = 0; start <= T - window; start += last_only ? 1 : window)
    starts.push_back(start);
  if (starts.back() + window < T) starts.push_back(T - window);

  Tensor out = full({T, C}, std::numeric_limits<double>::quiet_NaN(), Dtype::float64);
  double* to = out.mutable_data<double>();
  std::int64_t covered = last_only ? window - 1 : 0;  // steps before are done or stay open
  for (std::size_t first = 0; first < starts.size(); first += kBatch) {
    const std::size_t count = std::min<std::size_t>(kBatch, starts.size() - first);
    const Tensor x =
        on_device(gather_windows(windows, {starts.data() + first, count}, config.dtype), device);
    const Tensor y = cast_copy(on_device(model.reconstruction(x), Device::cpu()),
                               Dtype::float64);  // [window or 1,count,C]
    const double* from = y.data<double>();
    const std::int64_t steps = y.shape()[0], N = static_cast<std::int64_t>(count);
    for (std::int64_t n = 0; n < N; n++) {
      const std::int64_t end = starts[first + static_cast<std::size_t>(n)] + window;
      for (std::int64_t t = covered; t < end; t++)
        std::copy_n(from + ((steps - (end - t)) * N + n) * C, C, to + t * C);
      covered = end;
    }
  }
  for (std::int64_t i = last_only ? (window - 1) * C : 0; i < T * C; i++)
    if (!std::isfinite(to[i]))
      throw Error("the reconstruction of step " + std::to_string(i / C) +
                  " is not finite; look there for values far beyond those of the training, or " +
                  "train with a lower learning rate");
  return out;
}

Score score_steps(const Tensor& y, const Tensor& x) {
  const std::int64_t T = y.shape()[0], C = y.shape()[1];
  std::int64_t first = 0;
  while (first < T && std::isnan(y.data<double>()[first * C])) first++;
  Score score(C);
  const auto part = [&](const Tensor& z) {
    return view::unsqueeze(view::slice(z, 0, first, T), 1);  // [T,1,C]
  };
  score.add(part(y), part(x));
  return score;
}

}  // namespace unroll::cli
