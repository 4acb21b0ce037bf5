#include "tests/fuzz/fuzz.h"

#include <sanitizer/allocator_interface.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>

#include "core/error.h"

namespace fuzz {
namespace {

std::atomic<bool> counting{false};
std::atomic<std::int64_t> live{0}, peak{0}, bytes_read{0};
bool zero_checksums = false;

void on_malloc(const volatile void*, std::size_t bytes) {
  if (!counting) return;
  const std::int64_t now = live += static_cast<std::int64_t>(bytes);
  if (now > peak) peak = now;
}

void on_free(const volatile void* block) {
  if (counting && block)
    live -=
        static_cast<std::int64_t>(__sanitizer_get_allocated_size(const_cast<const void*>(block)));
}

[[maybe_unused]] const int hooks = __sanitizer_install_malloc_and_free_hooks(on_malloc, on_free);

}  // namespace

File::File(const std::uint8_t* data, std::size_t size) : descriptor_(::memfd_create("input", 0)) {
  path_ = "/proc/self/fd/" + std::to_string(descriptor_);
  if (descriptor_ < 0 || ::write(descriptor_, data, size) != static_cast<ssize_t>(size))
    finding("the harness cannot make a file");
}

File::~File() { ::close(descriptor_); }

void finding(const std::string& what) {
  std::fprintf(stderr, "finding: %s\n", what.c_str());
  std::abort();
}

bool call(const File& file, const std::function<void()>& reader) {
  live = peak = bytes_read = 0;
  bool done = false;
  std::string error;
  counting = true;
  try {
    reader();
    done = true;
  } catch (const unroll::Error& e) {
    counting = false;
    error = e.what();
    if (error.find(file.path()) == std::string::npos) finding("no file is named: " + error);
    if (error.find('\n') != std::string::npos) finding("not one line: " + error);
  } catch (const std::exception& e) {
    counting = false;
    finding(std::string("another exception: ") + e.what());
  }
  counting = false;
  if (peak > 4 * bytes_read + (1 << 20))
    finding(std::to_string(peak) + " bytes held for " + std::to_string(bytes_read) +
            " read or inflated: " + error);
  return done;
}

void pretend_checksums_are_zero(bool pretend) { zero_checksums = pretend; }

}  // namespace fuzz

// The linker puts these in place of the functions that they call (--wrap).
extern "C" {

ssize_t __real_pread(int descriptor, void* target, std::size_t bytes, off_t at);
ssize_t __wrap_pread(int descriptor, void* target, std::size_t bytes, off_t at) {
  const ssize_t got = __real_pread(descriptor, target, bytes, at);
  if (got > 0) fuzz::bytes_read += got;
  return got;
}

int __real_inflate(z_streamp stream, int flush);
int __wrap_inflate(z_streamp stream, int flush) {
  const auto before = stream->avail_out;
  const int status = __real_inflate(stream, flush);
  fuzz::bytes_read += before - stream->avail_out;
  return status;
}

uLong __real_crc32(uLong crc, const Bytef* bytes, uInt count);
uLong __wrap_crc32(uLong crc, const Bytef* bytes, uInt count) {
  return fuzz::zero_checksums ? 0 : __real_crc32(crc, bytes, count);
}
}
