#include "inversion/decoder_start.h"

#include <algorithm>

#include "autograd/ops.h"
#include "autograd/tape.h"

namespace unroll {
namespace {

// [N,runs*width] -> [runs,N,width]
Tensor by_run(const Tensor& rows, std::int64_t runs) {
  const std::int64_t N = rows.shape()[0], all = rows.shape()[1];
  return transpose(reshape(rows, {N, runs, all / runs}), 0, 1);
}

// What was seen of a run, under the names that a decoder knows.
Encoded encoded_of(const Facts& facts, const Tensor& y) {
  const EncoderSizes& s = facts.encoder().sizes();
  const std::int64_t N = y.shape()[0], W = s.output_width(), D = s.directions();
  const Tensor outputs = slice(y, 1, 0, std::min(W, y.shape()[1]));
  switch (facts.observation().outputs) {
    case Seen::all: {
      const Tensor all = transpose(reshape(y, {N, facts.T(), W}), 0, 1);
      // Of both directions the last output is not at one step.
      return {all, {}, s.bidirectional ? Tensor() : select(all, 0, facts.T() - 1)};
    }
    case Seen::final:
    case Seen::final_cell: {
      if (s.layers > 1) return {{}, {}, outputs};
      const bool cell = facts.observation().outputs == Seen::final_cell;
      return {{},
              {by_run(outputs, D), cell ? by_run(slice(y, 1, W, y.shape()[1]), D) : Tensor()},
              outputs};
    }
    case Seen::state: {
      const std::int64_t runs = s.layers * D, h = runs * s.state_width();
      return {{},
              {by_run(slice(y, 1, 0, h), runs),
               s.has_cell_state() ? by_run(slice(y, 1, h, y.shape()[1]), runs) : Tensor()},
              {}};
    }
    case Seen::every: break;
  }
  fail("decoder_start", "a decoder reads no outputs that come at every k-th step");
}

}  // namespace

Tensor decoder_start(const Facts& facts, const Tensor& y, const Model& model) {
  if (facts.observation().readout)
    fail("decoder_start", "a decoder reads outputs, not what a readout makes of them");
  const NoTape none;
  const Tensor x = decode_state(model, encoded_of(facts, y), facts.T());
  const Shape wanted{facts.T(), y.shape()[0], facts.encoder().sizes().I};
  if (!(x.shape() == wanted))
    fail("decoder_start", "the model gives back " + to_string(x.shape()) + " but " +
                              to_string(wanted) + " is sought");
  return x;
}

}  // namespace unroll
