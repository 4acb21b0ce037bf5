// Losses: PyTorch's names, arguments and reductions.
//
//   Tensor loss = cross_entropy(logits, classes, {.label_smoothing = 0.1});
//   tape.backward(loss, parameters);
//
// x and target have one shape, dtype and device unless stated, and both are differentiated. Every
// Error names the op and the shapes. Rules of ops.h hold here, too; it includes this header.
#pragma once

#include <cstdint>

#include "core/lengths.h"
#include "core/tensor.h"

namespace UNROLL_API unroll {

/// What becomes of the elements' losses: their mean (of nothing: NaN) or sum, of rank 0, or
/// themselves.
enum class Reduction : std::uint8_t { mean, sum, none };

/// (x - target)^2.
Tensor mse_loss(const Tensor& x, const Tensor& target, Reduction reduction = Reduction::mean);
/// |x - target|; derivative 0 where both are equal.
Tensor l1_loss(const Tensor& x, const Tensor& target, Reduction reduction = Reduction::mean);
/// |d| <= delta: d^2 / 2, else delta (|d| - delta / 2). Throws Error unless delta > 0.
Tensor huber_loss(const Tensor& x, const Tensor& target, double delta = 1,
                  Reduction reduction = Reduction::mean);
/// huber_loss with delta = beta, divided by beta; beta 0: l1_loss. Throws Error where beta < 0.
Tensor smooth_l1_loss(const Tensor& x, const Tensor& target, double beta = 1,
                      Reduction reduction = Reduction::mean);

/// -(t log x + (1 - t) log(1 - x)) for probabilities x; each logarithm is at least -100, with
/// derivative 0 where it was cut. Throws Error for an x outside 0..1.
Tensor binary_cross_entropy(const Tensor& x, const Tensor& target,
                            Reduction reduction = Reduction::mean);
/// The same for logits x, without the cut. `pos_weight`, which broadcasts to x, multiplies the part
/// of the positives, t log x.
Tensor binary_cross_entropy_with_logits(const Tensor& x, const Tensor& target,
                                        const Tensor& pos_weight = {},
                                        Reduction reduction = Reduction::mean);
/// t (log t - x) for log-probabilities x, 0 where t is 0; with log_target t is a log-probability,
/// too. PyTorch's "batchmean" is the sum divided by the batch.
Tensor kl_div(const Tensor& x, const Tensor& target, bool log_target = false,
              Reduction reduction = Reduction::mean);

/// What the losses of classes leave open.
struct ClassOptions {
  Tensor weight = {};                     // [C] of x's dtype, a constant: the classes' weights
  std::int64_t ignore_index = -100;       // targets that do not count
  double label_smoothing = 0;             // of cross_entropy, in 0..1
  Reduction reduction = Reduction::mean;  // divided by the sum of the weights of the targets
};
/// -w_t x_t for log-probabilities x [N,C,...] or [C]; target int64 [N,...] or of rank 0, 0 <= t <
/// C. Throws Error for a target out of range, naming it.
Tensor nll_loss(const Tensor& x, const Tensor& target, const ClassOptions& options = {});
/// nll_loss of log_softmax(x), fused. A target of x's shape and dtype holds probabilities of the
/// classes, is differentiated and averaged over N,...; ignore_index means nothing then.
Tensor cross_entropy(const Tensor& x, const Tensor& target, const ClassOptions& options = {});
/// The same, for indices, made of small ops.
Tensor cross_entropy_twin(const Tensor& x, const Tensor& target, const ClassOptions& options = {});

/// sum(a b) / (|a| |b|) along an axis, norms of at least eps.
Tensor cosine_similarity(const Tensor& a, const Tensor& b, int axis = -1, double eps = 1e-8);
/// a, b [N,D] or [D]; y [N] or of rank 0, of any dtype, 1 or -1: 1 - cos where y is 1, else
/// max(0, cos - margin).
Tensor cosine_embedding_loss(const Tensor& a, const Tensor& b, const Tensor& y, double margin = 0,
                             Reduction reduction = Reduction::mean);

/// Over the valid steps of x [T,N,C] only: sum of squares / (sum of lengths * C). Padding is never
/// read. Throws Error when no step is valid.
Tensor masked_mse(const Tensor& x, const Tensor& target, const Lengths& lengths);
/// bool [T,N,1]: true at the valid steps.
Tensor length_mask(const Lengths& lengths, std::int64_t T, std::int64_t N, Device device = {});

}  // namespace unroll
