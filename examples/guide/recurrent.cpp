// docs/guide.md: recurrent layers, cells and attention with PyTorch's weights.
#include "expected.h"

// [start]
#include <unroll/models/attention.h>
#include <unroll/models/layers.h>
#include <unroll/models/weights.h>
// [end]

using namespace unroll;

int main() {
  // [lstm]
  Parameters parameters(Dtype::float64);
  const Lstm lstm(parameters, "lstm", 3, 4, {.num_layers = 2, .bidirectional = true});
  load_weights("lstm.safetensors", parameters, "lstm.");

  const Tensor x = reshape(sin(arange(45, Dtype::float64)), {5, 3, 3});  // [T,N,I]
  const Lengths lengths({5, 2, 3});
  const auto [y, h_n, c_n] = lstm(x, lengths);  // [T,N,2H]; states [2L,N,H]
  // [end]

  // [gru]
  const Gru gru(parameters, "gru", 3, 4, {.batch_first = true});
  load_weights("gru.safetensors", parameters, "gru.");

  const auto [y_gru, h_gru] = gru(transpose(x, 0, 1), {}, ones({1, 3, 4}, Dtype::float64));
  // [end]

  // [projection]
  const Lstm narrow(parameters, "narrow", 3, 4, {.proj_size = 2});
  load_weights("projection.safetensors", parameters, "narrow.");

  const auto [y_narrow, h_narrow, c_narrow] = narrow(x);  // y [T,N,2], h [1,N,2], c [1,N,4]
  // [end]

  // [cell]
  const LstmCell cell(parameters, "cell", 3, 4);
  load_weights("cell.safetensors", parameters, "cell.");

  LstmState state;  // undefined: zero
  for (int t = 0; t < 5; t++) state = cell(select(x, 0, t), state);
  // [end]

  // [attention]
  const MultiheadAttention attend(parameters, "attend", 8, 2);
  load_weights("attention.safetensors", parameters, "attend.");

  const Tensor q = reshape(cos(arange(96, Dtype::float64)), {4, 3, 8});   // [L,N,E]
  const Tensor k = reshape(sin(arange(120, Dtype::float64)), {5, 3, 8});  // [S,N,E]
  const auto [context, weights] = attend(q, k, k, {.key_lengths = lengths, .need_weights = true});
  // [end]

  // [causal]
  const Tensor past = attend(k, k, k, {.causal = true}).context;
  // [end]

  Expected expected("recurrent");
  expected.same("y", y);
  expected.same("h_n", h_n);
  expected.same("c_n", c_n);
  expected.same("y_gru", y_gru);
  expected.same("h_gru", h_gru);
  expected.same("y_narrow", y_narrow);
  expected.same("h_narrow", h_narrow);
  expected.same("c_narrow", c_narrow);
  expected.same("h", state.h);
  expected.same("c", state.c);
  expected.same("context", context);
  expected.same("weights", weights);
  expected.same("past", past);
  return expected.status();
}
