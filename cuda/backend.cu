#include "cuda/backend.h"

namespace unroll::UNROLL_GPU {

Stream current_stream() noexcept { return {}; }

}  // namespace unroll::UNROLL_GPU
