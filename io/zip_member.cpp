#include "io/zip_member.h"

#include <algorithm>
#include <string>

#include <zlib.h>

namespace unroll::detail {
namespace {

constexpr std::size_t kStep = 1 << 16;

std::string method_name(int method) {
  switch (method) {
    case 9: return "deflate64";
    case 12: return "bzip2";
    case 14: return "LZMA";
    case 93: return "Zstandard";
    case 95: return "XZ";
    case 99: return "AES encryption";
    default: return "an unknown kind of compression";
  }
}

}  // namespace

struct ZipMember::Inflater {
  z_stream stream{};
  bool ended = false;
  Bytef input[kStep];

  ~Inflater() { inflateEnd(&stream); }
};

ZipMember::ZipMember(InputFile& file, const ZipEntry& entry)
    : ByteSource(file.op(), file.path() + ": the member " + in_quotes(entry.name)),
      file_(file),
      entry_(entry) {
  if (entry_.flags & 0x2041)  // traditional, strong, masked headers
    fail("is encrypted, which is not supported; save it without a password");
  if (entry_.method != 0 && entry_.method != 8)
    fail("uses the method " + std::to_string(entry_.method) + ", " + method_name(entry_.method) +
         ", which is not supported; save it with numpy.savez or numpy.savez_compressed");
  if (entry_.method == 0) return;
  inflater_ = std::make_unique<Inflater>();
  if (inflateInit2(&inflater_->stream, -MAX_WBITS) != Z_OK) fail("cannot be inflated: no memory");
  finish();
  rewind();
}

ZipMember::~ZipMember() = default;

void ZipMember::rewind() {
  inflateReset(&inflater_->stream);
  inflater_->stream.avail_in = 0;
  inflater_->ended = false;
  done_ = taken_ = 0;
  crc_ = 0;
}

void ZipMember::read(void* target, std::size_t bytes) {
  if (bytes > left())
    fail("is truncated: " + std::to_string(bytes) + " more bytes are needed, but " +
         std::to_string(left()) + " are left");
  auto* to = static_cast<Bytef*>(target);
  while (bytes > 0) {
    const std::size_t step = std::min<std::size_t>(bytes, 1u << 30);
    inflater_ ? read_inflated(to, step) : read_stored(to, step);
    crc_ = static_cast<std::uint32_t>(crc32(crc_, to, static_cast<uInt>(step)));
    done_ += step;
    to += step;
    bytes -= step;
  }
}

void ZipMember::read_stored(void* target, std::size_t bytes) {
  file_.seek(entry_.data + done_);
  file_.read(target, bytes);
}

void ZipMember::read_inflated(void* target, std::size_t bytes) {
  z_stream& stream = inflater_->stream;
  stream.next_out = static_cast<Bytef*>(target);
  stream.avail_out = static_cast<uInt>(bytes);
  while (stream.avail_out > 0)
    if (!inflate_step())
      fail("inflates to fewer than the " + std::to_string(entry_.size) + " bytes that it states");
}

// One call of zlib, after more input where it needs that; false at the end of the stream.
bool ZipMember::inflate_step() {
  z_stream& stream = inflater_->stream;
  if (inflater_->ended) return false;
  if (stream.avail_in == 0) {
    const std::size_t step = std::min<std::uint64_t>(kStep, entry_.compressed - taken_);
    file_.seek(entry_.data + taken_);
    file_.read(inflater_->input, step);
    taken_ += step;
    stream.next_in = inflater_->input;
    stream.avail_in = static_cast<uInt>(step);
  }
  // Without input it may still go on: it keeps up to 32 bits to itself.
  const bool last = stream.avail_in == 0;
  const int status = inflate(&stream, Z_NO_FLUSH);
  if (status == Z_BUF_ERROR && last) fail("is truncated: its compressed data does not end");
  if (status != Z_OK && status != Z_STREAM_END && status != Z_BUF_ERROR)
    fail(std::string("has corrupt compressed data") +
         (stream.msg ? std::string(": ") + stream.msg : std::string()));
  inflater_->ended = status == Z_STREAM_END;
  return !inflater_->ended || stream.avail_out == 0;
}

void ZipMember::check_end_of_deflate() {
  z_stream& stream = inflater_->stream;
  Bytef beyond;
  stream.next_out = &beyond;
  stream.avail_out = 1;
  while (!inflater_->ended && stream.avail_out > 0) inflate_step();
  if (stream.avail_out == 0)
    fail("inflates to more than the " + std::to_string(entry_.size) + " bytes that it states");
  if (stream.avail_in > 0 || taken_ != entry_.compressed)
    fail("has bytes behind the end of its compressed data");
}

void ZipMember::finish() {
  const auto buffer = std::make_unique<Bytef[]>(std::min<std::uint64_t>(kStep, left()));
  while (left() > 0) read(buffer.get(), std::min<std::uint64_t>(kStep, left()));
  if (inflater_) check_end_of_deflate();
  if (crc_ != entry_.crc) fail("is corrupt: its checksum (CRC-32) does not agree");
}

}  // namespace unroll::detail
