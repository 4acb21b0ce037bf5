#include "io/zip_writer.h"

#include <algorithm>
#include <memory>
#include <new>

#include <zlib.h>

namespace unroll::detail {
namespace {

constexpr std::uint64_t kMost32 = 0xffffffff;
constexpr std::uint16_t kUtf8 = 1 << 11;

void append(std::string& out, std::uint64_t value, int bytes) {
  for (int i = 0; i < bytes; i++) out += static_cast<char>(value >> 8 * i);
}

// A text in steps that zlib's 32-bit sizes can count.
template <class F>
void in_steps(std::string_view text, F f) {
  for (; !text.empty(); text.remove_prefix(std::min<std::size_t>(text.size(), 1 << 30))) {
    const std::string_view step = text.substr(0, 1 << 30);
    f(reinterpret_cast<const Bytef*>(step.data()), static_cast<uInt>(step.size()));
  }
}

class Deflater {
 public:
  Deflater() {
    if (deflateInit2(&stream_, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -MAX_WBITS, 8,
                     Z_DEFAULT_STRATEGY) != Z_OK)
      throw std::bad_alloc();
  }
  ~Deflater() { deflateEnd(&stream_); }
  Deflater(const Deflater&) = delete;
  Deflater& operator=(const Deflater&) = delete;

  void add(std::string_view text) {
    in_steps(text, [&](const Bytef* bytes, uInt count) {
      stream_.next_in = const_cast<Bytef*>(bytes);  // zlib does not write there
      stream_.avail_in = count;
      while (stream_.avail_in > 0) step(Z_NO_FLUSH);
    });
  }
  std::string finish() {
    while (step(Z_FINISH) != Z_STREAM_END) {
    }
    return std::move(out_);
  }

 private:
  int step(int flush) {
    stream_.next_out = buffer_;
    stream_.avail_out = sizeof buffer_;
    const int status = deflate(&stream_, flush);
    out_.append(reinterpret_cast<const char*>(buffer_), sizeof buffer_ - stream_.avail_out);
    return status;
  }

  z_stream stream_{};
  Bytef buffer_[1 << 16];
  std::string out_;
};

bool is_ascii(const std::string& name) {
  return std::all_of(name.begin(), name.end(), [](char c) { return (c & 0x80) == 0; });
}

}  // namespace

void ZipWriter::put(std::string_view bytes) {
  file_.write(bytes);
  at_ += bytes.size();
}

bool ZipWriter::is_wide(const Member& member) const {
  return zip64_ || member.size >= kMost32 || member.compressed >= kMost32 ||
         member.begin >= kMost32;
}

// What the local header and the directory have in common: from "version needed" to the length of
// the name. The time is 1980-01-01 00:00, the earliest there is.
std::string ZipWriter::common_fields(const Member& member, bool wide) {
  std::string out;
  append(out, wide ? 45 : 20, 2);
  append(out, is_ascii(member.name) ? 0 : kUtf8, 2);
  append(out, member.deflated ? 8 : 0, 2);
  append(out, 0, 2);
  append(out, 1 << 5 | 1, 2);
  append(out, member.crc, 4);
  append(out, wide ? kMost32 : member.compressed, 4);
  append(out, wide ? kMost32 : member.size, 4);
  append(out, member.name.size(), 2);
  return out;
}

void ZipWriter::add(const std::string& name, std::initializer_list<std::string_view> parts,
                    bool compress) {
  Member member{name, at_, 0, 0, 0, compress};
  const auto deflater = compress ? std::make_unique<Deflater>() : nullptr;
  for (const std::string_view part : parts) {
    member.size += part.size();
    in_steps(part, [&](const Bytef* bytes, uInt count) {
      member.crc = static_cast<std::uint32_t>(crc32(member.crc, bytes, count));
    });
    if (deflater) deflater->add(part);
  }
  const std::string compressed = deflater ? deflater->finish() : std::string();
  member.compressed = deflater ? compressed.size() : member.size;

  const bool wide = is_wide(member);
  std::string header = "PK\3\4" + common_fields(member, wide);
  append(header, wide ? 20 : 0, 2);
  header += name;
  if (wide) {
    append(header, 1, 2);
    append(header, 16, 2);
    append(header, member.size, 8);
    append(header, member.compressed, 8);
  }
  put(header);
  if (deflater)
    put(compressed);
  else
    for (const std::string_view part : parts) put(part);
  members_.push_back(std::move(member));
}

void ZipWriter::finish() {
  const std::uint64_t begin = at_;
  for (const Member& member : members_) {
    const bool wide = is_wide(member);
    std::string entry = "PK\1\2";
    append(entry, wide ? 45 : 20, 2);  // made by
    entry += common_fields(member, wide);
    append(entry, wide ? 28 : 0, 2);
    entry.append(2 + 2 + 2 + 4, '\0');  // comment, disk, attributes
    append(entry, wide ? kMost32 : member.begin, 4);
    entry += member.name;
    if (wide) {
      append(entry, 1, 2);
      append(entry, 24, 2);
      append(entry, member.size, 8);
      append(entry, member.compressed, 8);
      append(entry, member.begin, 8);
    }
    put(entry);
  }
  const std::uint64_t bytes = at_ - begin, end = at_, count = members_.size();
  const bool wide = zip64_ || count >= 0xffff || begin >= kMost32 || bytes >= kMost32;
  std::string record;
  if (wide) {
    record = "PK\6\6";
    append(record, 44, 8);
    append(record, 45, 2);
    append(record, 45, 2);
    append(record, 0, 8);
    append(record, count, 8);
    append(record, count, 8);
    append(record, bytes, 8);
    append(record, begin, 8);
    record += "PK\6\7";
    append(record, 0, 4);
    append(record, end, 8);
    append(record, 1, 4);
  }
  record += "PK\5\6";
  append(record, 0, 4);
  for (int i = 0; i < 2; i++) append(record, wide ? 0xffff : count, 2);
  append(record, wide ? kMost32 : bytes, 4);
  append(record, wide ? kMost32 : begin, 4);
  append(record, 0, 2);
  put(record);
}

}  // namespace unroll::detail
