#include "bench/cudnn/cudnn_api.h"

#include <dlfcn.h>

#include "bench/cudnn/contender.h"
#include "core/error.h"

namespace unroll::bench {
namespace {

// 9.0.0 is 90000, and 8.9.7 was 8907.
std::size_t major_of(std::size_t version) {
  return version >= 10000 ? version / 10000 : version / 1000;
}

template <class Function>
void find(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(::dlsym(library, name));
  if (function == nullptr) fail("cudnn", std::string("the library has no ") + name);
}

}  // namespace

std::string CudnnApi::version() const {
  const std::size_t v = GetVersion(), unit = v >= 10000 ? 10000 : 1000;
  return std::to_string(v / unit) + "." + std::to_string(v % unit / 100) + "." +
         std::to_string(v % 100);
}

void CudnnApi::check(cudnnStatus_t status, const char* called) const {
  if (status == CUDNN_STATUS_SUCCESS) return;
  std::string said = std::string(called) + ": " + GetErrorString(status);
  char sentence[512] = "";
  if (GetLastErrorString) GetLastErrorString(sentence, sizeof sentence);
  if (sentence[0]) said += std::string(", ") + sentence;
  throw NotSupported(said);
}

CudnnApi load_cudnn(const std::string& file) {
  const std::string name = file.empty() ? "libcudnn.so." + std::to_string(CUDNN_MAJOR) : file;
  void* const library = ::dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) fail("cudnn", ::dlerror());
  CudnnApi api;
#define UNROLL_CUDNN_FIND(name) find(library, "cudnn" #name, api.name);
  UNROLL_CUDNN_FUNCTIONS(UNROLL_CUDNN_FIND)
#undef UNROLL_CUDNN_FIND
  api.GetLastErrorString =
      reinterpret_cast<void (*)(char*, std::size_t)>(::dlsym(library, "cudnnGetLastErrorString"));
  if (major_of(api.GetVersion()) != CUDNN_MAJOR)
    fail("cudnn", name + " is " + api.version() + ", but this program was built for " +
                      std::to_string(CUDNN_MAJOR));
  return api;
}

}  // namespace unroll::bench
