// What is timed without peers, by `unroll bench` and beside a user's own kernel: one call of an op
// as a user makes it, float32, on random numbers, and the same from the definition in float64.
//
//   const Work work = make_work("lstm", Pass::step, {.N = 8, .T = 100, .I = 64, .H = 128});
//   if (!(work.reference().error_of(work.results()) <= tolerance)) ...
//   const double seconds = time_in_turns({[&] { work.call(); }})[0];
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "bench/reference.h"
#include "core/tensor.h"

namespace unroll::bench {

/// Sequences, steps, inputs, hidden units. Of attention: sequences, steps, heads, width of a head.
/// Of matmul, [N T,I] x [I,H]: a linear layer at every step.
struct Size {
  std::int64_t N, T, I, H;
};

/// forward: inference. step: forward, then backward to all inputs and weights.
enum class Pass { forward, step };

struct Work {
  double flops;                      // of the products; a step has three times the forward's
  std::function<void()> call;        // what is timed
  std::function<Tensors()> results;  // one call: outputs, and of a step the gradients
  std::function<Reference()> reference;
};

/// "lstm", "gru", "rnn", "attention", "matmul".
const std::vector<std::string>& op_names();
/// "forward", "step".
const char* name_of(Pass pass);
/// "8,100,64,128".
std::string text_of(const Size& size);
/// The size of such a text; none where it is anything else than four whole numbers from 1.
std::optional<Size> size_of(const std::string& text);
/// Where nothing else is asked for.
std::vector<Size> usual_sizes(const std::string& op);

/// Throws Error for an op of another name, a size with a number below 1, and one of which a tensor
/// would hold more than 2^28 numbers.
void require_size(const std::string& op, const Size& size);
/// Bytes that a pass takes at most, about, with its check in float64.
double bytes_of(const std::string& op, Pass pass, const Size& size);
/// Draws the inputs. Throws as require_size.
Work make_work(const std::string& op, Pass pass, const Size& size);

/// x [T,N,I], w_ih [G H,I], w_hh [G H,H], b_ih and b_hh [G H] of a recurrent layer of G gates,
/// float32: normal x, weights as PyTorch starts.
Tensors recurrent_inputs(std::int64_t gates, const Size& size);
/// The operations of its products, forward.
double recurrent_flops(std::int64_t gates, const Size& size);

}  // namespace unroll::bench
