#include "io/atomic_file.h"

#include <atomic>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/error.h"

namespace unroll {
namespace {

constexpr std::size_t kBuffer = 1 << 16;

std::string folder_of(const std::string& path) {
  const std::string folder = std::filesystem::path(path).parent_path().string();
  return folder.empty() ? "." : folder;
}

}  // namespace

AtomicFile::AtomicFile(const char* op, std::string path) : op_(op), path_(std::move(path)) {
  if (path_.empty()) unroll::fail(op_, "the path is empty; name a file");
  std::error_code ignored;
  target_ = std::filesystem::is_symlink(path_, ignored)
                ? std::filesystem::weakly_canonical(path_, ignored).string()
                : path_;
  if (target_.empty()) target_ = path_;  // a link that leads nowhere
  struct stat status {};
  const bool exists = ::stat(target_.c_str(), &status) == 0;
  if (exists && S_ISDIR(status.st_mode)) fail("is a folder; name a file");
  if (!exists && path_.back() == '/') fail("names a folder; name a file in it");
  const std::string folder = folder_of(target_);
  if (!exists && !std::filesystem::is_directory(folder, ignored))
    fail("the folder " + folder + " does not exist; create it first");

  if (exists && !S_ISREG(status.st_mode)) {
    descriptor_ = ::open(target_.c_str(), O_WRONLY | O_CLOEXEC);
    if (descriptor_ < 0) fail_with_errno("cannot be opened for writing");
  } else {
    open_temporary(exists ? status.st_mode & 0777u : 0u);
  }
  buffer_.reserve(kBuffer);
}

void AtomicFile::open_temporary(unsigned mode) {
  static std::atomic<unsigned> serial{0};
  do {
    temporary_ = target_ + ".tmp." + std::to_string(::getpid()) + "." + std::to_string(serial++);
    descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  } while (descriptor_ < 0 && errno == EEXIST);
  if (descriptor_ < 0) {
    temporary_.clear();
    fail_with_errno("cannot be created in " + folder_of(target_));
  }
  if (mode != 0 && ::fchmod(descriptor_, mode) != 0) {
    // Another owner's file: the content matters more than the mode.
  }
}

AtomicFile::~AtomicFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void AtomicFile::write(const void* data, std::size_t bytes) {
  if (bytes < kBuffer - buffer_.size()) {
    buffer_.append(static_cast<const char*>(data), bytes);
    return;
  }
  flush();
  put(static_cast<const char*>(data), bytes);
}

void AtomicFile::flush() {
  put(buffer_.data(), buffer_.size());
  buffer_.clear();
}

void AtomicFile::put(const char* data, std::size_t bytes) {
  while (bytes > 0) {
    const ssize_t done = ::write(descriptor_, data, bytes < (1u << 30) ? bytes : (1u << 30));
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) fail_with_errno("cannot be written");
    data += done;
    bytes -= static_cast<std::size_t>(done);
  }
}

void AtomicFile::commit() {
  flush();
  if (!temporary_.empty() && ::fsync(descriptor_) != 0) fail_with_errno("cannot be synced");
  if (::close(std::exchange(descriptor_, -1)) != 0) fail_with_errno("cannot be closed");
  if (temporary_.empty()) return;
  if (::rename(temporary_.c_str(), target_.c_str()) != 0) fail_with_errno("cannot be replaced");
  temporary_.clear();
  // The new name is durable once its folder is. A file system that cannot sync a folder (EINVAL)
  // keeps it as durable as it can.
  const int folder = ::open(folder_of(target_).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) return;
  const bool synced = ::fsync(folder) == 0 || errno == EINVAL || errno == ENOTSUP;
  ::close(folder);
  if (!synced) fail_with_errno("is written, but its folder cannot be synced");
}

void AtomicFile::fail(const std::string& what) const { unroll::fail(op_, path_ + ": " + what); }

void AtomicFile::fail_with_errno(const std::string& what) const {
  fail(what + ": " + std::strerror(errno));
}

void write_file(const std::string& path, std::string_view content) {
  AtomicFile file("write_file", path);
  file.write(content);
  file.commit();
}

}  // namespace unroll
