#include "core/parallel.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "core/error.h"
#ifdef _OPENMP
#include <omp.h>
#endif

namespace unroll {

int num_threads() noexcept {
#ifdef _OPENMP
  return omp_get_max_threads();
#else
  return 1;
#endif
}

void set_num_threads(int count) {
  if (count < 1) fail("set_num_threads", std::to_string(count) + " is not at least 1");
#ifdef _OPENMP
  omp_set_num_threads(count);
#endif
}

void run_jobs(std::size_t count, const std::function<void(std::size_t)>& job) {
  std::atomic<std::size_t> next{0};
  std::exception_ptr error;
  std::mutex mutex;
  const auto work = [&] {
    set_num_threads(1);  // OpenMP's setting is the thread's own
    try {
      for (std::size_t i; (i = next++) < count;) job(i);
    } catch (...) {
      const std::lock_guard lock(mutex);
      if (!error) error = std::current_exception();
      next = count;
    }
  };
  std::vector<std::thread> threads;
  const auto workers = std::min<std::size_t>(static_cast<std::size_t>(num_threads()), count);
  try {
    for (std::size_t i = 0; i < workers; i++) threads.emplace_back(work);
  } catch (const std::system_error&) {
    if (threads.empty()) throw;  // else those that there are do all of it
  }
  for (std::thread& thread : threads) thread.join();
  if (error) std::rethrow_exception(error);
}

}  // namespace unroll
