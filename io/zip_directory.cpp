#include "io/zip_directory.h"

#include <algorithm>
#include <cstring>
#include <string_view>
#include <utility>

namespace unroll::detail {
namespace {

constexpr std::uint32_t kEntry = 0x02014b50, kLocal = 0x04034b50, kDescriptor = 0x08074b50;
constexpr std::uint32_t kEnd = 0x06054b50, kEnd64 = 0x06064b50, kLocator64 = 0x07064b50;
constexpr std::size_t kEntryBytes = 46, kLocalBytes = 30, kEndBytes = 22;
constexpr std::size_t kEnd64Bytes = 56, kLocator64Bytes = 20;
constexpr std::uint32_t kIn64 = 0xffffffff;  // the number stands in the zip64 field
constexpr std::uint16_t kZip64Field = 1;
constexpr std::uint16_t kEncrypted = 1, kStreamed = 8;  // flags
constexpr std::uint64_t kDeflateMost = 1032;            // bytes that one compressed byte can give

// Little-endian numbers from a text, whose length the caller has checked.
std::uint64_t number(std::string_view text, std::size_t at, int bytes) {
  std::uint64_t value = 0;
  for (int i = bytes; i-- > 0;)
    value = value << 8 | static_cast<unsigned char>(text[at + static_cast<std::size_t>(i)]);
  return value;
}
std::uint16_t u16(std::string_view text, std::size_t at) {
  return static_cast<std::uint16_t>(number(text, at, 2));
}
std::uint32_t u32(std::string_view text, std::size_t at) {
  return static_cast<std::uint32_t>(number(text, at, 4));
}
std::uint64_t u64(std::string_view text, std::size_t at) { return number(text, at, 8); }

// The records at the end: where the directory lies, and where it ends.
struct End {
  std::uint64_t at = 0, count = 0, bytes = 0, begin = 0;
};

class DirectoryReader {
 public:
  explicit DirectoryReader(InputFile& file) : file_(file) {}

  std::vector<ZipEntry> read() {
    const End end = find_end();
    if (end.bytes > end.at || end.begin != end.at - end.bytes)
      file_.fail("states a central directory that does not end where its end record begins");
    directory_ = end.begin;
    const std::string text = read_text(end.begin, end.bytes);
    // Not more than the bytes can hold, whatever the count says.
    entries_.reserve(std::min<std::uint64_t>(end.count, text.size() / kEntryBytes));
    extents_.reserve(entries_.capacity());
    for (std::size_t at = 0; at < text.size();) at = read_entry(text, at);
    if (entries_.size() != end.count)
      file_.fail("has " + std::to_string(entries_.size()) + " members, but its end record states " +
                 std::to_string(end.count));
    check_extents();
    return std::move(entries_);
  }

 private:
  std::string read_text(std::uint64_t at, std::uint64_t bytes) {
    file_.seek(at);
    if (bytes > file_.left()) file_.fail("is truncated in its central directory");
    std::string text(bytes, '\0');
    file_.read(text.data(), bytes);
    return text;
  }

  // The end record is followed by a comment of at most 65535 bytes, which it measures.
  End find_end() {
    const std::uint64_t length = std::min<std::uint64_t>(file_.size(), kEndBytes + 0xffff);
    const std::string tail = read_text(file_.size() - length, length);
    std::size_t found = tail.size();
    for (std::size_t i = 0; i + kEndBytes <= tail.size(); i++) {
      if (u32(tail, i) != kEnd || u16(tail, i + 20) != tail.size() - i - kEndBytes) continue;
      if (found != tail.size()) file_.fail("has two end records, so it could be two archives");
      found = i;
    }
    if (found == tail.size())
      file_.fail("is not a zip archive, or is truncated: it has no end record");
    const std::string_view record = std::string_view(tail).substr(found, kEndBytes);
    const End end{file_.size() - length + found, u16(record, 10), u32(record, 12), u32(record, 16)};
    if (end.at >= kLocator64Bytes) {
      const std::string locator = read_text(end.at - kLocator64Bytes, kLocator64Bytes);
      if (u32(locator, 0) == kLocator64) return read_end64(end, locator);
    }
    if (u16(record, 4) != 0 || u16(record, 6) != 0 || u16(record, 8) != end.count) refuse_split();
    return end;
  }

