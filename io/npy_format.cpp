#include "io/npy_format.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>

#include "io/elements.h"
#include "io/input_file.h"

namespace unroll::detail {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr std::uint64_t kLongestHeader = 1 << 20;
constexpr std::size_t kMostAxes = 64;

// The header is a Python dict literal: {'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }.
// Only what NumPy writes is understood: no nesting, so no recursion.
class HeaderParser {
 public:
  HeaderParser(const ByteSource& file, std::string_view text) : file_(file), text_(text) {}

  NpyInfo parse() {
    expect('{');
    while (!accept('}')) {
      parse_entry();
      if (!accept(',')) {
        expect('}');
        break;
      }
    }
    skip_space();
    if (at_ != text_.size()) fail("has " + rest() + " behind its end");
    if (!descr_ || !order_ || !shape_) fail("needs exactly 'descr', 'fortran_order' and 'shape'");
    return {*descr_, *order_, *shape_};
  }

 private:
  void parse_entry() {
    const std::string key = parse_string();
    expect(':');
    if (key == "descr" && !descr_)
      descr_ = parse_descr();
    else if (key == "fortran_order" && !order_)
      order_ = parse_bool();
    else if (key == "shape" && !shape_)
      shape_ = parse_shape();
    else
      fail("has the key " + in_quotes(key) + " that it may not have, or has it twice");
  }

  std::string parse_descr() {
    skip_space();
    if (peek() == '[' || peek() == '(')
      fail("names the structured dtype " + rest() +
           ", which is not supported; save each field as an array of its own");
    return parse_string();
  }

  std::string parse_string() {
    skip_space();
    const char quote = peek();
    if (quote != '\'' && quote != '"') fail("has " + rest() + " where a string should be");
    const std::size_t start = ++at_;
    while (at_ < text_.size() && text_[at_] != quote && text_[at_] != '\\' && text_[at_] != '\n')
      at_++;
    if (peek() != quote) fail("has a string that does not end");
    return std::string(text_.substr(start, at_++ - start));
  }

  bool parse_bool() {
    skip_space();
    for (const bool value : {false, true}) {
      const std::string_view word = value ? "True" : "False";
      if (text_.substr(at_, word.size()) != word) continue;
      at_ += word.size();
      return value;
    }
    fail("has " + rest() + " where True or False should be");
  }

  // (), (3,), (2, 3) or (2, 3,); Python 2 wrote 2L.
  std::vector<std::int64_t> parse_shape() {
    expect('(');
    std::vector<std::int64_t> shape;
    bool comma = true;
    while (!accept(')')) {
      if (!comma) fail("has " + rest() + " in the shape where ',' or ')' should be");
      if (shape.size() == kMostAxes)
        fail("states more than " + std::to_string(kMostAxes) + " axes; NumPy has at most 64");
      shape.push_back(parse_size());
      comma = accept(',');
    }
    if (shape.size() == 1 && !comma) fail("has a number where a tuple should be as the shape");
    return shape;
  }

  std::int64_t parse_size() {
    skip_space();
    const std::size_t start = at_;
    std::int64_t value = 0;
    for (; peek() >= '0' && peek() <= '9'; at_++)
      if (__builtin_mul_overflow(value, 10, &value) ||
          __builtin_add_overflow(value, peek() - '0', &value))
        fail("has a size in the shape that does not fit 63 bits");
    if (at_ == start) fail("has " + rest() + " where a size should be");
    if (peek() == 'L') at_++;
    return value;
  }

  char peek() const noexcept { return at_ < text_.size() ? text_[at_] : '\0'; }

  void skip_space() noexcept {
    while (peek() == ' ' || peek() == '\n' || peek() == '\t' || peek() == '\r') at_++;
  }

  bool accept(char c) noexcept {
    skip_space();
    if (peek() != c) return false;
    at_++;
    return true;
  }

  void expect(char c) {
    if (!accept(c)) fail("has " + rest() + " where '" + std::string(1, c) + "' should be");
  }

  std::string rest() const {
    return at_ < text_.size() ? in_quotes(text_.substr(at_)) : std::string("its end");
  }

  [[noreturn]] void fail(const std::string& what) const { file_.fail("the header " + what); }

