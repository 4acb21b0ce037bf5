// What is timed on a GPU: one layer of an op, with its inputs and what it must give.
//
//   const Problem problem{.op = "lstm", .pass = Pass::step, .size = {16, 50, 64, 128}};
//   const Inputs inputs(problem);
//   error_of(results, reference(problem, inputs))          // of float64
//
// One layer, one direction, zero initial state, both biases, as in bench/compare. The cotangent of
// a step is that of y.
#pragma once

#include <string>
#include <vector>

#include "bench/work.h"
#include "core/lengths.h"
#include "core/tensor.h"

namespace unroll::bench {

/// How a contender computes: in float32; the same with products in TF32; with all numbers stored in
/// a half type and sums in float32.
enum class Precision { float32, tf32, float16, bfloat16 };

/// "float32", "tf32", "float16", "bfloat16".
const char* name_of(Precision precision);
/// The type of x, the weights and the results.
Dtype stored_as(Precision precision);
/// What results may be off by, as a part of the largest number of each: more is a wrong result, not
/// a rounded one.
double tolerance_of(Precision precision);

struct Problem {
  std::string op;  // "lstm", "gru" or "rnn"
  Pass pass = Pass::forward;
  Precision precision = Precision::float32;
  Size size = {1, 1, 1, 1};
  bool variable = false;  // lengths from T / 2 to T, one of them T; else all are T
};

/// "lstm step float16 16,50,64,128 variable".
std::string text_of(const Problem& problem);
int gates_of(const std::string& op);
bool has_cell(const std::string& op);

/// Of the host and float32: numbers that the stored type holds exactly.
struct Inputs {
  explicit Inputs(const Problem& problem);

  Tensors layer;  // x [T,N,I], w_ih [G H,I], w_hh [G H,H], b_ih and b_hh [G H]
  Tensor dy;      // [T,N,H], zero in the padding
  Lengths lengths;
};

/// y [T,N,H], h_n [N,H], of an LSTM c_n [N,H], and of a step dx, dw_ih, dw_hh, db_ih and db_hh: by
/// the CPU's kernels in float64.
Tensors reference(const Problem& problem, const Inputs& inputs);
/// How many of those a forward pass gives.
int outputs_of(const std::string& op);

/// Steps of all sequences together.
double rows_of(const Problem& problem);
/// Operations of the products: 2 rows G H (I + H), three times that for a step.
double flops_of(const Problem& problem);
/// The least that a pass moves: each pass, forward and backward, reads what it is given once (x,
/// weights, biases; y, dy) and writes what it gives once.
double bytes_of(const Problem& problem);

/// Named lists of sizes: "haste", "flashrnn", "ours", "quick", and "tiny" for the simulator. Throws
/// Error for another name.
std::vector<Size> sizes_named(const std::string& name);

}  // namespace unroll::bench
