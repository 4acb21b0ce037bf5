#include "core/lengths.h"

#include <algorithm>
#include <numeric>

#include "core/error.h"

namespace unroll {

struct Lengths::Data {
  std::vector<std::int64_t> length, order, active;
  std::int64_t total = 0;
};

Lengths::Lengths(std::vector<std::int64_t> lengths) {
  auto data = std::make_shared<Data>();
  for (std::int64_t n : lengths)
    if (n < 0) fail("lengths", std::to_string(n) + " is negative");
  data->order.resize(lengths.size());
  std::iota(data->order.begin(), data->order.end(), 0);
  std::stable_sort(data->order.begin(), data->order.end(),
                   [&](std::int64_t a, std::int64_t b) { return lengths[a] > lengths[b]; });
  const std::int64_t longest = lengths.empty() ? 0 : lengths[data->order[0]];
  data->active.assign(longest, 0);
  for (std::int64_t n : lengths) {
    data->total += n;
    for (std::int64_t t = 0; t < n; t++) data->active[t]++;
  }
  data->length = std::move(lengths);
  data_ = std::move(data);
}

std::int64_t Lengths::batch() const noexcept {
  return data_ ? std::int64_t(data_->length.size()) : 0;
}
std::int64_t Lengths::longest() const noexcept {
  return data_ ? std::int64_t(data_->active.size()) : 0;
}
std::int64_t Lengths::total() const noexcept { return data_ ? data_->total : 0; }

const std::vector<std::int64_t>& Lengths::values() const noexcept {
  static const std::vector<std::int64_t> none;
  return data_ ? data_->length : none;
}

LengthsView Lengths::view(const char* op, std::int64_t T, std::int64_t N) const {
  if (!data_) return {};
  if (batch() != N)
    fail(op, std::to_string(batch()) + " lengths for a batch of " + std::to_string(N));
  if (longest() > T)
    fail(op,
         "length " + std::to_string(longest()) + " exceeds the " + std::to_string(T) + " steps");
  return {data_->length.data(), data_->order.data(), data_->active.data(), longest()};
}

}  // namespace unroll
