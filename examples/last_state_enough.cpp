// Does a last state determine the input? A GRU of 16 units saw 8 numbers, then 24.
#include <cstdio>

#include <unroll/core/view.h>
#include <unroll/inversion/invert.h>

int main() {
  using namespace unroll;
  Random random(1);
  const Encoder encoder({.cell = Cell::gru, .I = 1, .H = 16}, random, {.orthogonal = true});
  const Observation seen = observation("final");
  bool expected = true;
  for (const std::int64_t T : {8, 24}) {
    const Tensor x = random.normal({T, 1, 1}, 0, 1, Dtype::float64);
    const Tensor last = view::select(encoder(x).last.h, 0, 0);  // [1,16]
    const Inversion found = invert(encoder, last, seen, {.steps = T});
    const SequenceInversion& s = found.sequences[0];
    std::printf("%lld inputs, %lld facts: %s (%s)\n", static_cast<long long>(s.unknowns),
                static_cast<long long>(s.facts), name(s.verdict), s.reason.c_str());
    if (s.other)
      std::printf("  another input at distance %.2f has the same state to %.1e\n", s.other_distance,
                  s.other_difference);
    expected &= s.verdict == (T == 8 ? Verdict::recovered : Verdict::ambiguous);
  }
  return expected ? 0 : 1;
}
