#include "io/csv.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "core/error.h"
#include "io/csv_rows.h"

namespace unroll {
namespace {

// Of one column, whose values lie `stride` apart. There is at least one number.
void interpolate(double* values, std::int64_t count, std::int64_t stride) {
  const auto at = [&](std::int64_t i) -> double& { return values[i * stride]; };
  std::int64_t before = -1;  // the last number seen; -1: none yet
  for (std::int64_t i = 0; i < count; i++) {
    if (!std::isnan(at(i))) {
      before = i;
      continue;
    }
    std::int64_t after = i;
    while (after < count && std::isnan(at(after))) after++;
    for (std::int64_t gap = i; gap < after; gap++)
      if (before < 0)
        at(gap) = at(after);
      else if (after == count)
        at(gap) = at(before);
      else
        at(gap) =
            std::lerp(at(before), at(after),
                      static_cast<double>(gap - before) / static_cast<double>(after - before));
    i = after - 1;
  }
}

}  // namespace

CsvTable read_csv(const std::string& path, const CsvOptions& options) {
  detail::CsvRows rows("read_csv", path, options);
  CsvTable table{.values = Tensor(), .names = {}, .skipped = {}, .missing = rows.missing()};
  const std::int64_t T = rows.count(), C = rows.columns();
  table.values = empty({T, C}, Dtype::float64);
  double* const values = table.values.mutable_data<double>();
  rows.read(values, T);
  if (options.missing == Missing::interpolate && table.missing > 0)
    for (std::int64_t c = 0; c < C; c++) interpolate(values + c, T, C);
  table.names = rows.take_names();
  table.skipped = rows.take_skipped();
  return table;
}

CsvStream::CsvStream(const std::string& path, const CsvOptions& options) {
  if (options.missing == Missing::interpolate)
    fail("CsvStream", path + ": interpolation needs the whole table; use read_csv, or drop rows");
  rows_ = std::make_unique<detail::CsvRows>("CsvStream", path, options);
  count_ = rows_->count();
  dropped_ = rows_->missing();
  names_ = rows_->take_names();
  skipped_ = rows_->take_skipped();
}

CsvStream::~CsvStream() = default;
CsvStream::CsvStream(CsvStream&&) noexcept = default;
CsvStream& CsvStream::operator=(CsvStream&&) noexcept = default;

Tensor CsvStream::next(std::int64_t rows) {
  if (rows < 1) fail("CsvStream", "a block has at least one row, not " + std::to_string(rows));
  const std::int64_t count = std::min(rows, count_ - given_);
  if (count == 0) return Tensor();
  Tensor block = empty({count, static_cast<std::int64_t>(names_.size())}, Dtype::float64);
  rows_->read(block.mutable_data<double>(), count);
  given_ += count;
  return block;
}

void CsvStream::rewind() {
  rows_->rewind();
  given_ = 0;
}

}  // namespace unroll
