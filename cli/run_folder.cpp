#include "cli/run_folder.h"

#include <cerrno>
#include <cstring>
#include <filesystem>

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "cli/command.h"

namespace unroll::cli {
namespace {

namespace fs = std::filesystem;

// An encoder alone is none: it is written before config.json.
bool marks_a_run(const std::string& file) { return file != "encoder.safetensors"; }

// What AtomicFile leaves when the process is killed: NAME.tmp.<pid>.<n>.
bool is_leftover(const std::string& name) {
  for (const char* file : kRunFiles)
    if (name.starts_with(std::string(file) + ".tmp.")) return true;
  return false;
}

}  // namespace

void RunFolder::check(const std::string& path, bool resume) {
  if (fs::exists(path) && !fs::is_directory(path))
    throw UsageError(path + " is a file; --out names the folder of a run");
  if (resume) {
    if (!fs::exists(fs::path(path) / "config.json"))
      throw UsageError(path + " holds no run to resume; leave out --resume to start one");
    return;
  }
  for (const char* file : kRunFiles)
    if (marks_a_run(file) && fs::exists(fs::path(path) / file))
      throw UsageError(path + " holds a run already (" + file +
                       "); add --resume to go on with it, or take another --out");
}

RunFolder::RunFolder(const std::string& path, bool resume) : path_(path) {
  check(path, resume);
  std::error_code error;
  fs::create_directories(path, error);
  if (error) throw Error(path + ": the folder cannot be made: " + error.message());
  lock();
  try {
    check(path, resume);  // again, now that nobody else can come between
    remove_leftovers();
  } catch (...) {
    ::close(descriptor_);
    throw;
  }
}

RunFolder::~RunFolder() { ::close(descriptor_); }

void RunFolder::lock() {
  descriptor_ = ::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor_ < 0)
    throw Error(path_ + ": the folder cannot be opened: " + std::strerror(errno));
  if (::flock(descriptor_, LOCK_EX | LOCK_NB) == 0) return;
  const int error = errno;
  if (error != EWOULDBLOCK) return;  // a file system without locks
  ::close(descriptor_);
  throw Error(path_ + ": another unroll is training in this folder; wait for it or stop it");
}

void RunFolder::remove_leftovers() const {
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(path_, ignored))
    if (is_leftover(entry.path().filename().string())) fs::remove(entry.path(), ignored);
}

}  // namespace unroll::cli
