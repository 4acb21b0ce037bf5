#include "models/windows.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include "core/memory.h"
#include "core/view.h"

namespace unroll {
namespace {

// Streams of the seed that nothing else uses: "shuffle" in the upper bytes, the epoch below.
constexpr std::uint64_t kShuffleStream = 0x7368'7566'0000'0000;

void require_real(const char* op, const Tensor& x, Dtype dtype) {
  if (!is_real(x.dtype()) || !is_real(dtype))
    fail(op, std::string("sequences and batches are float32 or float64, not ") + name(x.dtype()) +
                 " and " + name(dtype));
}

// Copies T rows of C elements from a strided [T,C] into out[t * row + c].
template <class From, class To>
void copy_rows(const From* from, std::int64_t step, std::int64_t across, std::int64_t T,
               std::int64_t C, To* out, std::int64_t row) {
  for (std::int64_t t = 0; t < T; t++, from += step, out += row)
    for (std::int64_t c = 0; c < C; c++) out[c] = static_cast<To>(from[c * across]);
}

}  // namespace

Tensor sliding_windows(const Tensor& series, std::int64_t length, std::int64_t stride) {
  if (!series || series.rank() != 2)
    fail("sliding_windows", "the series must be [T,C]" +
                                (series ? ", not " + to_string(series.shape()) : std::string()));
  const std::int64_t T = series.shape()[0], C = series.shape()[1];
  if (length < 1 || stride < 1)
    fail("sliding_windows", "length " + std::to_string(length) + " and stride " +
                                std::to_string(stride) + " must be at least 1");
  if (T < length)
    fail("sliding_windows", "a series of " + std::to_string(T) + " steps has no window of " +
                                std::to_string(length) +
                                "; take shorter windows or a longer series");
  const std::int64_t step = series.strides()[0], count = (T - length) / stride + 1;
  // One window needs no step, and a huge stride must not overflow.
  return view::strided(series, {count, length, C},
                       {count > 1 ? stride * step : step, step, series.strides()[1]}, 0);
}

Tensor gather_windows(const Tensor& windows, std::span<const std::int64_t> indices, Dtype dtype) {
  if (!windows || windows.rank() != 3) fail("gather_windows", "windows must be [count,T,C]");
  require_real("gather_windows", windows, dtype);
  const Shape &shape = windows.shape(), &strides = windows.strides();
  const auto N = static_cast<std::int64_t>(indices.size());
  for (const std::int64_t i : indices)
    if (i < 0 || i >= shape[0])
      fail("gather_windows",
           "index " + std::to_string(i) + " is not below " + std::to_string(shape[0]) + " windows");
  Tensor out = empty({shape[1], N, shape[2]}, dtype);
  with_real(windows.dtype(), [&](auto from_type) {
    using From = decltype(from_type);
    with_real(dtype, [&](auto to_type) {
      using To = decltype(to_type);
      const From* from = windows.data<From>();
      To* to = out.mutable_data<To>();
      for (std::int64_t n = 0; n < N; n++)
        copy_rows(from + indices[n] * strides[0], strides[1], strides[2], shape[1], shape[2],
                  to + n * shape[2], N * shape[2]);
    });
  });
  return out;
}

Lengths random_lengths(Random& random, std::int64_t N, std::int64_t low, std::int64_t high) {
  if (N < 0 || low < 0 || low > high || high == INT64_MAX)
    fail("random_lengths", std::to_string(N) + " lengths in " + std::to_string(low) + ".." +
                               std::to_string(high) + " do not exist");
  const Tensor lengths = random.integers({N}, low, high + 1);
  return Lengths({lengths.data<std::int64_t>(), static_cast<std::size_t>(N)});
}

Batches::Batches(Tensor windows, BatchOptions options)
    : windows_(std::move(windows)), options_(options) {
  if (!windows_ || windows_.rank() != 3) fail("batches", "windows must be [count,T,C]");
  require_real("batches", windows_, options_.dtype);
  check();
}

Batches::Batches(std::vector<Tensor> sequences, BatchOptions options)
    : sequences_(std::move(sequences)), options_(options) {
  for (Tensor& x : sequences_) {
    if (!x || x.rank() != 2 || x.shape()[1] != sequences_[0].shape()[1])
      fail("batches", "sequences must be [T,C] with one and the same C");
    require_real("batches", x, options_.dtype);
    x = contiguous_copy(x);
  }
  check();
}

void Batches::check() const {
  if (options_.size < 1) fail("batches", "size " + std::to_string(options_.size) + " is below 1");
  if (count() == 0)
    fail("batches", std::to_string(sequences()) + " sequences make no batch of " +
                        std::to_string(options_.size));
}

std::int64_t Batches::sequences() const noexcept {
  return windows_ ? windows_.shape()[0] : static_cast<std::int64_t>(sequences_.size());
}

std::int64_t Batches::count() const noexcept {
  const std::int64_t whole = sequences() / options_.size;
  return whole + (!options_.drop_last && sequences() % options_.size != 0);
}

void Batches::order_epoch(std::int64_t epoch) {
  // Without shuffling every epoch is the first.
  if (!options_.shuffle) epoch = 0;
  if (epoch_ == epoch) return;
  Random random(options_.seed, kShuffleStream + static_cast<std::uint64_t>(epoch));
  order_ = options_.shuffle ? random.permutation(sequences()) : arange(sequences());
  if (!windows_ && options_.by_length) {
    order_by_length();
    if (options_.shuffle) batch_order_ = random.permutation(count());
  }
  epoch_ = epoch;
}

// Stable, so that sequences of one length stay shuffled.
void Batches::order_by_length() {
  auto* order = order_.mutable_data<std::int64_t>();
  std::stable_sort(order, order + sequences(), [&](std::int64_t a, std::int64_t b) {
    return sequences_[a].shape()[0] > sequences_[b].shape()[0];
  });
}

std::span<const std::int64_t> Batches::indices(std::int64_t epoch, std::int64_t index) {
  if (epoch < 0 || index < 0 || index >= count())
    fail("batches", "there is no batch " + std::to_string(index) + " of epoch " +
                        std::to_string(epoch) + "; an epoch has " + std::to_string(count()));
  order_epoch(epoch);
  if (batch_order_) index = batch_order_.data<std::int64_t>()[index];
  const std::int64_t start = index * options_.size;
  const std::int64_t end = std::min(start + options_.size, sequences());
  return {order_.data<std::int64_t>() + start, static_cast<std::size_t>(end - start)};
}

Batch Batches::get(std::int64_t epoch, std::int64_t index) {
  const auto chosen = indices(epoch, index);
  if (windows_) return {gather_windows(windows_, chosen, options_.dtype), Lengths()};
  return gather(chosen);
}

Batch Batches::gather(std::span<const std::int64_t> indices) const {
  const auto N = static_cast<std::int64_t>(indices.size());
  const std::int64_t C = sequences_[0].shape()[1];
  memory::Vector<std::int64_t> lengths(indices.size());
  for (std::size_t n = 0; n < indices.size(); n++) lengths[n] = sequences_[indices[n]].shape()[0];
  const auto [shortest, longest] = std::minmax_element(lengths.begin(), lengths.end());
  Batch batch{zeros({*longest, N, C}, options_.dtype), {}};
  for (std::int64_t n = 0; n < N; n++)
    with_real(sequences_[indices[n]].dtype(), [&](auto from_type) {
      with_real(options_.dtype, [&](auto to_type) {
        copy_rows(sequences_[indices[n]].template data<decltype(from_type)>(), C, 1, lengths[n], C,
                  batch.x.mutable_data<decltype(to_type)>() + n * C, N * C);
      });
    });
  if (*shortest != *longest) batch.lengths = Lengths(std::span<const std::int64_t>(lengths));
  return batch;
}

}  // namespace unroll