  End read_end64(const End& end, const std::string& locator) {
    const std::uint64_t locator_at = end.at - kLocator64Bytes, at = u64(locator, 8);
    if (u32(locator, 4) != 0 || u32(locator, 16) > 1) refuse_split();
    if (locator_at < kEnd64Bytes || at > locator_at - kEnd64Bytes)
      file_.fail("states a zip64 end record that does not lie before its locator");
    const std::string record = read_text(at, kEnd64Bytes);
    if (u32(record, 0) != kEnd64) file_.fail("has no zip64 end record where its locator says");
    if (u64(record, 4) != locator_at - at - 12)
      file_.fail("has a zip64 end record that does not end where its locator begins");
    if (u32(record, 16) != 0 || u32(record, 20) != 0 || u64(record, 24) != u64(record, 32))
      refuse_split();
    const End wide{at, u64(record, 32), u64(record, 40), u64(record, 48)};
    const auto agree = [](std::uint64_t narrow, std::uint64_t value, std::uint64_t marker) {
      return narrow == value || narrow == marker;
    };
    if (!agree(end.count, wide.count, 0xffff) || !agree(end.bytes, wide.bytes, kIn64) ||
        !agree(end.begin, wide.begin, kIn64))
      file_.fail("has two end records that disagree");
    return wide;
  }

  [[noreturn]] void refuse_split() const { file_.fail("is split over several files"); }

  // Returns where the next one begins.
  std::size_t read_entry(std::string_view text, std::size_t at) {
    if (text.size() - at < kEntryBytes || u32(text, at) != kEntry)
      file_.fail("has no entry at byte " + std::to_string(at) + " of its central directory");
    const std::string_view fixed = text.substr(at, kEntryBytes);
    const std::size_t name = u16(fixed, 28), extra = u16(fixed, 30), comment = u16(fixed, 32);
    if (text.size() - at - kEntryBytes < name + extra + comment)
      file_.fail("has an entry that reaches beyond its central directory");
    ZipEntry entry{.name = std::string(text.substr(at + kEntryBytes, name)),
                   .compressed = u32(fixed, 20),
                   .size = u32(fixed, 24),
                   .crc = u32(fixed, 16),
                   .method = u16(fixed, 10),
                   .flags = u16(fixed, 8)};
    std::uint64_t local = u32(fixed, 42), disk = u16(fixed, 34);
    const std::string_view fields = text.substr(at + kEntryBytes + name, extra);
    if (entry.size == kIn64 || entry.compressed == kIn64 || local == kIn64 || disk == 0xffff) {
      Zip64 wide(*this, entry, fields);
      if (entry.size == kIn64) entry.size = wide.next(8);
      if (entry.compressed == kIn64) entry.compressed = wide.next(8);
      if (local == kIn64) local = wide.next(8);
      if (disk == 0xffff) disk = wide.next(4);
    }
    if (disk != 0) refuse_split();
    check_sizes(entry);
    check_local(entry, local);
    entries_.push_back(std::move(entry));
    return at + kEntryBytes + name + extra + comment;
  }

  // The zip64 field among the extra fields: the numbers that were too large, in order.
  class Zip64 {
   public:
    Zip64(const DirectoryReader& reader, const ZipEntry& entry, std::string_view fields)
        : reader_(reader), entry_(entry) {
      while (fields.size() >= 4) {
        const std::size_t length = u16(fields, 2);
        if (length > fields.size() - 4) break;
        if (u16(fields, 0) == kZip64Field) {
          rest_ = fields.substr(4, length);
          return;
        }
        fields.remove_prefix(4 + length);
      }
    }
    std::uint64_t next(std::size_t bytes) {
      if (rest_.size() < bytes)
        reader_.fail(entry_, "has a size in a zip64 field that is missing or too short");
      const std::uint64_t value = number(rest_, 0, static_cast<int>(bytes));
      rest_.remove_prefix(bytes);
      return value;
    }

   private:
    const DirectoryReader& reader_;
    const ZipEntry& entry_;
    std::string_view rest_;
  };

  void check_sizes(const ZipEntry& entry) const {
    if (entry.name.find('\0') != std::string::npos) fail(entry, "has a zero byte in its name");
    if (entry.compressed > directory_)
      fail(entry, "is truncated: it states more than the file has");
    if (entry.method == 0 && entry.size != entry.compressed && !(entry.flags & kEncrypted))
      fail(entry, "is stored, but states two sizes");
    if (entry.method == 8 && entry.size > kDeflateMost * entry.compressed)
      fail(entry, "states " + std::to_string(entry.size) + " bytes, more than " +
                      std::to_string(entry.compressed) + " compressed ones can give");
  }

