/* The input of a recurrent network from its outputs, in C: unroll.h's rules hold here too.
 *
 *   unroll_encoder* encoder;
 *   unroll_inversion* found;
 *   if (unroll_encoder_load("lstm.safetensors", NULL, NULL, &encoder) ||
 *       unroll_invert(encoder, y, NULL, 0, NULL, 0, NULL, NULL, NULL, 0, &found))
 *     puts(unroll_last_error());
 *   else
 *     puts(unroll_inversion_verdict(found));
 *
 * What the verdicts mean: docs/inversion.md.
 */
#ifndef UNROLL_UNROLL_INVERSION_H_
#define UNROLL_UNROLL_INVERSION_H_

#include "unroll.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A recurrent network whose input is sought: a handle. */
typedef struct unroll_encoder unroll_encoder;
/** An input that was found, and what that is worth: a handle. */
typedef struct unroll_inversion unroll_inversion;
/** Whether outputs determine an input: a handle. */
typedef struct unroll_identifiability unroll_identifiability;

/* ---- encoders ---- */

/** From *.safetensors, *.index.json or *.npz with the weights of a torch.nn.RNN, LSTM or GRU. The
 * cell and the sizes follow from the tensors. `prefix` of the names ("encoder.rnn."); NULL where
 * there is one such layer: it is found. `cell` is "tanh", "relu", "linear", "lstm", "gru", or NULL,
 * where an RNN is taken for one with tanh. */
UNROLL_C_API unroll_status unroll_encoder_load(const char* path, const char* prefix,
                                               const char* cell, unroll_encoder** out);
/** The same of `count` tensors and their names. The encoder has copies of them. */
UNROLL_C_API unroll_status unroll_encoder_create(const char* const* names,
                                                 const unroll_tensor* const* tensors, int count,
                                                 const char* prefix, const char* cell,
                                                 unroll_encoder** out);
/** Lets go of the handle; NULL is fine. */
UNROLL_C_API void unroll_encoder_release(unroll_encoder* encoder);
/** One line: "LSTM, 2 layers, I 6, H 24". NULL for NULL; valid as long as the handle. */
UNROLL_C_API const char* unroll_encoder_describe(const unroll_encoder* encoder);
/** "tanh", "relu", "linear", "lstm" or "gru"; NULL for NULL. */
UNROLL_C_API const char* unroll_encoder_cell(const unroll_encoder* encoder);
/** A size by its name: inputs, hidden, layers, directions, projection (0: none), state (the width
 * of h: projection or hidden), output (of a step: directions times state), bias (1 or 0). */
UNROLL_C_API unroll_status unroll_encoder_size(const unroll_encoder* encoder, const char* name,
                                               int64_t* out);
/** Runs it, as unroll_layer_forward: x [T,N,inputs], h_0 [L*D,N,state] and c_0 [L*D,N,hidden] or
 * NULL for zero; y [T,N,output]. In the type of x: weights of another type are rounded first. */
UNROLL_C_API unroll_status unroll_encoder_forward(const unroll_encoder* encoder,
                                                  const unroll_tensor* x, const int64_t* lengths,
                                                  int64_t lengths_count, const unroll_tensor* h_0,
                                                  const unroll_tensor* c_0, unroll_tensor** y,
                                                  unroll_tensor** h_n, unroll_tensor** c_n);

/* ---- the input from the outputs ---- */

/** What was seen of a run, and how exactly. All zero, {0}: every output, from a start of zero,
 * without noise. */
typedef struct unroll_observation {
  /** "all" (as NULL), "every:4" (steps 4, 8, ...), "final" (h of the last layer, of each direction
   * after its own last step), "final-cell" (h and c), "state" (h and c of all layers). */
  const char* outputs;
  const unroll_tensor* readout; /**< C [M,width]: C times the outputs was seen; NULL: themselves */
  int unknown_start;            /**< 1: h_0 and c_0 are sought too */
  const unroll_tensor* h_0;     /**< [L*D,N,state], N or 1 for all; NULL: zero */
  const unroll_tensor* c_0;     /**< [L*D,N,hidden]; NULL: zero */
  double noise;                 /**< standard deviation of what was added to each number */
  /** "float64", "float32", "float16" or "bfloat16": in which the run was computed and its outputs
   * kept, so how far they are rounded. NULL: as the outputs come; where there are none, float64. */
  const char* dtype;
} unroll_observation;

/** The input from the outputs: of "all" and "every:k" [T,N,width] and [T/k,N,width], else
 * [N,width]; for one sequence N may be left out. It always gives what it found; what that is worth
 * is for the verdict and the bound to say (inversion/invert.h). Not recorded.
 *   seen       NULL: as if all zero
 *   steps      T; 0 where the outputs say it
 *   lengths    [lengths_count] of outputs at all or every step, NULL where all have T steps
 *   start      [T,N,inputs], a guess; or NULL
 *   prior      [count,T,inputs] or [count,unknowns], samples of what is likely, for where facts are
 *              fewer than unknowns; NULL: the standard normal distribution
 * Options: restarts 40, from random starts; seed 1, of those. */
