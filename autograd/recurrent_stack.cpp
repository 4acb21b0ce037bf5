#include "autograd/recurrent_stack.h"

#include "autograd/dropout.h"
#include "autograd/recurrent_op.h"

namespace unroll::detail {
namespace {

// A stack whose x is [T,N,I] and whose states are [L*D,N,H], and how to undo what made them so.
struct Batched {
  Tensor x, h_0, c_0;
  bool without_batch;
};

Batched batched(const char* op, const Tensor& x, const Tensor& h_0, const Tensor& c_0,
                bool batch_first) {
  require_real(op, x);
  if (x.rank() != 2 && x.rank() != 3)
    fail(op, "x is " + to_string(x.shape()) + " but must be " +
                 (batch_first ? "[N,T,I]" : "[T,N,I]") + " or [T,I]");
  if (x.rank() == 3) return {batch_first ? transpose(x, 0, 1) : x, h_0, c_0, false};
  const auto state = [](const Tensor& s) { return s && s.rank() == 2 ? unsqueeze(s, 1) : s; };
  return {unsqueeze(x, 1), state(h_0), state(c_0), true};
}

void require_state(const char* op, const char* what, const Tensor& s, std::int64_t runs,
                   std::int64_t N) {
  if (!s) return;
  const bool fits = s.rank() == 3 && s.shape()[0] == runs && s.shape()[1] == N;
  if (!fits)
    fail(op, std::string(what) + " is " + to_string(s.shape()) + " but must be [" +
                 std::to_string(runs) + "," + std::to_string(N) + ",H]");
}

Tensor dropped(const RecurrentStack& stack, const Tensor& y, Random& random) {
  if (!stack.variational) return dropout(y, stack.dropout, random);
  return dropout(y, stack.dropout, random, {1, y.shape()[1], y.shape()[2]});
}

RunInputs run_of(const Batched& in, const RecurrentWeights& w, int at) {
  const auto state = [at](const Tensor& s) { return s ? select(s, 0, at) : s; };
  return run_inputs(state(in.h_0), state(in.c_0), w);
}

// [L*D,N,H] of the runs' [N,H]
Tensor joined(const Tensors& states) {
  return states.size() == 1 ? unsqueeze(states[0], 0) : stack(states, 0);
}

}  // namespace

StackOutputs run_stack(const char* op, const Tensor& x, const Tensor& h_0, const Tensor& c_0,
                       const RecurrentStack& stack, Random* random, const RecurrentLayer& layer) {
  const int directions = stack.bidirectional ? 2 : 1;
  const int count = static_cast<int>(stack.weights.size());
  if (count == 0 || count % directions != 0)
    fail(op, std::to_string(count) + " weights are not those of whole layers of " +
                 std::to_string(directions) + " directions");
  const Batched in = batched(op, x, h_0, c_0, stack.batch_first);
  require_state(op, "h_0", in.h_0, count, in.x.shape()[1]);
  require_state(op, "c_0", in.c_0, count, in.x.shape()[1]);
  Tensor y = in.x;
  Tensors h_n, c_n;
  for (int at = 0; at < count; at += directions) {
    if (at > 0 && random && stack.dropout != 0) y = dropped(stack, y, *random);
    RecurrentInputs inputs{.x = y, .run = {}, .runs = directions};
    for (int r = 0; r < directions; r++)
      inputs.run[r] = run_of(in, stack.weights[std::size_t(at + r)], at + r);
    const RecurrentOutputs out = layer(inputs);
    y = out.y;
    for (int r = 0; r < directions; r++) {
      h_n.push_back(out.last[r].h);
      if (out.last[r].c) c_n.push_back(out.last[r].c);
    }
  }
  StackOutputs out{y, joined(h_n), c_n.empty() ? Tensor() : joined(c_n)};
  if (in.without_batch) {
    out = {squeeze(y, 1), squeeze(out.h_n, 1), out.c_n ? squeeze(out.c_n, 1) : out.c_n};
  } else if (stack.batch_first) {
    out.y = transpose(y, 0, 1);
  }
  return out;
}

}  // namespace unroll::detail
