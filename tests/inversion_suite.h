// Random inversions whose answer is known, and whether a verdict about one is right.
#pragma once

#include <string>

#include "inversion/invert.h"

namespace unroll::testing {

/// What can be known of a case before it is solved.
enum class Kind { solvable, deficient, open };

struct InversionCase {
  std::string what;  // for messages
  Kind kind;
  Encoder encoder;
  Observation observation;
  Tensor x;  // [T,N,I], the truth
  EncoderState initial;
  Tensor outputs;  // as files hold them
  std::int64_t steps = 0;
};

/// Case `index` of the suite of a seed: its cell, sizes, observation and noise are drawn.
InversionCase inversion_case(std::uint64_t seed, std::int64_t index);

/// Empty where the verdict on sequence n is right; else why it is wrong.
std::string wrong_verdict(const InversionCase& the, const Inversion& found, std::int64_t n);

}  // namespace unroll::testing
