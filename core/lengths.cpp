#include "core/lengths.h"

#include <algorithm>
#include <mutex>

#include "core/error.h"
#include "core/tensor.h"

namespace unroll {

// A sequence of more steps would need gigabytes for its counts alone: surely a mistake.
constexpr std::int64_t kLongest = std::int64_t{1} << 27;

struct Lengths::Data {
  memory::Vector<std::int64_t> length, order, active;
  std::int64_t total = 0;
  // For each device that asked: length, order and active, one behind the other.
  mutable std::mutex mutex;
  mutable Tensors uploaded;
};

Lengths::Lengths(std::span<const std::int64_t> lengths) {
  std::int64_t longest = 0;
  for (std::int64_t n : lengths) {
    if (n < 0) fail("lengths", std::to_string(n) + " is negative");
    if (n > kLongest)
      fail("lengths", std::to_string(n) + " is above the limit of " + std::to_string(kLongest));
    longest = std::max(longest, n);
  }
  auto data = std::allocate_shared<Data>(memory::Allocator<Data>());
  data->length.assign(lengths.begin(), lengths.end());
  data->active.assign(longest, 0);
  for (std::int64_t n : lengths) {
    data->total += n;
    for (std::int64_t t = 0; t < n; t++) data->active[t]++;
  }
  // Counting sort, descending and stable: a sequence of length n comes after all longer ones.
  memory::Vector<std::int64_t> next(longest + 1, 0);
  for (std::int64_t n = 0; n < longest; n++) next[n] = data->active[n];
  data->order.resize(lengths.size());
  for (std::size_t i = 0; i < lengths.size(); i++)
    data->order[next[lengths[i]]++] = static_cast<std::int64_t>(i);
  data_ = std::move(data);
}

std::int64_t Lengths::batch() const noexcept {
  return data_ ? std::int64_t(data_->length.size()) : 0;
}
std::int64_t Lengths::longest() const noexcept {
  return data_ ? std::int64_t(data_->active.size()) : 0;
}
std::int64_t Lengths::total() const noexcept { return data_ ? data_->total : 0; }

std::span<const std::int64_t> Lengths::values() const noexcept {
  return data_ ? std::span<const std::int64_t>(data_->length) : std::span<const std::int64_t>();
}

const std::int64_t* Lengths::on_device(Device device) const {
  if (device.is_cpu()) return nullptr;
  const std::lock_guard lock(data_->mutex);
  for (const Tensor& there : data_->uploaded)
    if (there.device() == device) return there.data<std::int64_t>();
  memory::Vector<std::int64_t> all;
  for (const auto* part : {&data_->length, &data_->order, &data_->active})
    all.insert(all.end(), part->begin(), part->end());
  data_->uploaded.push_back(from_values<std::int64_t>(
      std::span<const std::int64_t>(all), {static_cast<std::int64_t>(all.size())}, device));
  synchronize(device);  // other streams read it too
  return data_->uploaded.back().data<std::int64_t>();
}

LengthsView Lengths::view(const char* op, std::int64_t T, std::int64_t N, Device device) const {
  if (!data_) return {};
  if (batch() != N)
    fail(op, std::to_string(batch()) + " lengths for a batch of " + std::to_string(N));
  if (longest() > T)
    fail(op,
         "length " + std::to_string(longest()) + " exceeds the " + std::to_string(T) + " steps");
  return {data_->length.data(), data_->order.data(), data_->active.data(), longest(),
          on_device(device)};
}

}  // namespace unroll
