// csv: one byte of options and the text.
#include "io/csv.h"

#include <cmath>
#include <cstring>

#include "core/view.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace unroll;
  if (size == 0) return 0;
  const fuzz::File file(data + 1, size - 1);
  CsvOptions options;
  options.missing = static_cast<Missing>(data[0] % 3);
  options.header = static_cast<CsvHeader>(data[0] / 3 % 3);
  options.delimiter = ",;\t|"[data[0] >> 6];
  if (data[0] & 32) options.delimiter = 0;
  if (data[0] & 16) options.columns = {"a"};
  CsvTable table;
  const bool read = fuzz::call(file, [&] { table = read_csv(file.path(), options); });
  if (read)
    for (const double value : to_vector<double>(table.values))
      if (!std::isfinite(value)) fuzz::finding("a value that is not finite");
  if (options.missing == Missing::interpolate) return 0;
  const bool streamed = fuzz::call(file, [&] {
    CsvStream stream(file.path(), options);
    std::int64_t row = 0;
    while (const Tensor block = stream.next(3)) {
      if (!read || row + block.shape()[0] > table.values.shape()[0] ||
          std::memcmp(block.raw_data(), table.values.data<double>() + row * block.shape()[1],
                      static_cast<std::size_t>(block.numel()) * sizeof(double)) != 0)
        fuzz::finding("a stream gives other rows than the table");
      row += block.shape()[0];
    }
    if (row != table.values.shape()[0]) fuzz::finding("a stream gives fewer rows than the table");
  });
  if (read != streamed) fuzz::finding("a stream refuses what a table holds, or the other way");
  return 0;
}
