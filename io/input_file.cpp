#include "io/input_file.h"

#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/error.h"

namespace unroll {

InputFile::InputFile(const char* op, std::string path) : ByteSource(op, std::move(path)) {
  if (name_.empty()) unroll::fail(op_, "the path is empty; name a file");
  // The kind comes first: opening a pipe would wait for its writer.
  struct stat status {};
  if (::stat(name_.c_str(), &status) != 0)
    fail(errno == ENOENT ? "does not exist; check the path"
                         : std::string("cannot be reached: ") + std::strerror(errno));
  if (S_ISDIR(status.st_mode)) fail("is a folder; name a file in it");
  if (!S_ISREG(status.st_mode)) fail("is not a regular file; copy its content into one");
  descriptor_ = ::open(name_.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor_ < 0) fail(std::string("cannot be opened for reading: ") + std::strerror(errno));
  if (::fstat(descriptor_, &status) == 0) size_ = static_cast<std::uint64_t>(status.st_size);
}

InputFile::~InputFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

std::size_t InputFile::read_some(void* target, std::size_t bytes) {
  for (;;) {
    const ssize_t got =
        ::pread(descriptor_, target, bytes < (1u << 30) ? bytes : (1u << 30), off_t(position_));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail(std::string("cannot be read: ") + std::strerror(errno));
    position_ += static_cast<std::uint64_t>(got);
    if (position_ > size_) size_ = position_;  // it grew
    return static_cast<std::size_t>(got);
  }
}

void InputFile::read(void* target, std::size_t bytes) {
  auto* to = static_cast<std::byte*>(target);
  while (bytes > 0) {
    const std::size_t got = read_some(to, bytes);
    if (got == 0)
      fail("is truncated: " + std::to_string(bytes) + " more bytes are needed at byte " +
           std::to_string(position_));
    to += got;
    bytes -= got;
  }
}

void InputFile::seek(std::uint64_t position) {
  if (position > size_) fail("is truncated: it ends before byte " + std::to_string(position));
  position_ = position;
}

bool is_utf8(std::string_view text) {
  try {
    return !nlohmann::json(text).dump().empty();
  } catch (const nlohmann::json::exception&) {
    return false;
  }
}

std::string in_quotes(std::string_view text) {
  constexpr std::size_t longest = 60;
  constexpr char digits[] = "0123456789abcdef";
  std::string out = "'";
  for (const char c : text.substr(0, longest)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte != 0x7f)
      out += c;
    else
      out += {'\\', 'x', digits[byte >> 4], digits[byte & 15]};
  }
  return out + (text.size() > longest ? "...'" : "'");
}

}  // namespace unroll
