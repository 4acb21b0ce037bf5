// A tensor and its name: what files of several tensors hold.
#pragma once

#include <string>

#include "core/tensor.h"

namespace UNROLL_API unroll {

/// A tensor and its name.
struct NamedTensor {
  std::string name;
  Tensor tensor;
};

}  // namespace unroll