UNROLL_C_API unroll_status unroll_invert(
    const unroll_encoder* encoder, const unroll_tensor* outputs, const unroll_observation* seen,
    int64_t steps, const int64_t* lengths, int64_t lengths_count, const unroll_tensor* start,
    const unroll_tensor* prior, const unroll_option* options, int count, unroll_inversion** out);
/** Lets go of the handle; NULL is fine. */
UNROLL_C_API void unroll_inversion_release(unroll_inversion* inversion);
/** The worst verdict of all sequences: "recovered", "ambiguous" (other inputs give these outputs
 * too), "ill-conditioned" (errors grow beyond use) or "local minimum" (no start reproduced the
 * outputs, which says nothing about whether it can be done). NULL for NULL. */
UNROLL_C_API const char* unroll_inversion_verdict(const unroll_inversion* inversion);
/** The largest bound of all: no number of x is farther from the true one, where the verdict is
 * "recovered". Infinite where one is not determined; NaN for NULL. */
UNROLL_C_API double unroll_inversion_error_bound(const unroll_inversion* inversion);
/** Number of sequences, N; 0 for NULL. */
UNROLL_C_API int64_t unroll_inversion_count(const unroll_inversion* inversion);
/** The input: [T,N,inputs] float64, 0 at padding. Its memory is the handle's own. */
UNROLL_C_API unroll_status unroll_inversion_x(const unroll_inversion* inversion,
                                              unroll_tensor** out);
/** The state at the start, as given or found; NULL: zero. Either place may be NULL. */
UNROLL_C_API unroll_status unroll_inversion_start(const unroll_inversion* inversion,
                                                  unroll_tensor** h_0, unroll_tensor** c_0);
/** Words about a sequence, by name: verdict, reason (one line), method. Valid as long as the
 * handle. */
UNROLL_C_API unroll_status unroll_inversion_text(const unroll_inversion* inversion,
                                                 int64_t sequence, const char* name,
                                                 const char** out);
/** A number of a sequence, by name: error_bound, residual (root mean square of the facts),
 * fact_error (the standard deviation that each fact's error is taken to have), unknowns, facts,
 * rank, condition (of the Jacobian, or the largest gain of a stepwise inversion), and of `other`
 * other_distance (Euclidean, to x) and other_difference (largest, of the facts). */
UNROLL_C_API unroll_status unroll_inversion_number(const unroll_inversion* inversion,
                                                   int64_t sequence, const char* name, double* out);
/** A tensor of a sequence, by name: bound [T,inputs], of each number of x; other [T,inputs],
 * another input with the same facts, NULL where none was found. */
UNROLL_C_API unroll_status unroll_inversion_tensor(const unroll_inversion* inversion,
                                                   int64_t sequence, const char* name,
                                                   unroll_tensor** out);

/* ---- whether there is one ---- */

/** Whether outputs of so many steps determine the input, before anything is inverted: to first
 * order, near the inputs `x` [steps,N,inputs], or near random ones where it is NULL. With x `steps`
 * may be 0. `seen` as in unroll_invert. Options: inputs 3, random ones; scale 1, their standard
 * deviation; seed 1; saturated 1e-2, below which derivative a unit counts as saturated. Not
 * recorded. */
UNROLL_C_API unroll_status unroll_identify(const unroll_encoder* encoder,
                                           const unroll_observation* seen, int64_t steps,
                                           const unroll_tensor* x, const unroll_option* options,
                                           int count, unroll_identifiability** out);
/** Lets go of the handle; NULL is fine. */
UNROLL_C_API void unroll_identifiability_release(unroll_identifiability* answer);
/** One line: "not determined: rank 16 of 20; ...". NULL for NULL; valid as long as the handle. */
UNROLL_C_API const char* unroll_identifiability_verdict(const unroll_identifiability* answer);
/** A number by name: determined (1 or 0), unknowns, facts, rank, condition (infinite below full
 * rank), effective_rank, inverse_radius (of the errors' dynamics read off step by step; NaN where
 * there are none), exact (0: from samples, since the Jacobian is too large), converged (0: the
 * samples do not say), condition_from and condition_to (between which the condition lies). */
UNROLL_C_API unroll_status unroll_identifiability_number(const unroll_identifiability* answer,
                                                         const char* name, double* out);
/** A tensor by name: singular_values, descending; gain [T,inputs], the error of each number for
 * facts off by 1, infinite where it is lost; known [T,inputs], the share of it that the facts fix;
 * saturation [T,L*D], the share of units that hardly depend on anything; lost_steps, int64, those
 * with a number that is lost, from 0. */
UNROLL_C_API unroll_status unroll_identifiability_tensor(const unroll_identifiability* answer,
                                                         const char* name, unroll_tensor** out);
/** What is left of an input whose run was computed and kept in `dtype`, one of "float64",
 * "float32", "float16" and "bfloat16": the error of the facts, the decimal digits of the worst
 * number that is determined at all, and the median of all numbers' digits. Each place may be NULL.
 */
UNROLL_C_API unroll_status unroll_identifiability_digits(const unroll_identifiability* answer,
                                                         const char* dtype, double* error,
                                                         double* worst, double* median);

#ifdef __cplusplus
}
#endif

#endif