  const ByteSource& file_;
  std::string_view text_;
  std::size_t at_ = 0;
  std::optional<std::string> descr_;
  std::optional<bool> order_;
  std::optional<std::vector<std::int64_t>> shape_;
};

// "<f4", ">i8", "=f4", "|b1", "f4", "?" or a name such as "float32"; nothing for what no tensor
// holds.
std::optional<ElementLayout> find_type(const std::string& descr) {
  using enum Element;
  static constexpr std::array<std::pair<std::string_view, Element>, 26> names = {{
      {"b1", boolean},      {"?", boolean},     {"i1", int8},         {"i2", int16},
      {"i4", int32},        {"i8", int64},      {"u1", uint8},        {"u2", uint16},
      {"u4", uint32},       {"u8", uint64},     {"f2", float16},      {"f4", float32},
      {"f8", float64},      {"bool", boolean},  {"int8", int8},       {"int16", int16},
      {"int32", int32},     {"int64", int64},   {"uint8", uint8},     {"uint16", uint16},
      {"uint32", uint32},   {"uint64", uint64}, {"float16", float16}, {"float32", float32},
      {"float64", float64}, {"bool_", boolean},
  }};
  std::string_view name = descr;
  ByteOrder order = ByteOrder::little;  // also what '=' and '|' mean here
  if (!name.empty() && std::string_view("<>=|").find(name[0]) != std::string_view::npos) {
    if (name[0] == '>') order = ByteOrder::big;
    name.remove_prefix(1);
  }
  for (const auto& [known, element] : names)
    if (known == name) return ElementLayout{element, order};
  return {};
}

ElementLayout parse_type(const ByteSource& file, const std::string& descr) {
  if (const auto known = find_type(descr)) return *known;
  if (descr == "O" || descr == "|O")
    file.fail("holds the dtype " + in_quotes(descr) +
              ", Python objects, which is not supported: they are pickles, and unpickling runs "
              "code; save numbers");
  file.fail("holds the dtype " + in_quotes(descr) +
            ", which is not supported; convert it to float32, float64, int64 or bool");
}

std::string_view descr_of(Dtype dtype) {
  switch (dtype) {
    case Dtype::float32: return "<f4";
    case Dtype::float64: return "<f8";
    case Dtype::int64: return "<i8";
    case Dtype::boolean: return "|b1";
    case Dtype::float16: return "<f2";
    case Dtype::bfloat16: break;
  }
  return "";
}

}  // namespace

NpyInfo read_npy_header(ByteSource& file) {
  unsigned char start[8];
  if (file.left() < sizeof start) file.fail("is truncated: an npy file has at least 10 bytes");
  file.read(start, sizeof start);
  if (std::memcmp(start, kMagic.data(), kMagic.size()) != 0)
    file.fail("is not an npy file: it does not begin with \\x93NUMPY");
  if (start[6] < 1 || start[6] > 3 || start[7] != 0)
    file.fail("has npy version " + std::to_string(start[6]) + "." + std::to_string(start[7]) +
              "; versions 1.0, 2.0 and 3.0 can be read");
  unsigned char field[4] = {};
  file.read(field, start[6] == 1 ? 2 : 4);
  const std::uint64_t length = field[0] | std::uint64_t{field[1]} << 8 |
                               std::uint64_t{field[2]} << 16 | std::uint64_t{field[3]} << 24;
  if (length > file.left())
    file.fail("is truncated: the header should have " + std::to_string(length) + " bytes, but " +
              std::to_string(file.left()) + " are left");
  if (length > kLongestHeader)
    file.fail("has a header of " + std::to_string(length) + " bytes; no array needs more than " +
              std::to_string(kLongestHeader));
  std::string text(length, '\0');
  file.read(text.data(), length);
  NpyInfo info = HeaderParser(file, text).parse();

  std::int64_t count = 1;  // also beside a zero the others may not overflow: strides would
  for (const std::int64_t size : info.shape)
    if (__builtin_mul_overflow(count, std::max<std::int64_t>(size, 1), &count))
      file.fail("states a shape whose number of elements does not fit 63 bits");
  return info;
}

NpyInfo inspect_npy_array(ByteSource& file) {
  NpyInfo info = read_npy_header(file);
  const auto type = find_type(info.dtype);
  if (type && info.shape.size() <= Shape::max_rank)
    require_elements(file, type->element, Shape(info.shape));
  return info;
}

Tensor read_npy_array(ByteSource& file) {
  const NpyInfo info = read_npy_header(file);
  ElementLayout layout = parse_type(file, info.dtype);
  layout.fortran_order = info.fortran_order;
  if (info.shape.size() > Shape::max_rank)
    file.fail("has " + std::to_string(info.shape.size()) + " axes; a tensor has at most " +
              std::to_string(Shape::max_rank));
  return read_elements(file, layout, Shape(info.shape));
}

std::string npy_header(const Tensor& x) {
  std::string shape;
  for (const std::int64_t size : x.shape()) shape += std::to_string(size) + ", ";
  if (x.rank() > 1) shape.resize(shape.size() - 2);
  if (x.rank() == 1) shape.pop_back();
  std::string text = "{'descr': '" + std::string(descr_of(x.dtype())) +
                     "', 'fortran_order': False, 'shape': (" + shape + "), }";
  const std::size_t before = kMagic.size() + 4;
  text.append(63 - (before + text.size()) % 64, ' ');
  text += '\n';
  std::string header(kMagic);
  header += {1, 0, static_cast<char>(text.size() & 255), static_cast<char>(text.size() >> 8)};
  return header + text;
}

}  // namespace unroll::detail
