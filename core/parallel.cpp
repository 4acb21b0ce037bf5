#include "core/parallel.h"

#include <string>

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

}  // namespace unroll
