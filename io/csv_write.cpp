#include <charconv>

#include "core/error.h"
#include "core/view.h"
#include "io/atomic_file.h"
#include "io/csv.h"

namespace unroll {
namespace {

template <class T>
std::string shortest(T value) {
  if (value != value) return "nan";  // never "-nan"
  char text[40];
  return {text, std::to_chars(text, text + sizeof text, value).ptr};
}

}  // namespace

std::string csv_number(double value) { return shortest(value); }

std::string csv_field(std::string_view text) {
  const bool plain = text.find_first_of(",;\t\"\r\n") == std::string_view::npos &&
                     (text.empty() || (text.front() != ' ' && text.back() != ' '));
  if (plain) return std::string(text);
  std::string out = "\"";
  for (const char c : text) out += c == '"' ? std::string("\"\"") : std::string(1, c);
  return out + '"';
}

void write_csv(const std::string& path, const Tensor& values,
               const std::vector<std::string>& names) {
  if (!values || values.rank() < 1 || values.rank() > 2)
    fail("write_csv", path + ": values must be [rows] or [rows, columns]" +
                          (values ? ", not " + to_string(values.shape()) : ""));
  const std::int64_t columns = values.rank() == 2 ? values.shape()[1] : 1;
  if (!names.empty() && static_cast<std::int64_t>(names.size()) != columns)
    fail("write_csv", path + ": " + std::to_string(names.size()) + " names for " +
                          std::to_string(columns) + " columns");
  AtomicFile file("write_csv", path);
  std::string line;
  for (std::size_t i = 0; i < names.size(); i++) line += (i ? "," : "") + csv_field(names[i]);
  if (!names.empty()) file.write(line + "\n");
  const Tensor dense = contiguous_copy(on_device(values, Device::cpu()));
  with_dtype(dense.dtype(), [&](auto type) {
    using T = decltype(type);
    const T* value = dense.data<T>();
    for (std::int64_t row = 0; row < dense.shape()[0]; row++) {
      line.clear();
      for (std::int64_t i = 0; i < columns; i++, value++) {
        if (i) line += ',';
        if constexpr (std::is_same_v<T, bool>)
          line += *value ? '1' : '0';
        else
          line += shortest(*value);
      }
      file.write(line += '\n');
    }
  });
  file.commit();
}

}  // namespace unroll