  // The header before the data must agree with the directory, and all of it lie before that.
  void check_local(ZipEntry& entry, std::uint64_t at) {
    if (at > directory_ || directory_ - at < kLocalBytes)
      fail(entry, "should begin at byte " + std::to_string(at) + ", where no member can be");
    const std::string fixed = read_text(at, kLocalBytes);
    if (u32(fixed, 0) != kLocal)
      fail(entry, "has no header at byte " + std::to_string(at) + ", where it should begin");
    const std::uint64_t name = u16(fixed, 26), extra = u16(fixed, 28);
    entry.data = at + kLocalBytes + name + extra;
    if (entry.data > directory_ || entry.compressed > directory_ - entry.data)
      fail(entry, "reaches into the central directory: it is truncated, or states a false size");
    const std::string rest = read_text(at + kLocalBytes, name + extra);
    if (std::string_view(rest).substr(0, name) != entry.name) disagree(entry, "name");
    if (u16(fixed, 8) != entry.method) disagree(entry, "method");
    if ((u16(fixed, 6) ^ entry.flags) & (kEncrypted | kStreamed)) disagree(entry, "flags");
    std::uint64_t compressed = u32(fixed, 18), size = u32(fixed, 22);
    const std::uint32_t crc = u32(fixed, 14);
    if (compressed == kIn64 || size == kIn64) {
      Zip64 wide(*this, entry, std::string_view(rest).substr(name));
      if (size == kIn64) size = wide.next(8);
      if (compressed == kIn64) compressed = wide.next(8);
    }
    const bool later = entry.flags & kStreamed;  // then they may be 0 here
    if (crc != entry.crc && !(later && crc == 0)) disagree(entry, "checksum");
    if (size != entry.size && !(later && size == 0)) disagree(entry, "size");
    if (compressed != entry.compressed && !(later && compressed == 0)) disagree(entry, "size");
    const std::uint64_t end = entry.data + entry.compressed;
    extents_.emplace_back(at, later ? end_of_descriptor(entry, end) : end);
  }

  // Behind streamed data: [signature] crc compressed size, the sizes of 4 or of 8 bytes.
  std::uint64_t end_of_descriptor(const ZipEntry& entry, std::uint64_t at) {
    const std::string text = read_text(at, std::min<std::uint64_t>(24, directory_ - at));
    for (const std::size_t signature : {4u, 0u})
      for (const int wide : {4, 8}) {
        const std::size_t length = signature + 4 + 2 * static_cast<std::size_t>(wide);
        if (text.size() < length || (signature && u32(text, 0) != kDescriptor)) continue;
        const std::size_t sizes = signature + 4;
        if (u32(text, signature) == entry.crc && number(text, sizes, wide) == entry.compressed &&
            number(text, sizes + static_cast<std::size_t>(wide), wide) == entry.size)
          return at + length;
      }
    fail(entry, "has no data descriptor behind it that agrees with the central directory");
  }

  void check_extents() {
    std::sort(extents_.begin(), extents_.end());
    std::uint64_t at = 0;
    for (const auto& [begin, end] : extents_) {
      if (begin < at) file_.fail("has members that overlap at byte " + std::to_string(begin));
      if (begin > at) refuse_hole(at, begin);
      at = end;
    }
    if (at != directory_) refuse_hole(at, directory_);
  }

  [[noreturn]] void refuse_hole(std::uint64_t from, std::uint64_t to) const {
    file_.fail("has bytes that belong to no member, from " + std::to_string(from) + " to " +
               std::to_string(to));
  }
  [[noreturn]] void disagree(const ZipEntry& entry, const char* what) const {
    fail(entry, std::string("has one ") + what + " in its header and another in the directory");
  }
  [[noreturn]] void fail(const ZipEntry& entry, const std::string& what) const {
    file_.fail("the member " + in_quotes(entry.name) + " " + what);
  }

  InputFile& file_;
  std::uint64_t directory_ = 0;  // where it begins
  std::vector<ZipEntry> entries_;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> extents_;  // with header and descriptor
};

}  // namespace

std::vector<ZipEntry> read_zip_directory(InputFile& file) { return DirectoryReader(file).read(); }

}  // namespace unroll::detail
