/* The C interface of unroll: tensors, parameters, layers, models, the tape, optimisers and
 * inversion.
 *
 *   unroll_tensor *x, *y;
 *   int64_t shape[] = {24, 1, 2};
 *   if (unroll_tensor_wrap(data, UNROLL_FLOAT32, 3, shape, NULL, 0, NULL, NULL, &x) ||
 *       unroll_layer_forward(lstm, x, NULL, 0, NULL, NULL, &y, NULL, NULL))
 *     puts(unroll_last_error());
 *
 * Every function that can fail returns a status, 0 for success, and then writes nothing to its
 * results; no exception leaves the library. Handles are opaque and owned by whoever
 * got them: each has one release function, which takes NULL as well. What a handle needs lives as
 * long as it does, in whichever order handles are released: a layer keeps its parameters, a view
 * its memory, a tape what it recorded.
 *
 * Handles may be used by any thread, one thread at a time, but a tape belongs to the thread that
 * began it, and only records what that thread computes. Strings are UTF-8. `out` is never NULL
 * unless stated.
 *
 * The interface only grows within one UNROLL_ABI_VERSION.
 */
#ifndef UNROLL_UNROLL_H_
#define UNROLL_UNROLL_H_

#include <stdint.h>

#ifdef __GNUC__
#define UNROLL_C_API __attribute__((visibility("default")))
#else
#define UNROLL_C_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/** Version of this interface: a program compiled against one runs with libraries of the same. */
#define UNROLL_ABI_VERSION 1

/** What a function returns. */
typedef enum unroll_status {
  UNROLL_OK = 0,
  UNROLL_ERROR = 1,         /**< an argument, a shape or a file is not as it must be */
  UNROLL_OUT_OF_MEMORY = 2, /**< there is no memory for what was asked */
  UNROLL_INTERNAL = 3       /**< a defect of the library: please report it */
} unroll_status;

/** Types of elements. The numbers never change. Functions take them as int, which may hold
 * anything. */
typedef enum unroll_dtype {
  UNROLL_FLOAT32 = 0,
  UNROLL_FLOAT64 = 1,
  UNROLL_INT64 = 2,
  UNROLL_BOOL = 3 /**< a byte, 0 or 1 */
} unroll_dtype;

/** A strided array: a handle. */
typedef struct unroll_tensor unroll_tensor;
/** Random numbers: a handle. */
typedef struct unroll_random unroll_random;
/** Named tensors and their gradients: a handle. */
typedef struct unroll_parameters unroll_parameters;
/** A layer: a handle. */
typedef struct unroll_layer unroll_layer;
/** A reconstruction model: a handle. */
typedef struct unroll_model unroll_model;
/** An optimiser: a handle. */
typedef struct unroll_optimizer unroll_optimizer;
/** A live tape: a handle. */
typedef struct unroll_tape unroll_tape;

/** A named setting. A name that the function does not know is an error that lists those it does. */
typedef struct unroll_option {
  const char* name; /**< as the function knows it */
  double value;     /**< for switches: 0 or 1 */
} unroll_option;

/* ---- the library ---- */

/** UNROLL_ABI_VERSION of the library that runs; compare it with the macro. */
UNROLL_C_API int unroll_abi_version(void);
/** Version of the library: "0.1.0". */
UNROLL_C_API const char* unroll_version(void);
/** What this thread's last failed call said, one line; "" before the first. Valid until the next
 * call that fails in this thread. Long messages are cut. */
UNROLL_C_API const char* unroll_last_error(void);
/** Threads that one operation may use. Results do not depend on it. */
UNROLL_C_API unroll_status unroll_set_num_threads(int count);

/* ---- tensors: strided arrays of at most 8 axes, the last one changing fastest ---- */

/** A new tensor of zeros. */
UNROLL_C_API unroll_status unroll_tensor_create(int dtype, int rank, const int64_t* shape,
                                                unroll_tensor** out);
/** A tensor over the caller's memory, without a copy. `data` is the first element, on a multiple of
 * the element's size; `strides`, in elements and not negative, may be NULL for row-major. With
 * `read_only` the library never writes. `release(context)` runs once, in any thread, when neither
 * handles nor tapes need the memory any more; it may be NULL, and does not run where this call
 * fails. */
UNROLL_C_API unroll_status unroll_tensor_wrap(void* data, int dtype, int rank, const int64_t* shape,
                                              const int64_t* strides, int read_only,
                                              void (*release)(void* context), void* context,
                                              unroll_tensor** out);
/** A fresh row-major copy in another type, or the same. */
UNROLL_C_API unroll_status unroll_tensor_copy(const unroll_tensor* tensor, int dtype,
                                              unroll_tensor** out);
/** Another tensor over the same elements. To a tape it is not `tensor`, so that derivatives with
 * respect to one are not those of the other; and its data stays where it is: parameters move when
 * others are added. As long as it lives, the elements may be written through an address that was
 * got before: without one, ask unroll_tensor_mutable_data for it again after each call that reads
 * them.
 */
UNROLL_C_API unroll_status unroll_tensor_alias(const unroll_tensor* tensor, unroll_tensor** out);
/** Lets go of the handle; NULL is fine. */
UNROLL_C_API void unroll_tensor_release(unroll_tensor* tensor);

/** Type of the elements. */
UNROLL_C_API unroll_dtype unroll_tensor_dtype(const unroll_tensor* tensor);
/** Number of axes. */
UNROLL_C_API int unroll_tensor_rank(const unroll_tensor* tensor);
/** Sizes of the axes, valid as long as the handle. */
UNROLL_C_API const int64_t* unroll_tensor_shape(const unroll_tensor* tensor);
/** Steps along the axes, in elements, valid as long as the handle. */
UNROLL_C_API const int64_t* unroll_tensor_strides(const unroll_tensor* tensor);
/** Product of the sizes. */
UNROLL_C_API int64_t unroll_tensor_numel(const unroll_tensor* tensor);
/** Whether its memory may not be written: 1 or 0. */
UNROLL_C_API int unroll_tensor_is_read_only(const unroll_tensor* tensor);
/** The first element, for reading. */
UNROLL_C_API const void* unroll_tensor_data(const unroll_tensor* tensor);
/** The first element, for writing now: a tape that still needs the old elements will refuse to
 * sweep. Fails for read-only memory. */
UNROLL_C_API unroll_status unroll_tensor_mutable_data(unroll_tensor* tensor, void** out);
/** Copies the elements of `source`, of the same shape, converting the type. */
UNROLL_C_API unroll_status unroll_tensor_assign(unroll_tensor* tensor, const unroll_tensor* source);

/* ---- DLPack (https://dmlc.github.io/dlpack): exchange without a copy, on the CPU ---- */

struct DLManagedTensor;
struct DLManagedTensorVersioned;

/** The caller runs the result's deleter once. It has no flags: read-only tensors are refused. */
UNROLL_C_API unroll_status unroll_tensor_to_dlpack(const unroll_tensor* tensor,
                                                   struct DLManagedTensor** out);
/** The same with flags and version 1.0; read-only tensors are marked so. */
UNROLL_C_API unroll_status unroll_tensor_to_dlpack_versioned(const unroll_tensor* tensor,
                                                             struct DLManagedTensorVersioned** out);
/** On success the tensor owns `managed` and runs its deleter; on failure it stays the caller's. */
UNROLL_C_API unroll_status unroll_tensor_from_dlpack(struct DLManagedTensor* managed,
                                                     unroll_tensor** out);
UNROLL_C_API unroll_status
unroll_tensor_from_dlpack_versioned(struct DLManagedTensorVersioned* managed, unroll_tensor** out);

/* ---- operations, recorded by every tape of the thread ---- */

/** One operation by its name, in float32 or float64:
 *   of one tensor: neg abs square sqrt exp log sin cos tanh sigmoid relu softplus sum mean
 *   of two:        add sub mul div maximum minimum (NumPy's broadcasting), matmul, linear (x,
 *                  weight), mse_loss l1_loss (x, target)
 *   of three:      linear (x, weight, bias)
 * `sum`, `mean` and the losses give rank 0. */
UNROLL_C_API unroll_status unroll_apply(const char* name, const unroll_tensor* const* inputs,
                                        int count, unroll_tensor** out);
/** Mean squared error of x and target [T,N,C] over the valid steps; rank 0. `lengths` [count] holds
 * the steps of each sequence, NULL where all have T. */
UNROLL_C_API unroll_status unroll_masked_mse(const unroll_tensor* x, const unroll_tensor* target,
                                             const int64_t* lengths, int64_t count,
                                             unroll_tensor** out);

/* ---- parameters: named tensors in one flat buffer, with their gradients in another ---- */

/** An empty set in UNROLL_FLOAT32 or UNROLL_FLOAT64. */
UNROLL_C_API unroll_status unroll_parameters_create(int dtype, unroll_parameters** out);
/** Lets go of the handle; NULL is fine. */
UNROLL_C_API void unroll_parameters_release(unroll_parameters* parameters);
/** Adds a parameter of zeros; `out` may be NULL. */
UNROLL_C_API unroll_status unroll_parameters_add(unroll_parameters* parameters, const char* name,
                                                 int rank, const int64_t* shape,
                                                 unroll_tensor** out);
/** Fills parameters from a file: safetensors, npz (name.npz) or sharded safetensors
 * (name.index.json), under PyTorch's names. Parameters whose names begin with `prefix` (NULL: all)
 * are sought in the file by the rest of their name, and each must be there: to load torch.nn.LSTM's
 * state dict into a layer made as "lstm", the prefix is "lstm.". float32 and float64 convert. What
 * else the file holds is ignored. After a failure the parameters are what they were. */
UNROLL_C_API unroll_status unroll_parameters_load(unroll_parameters* parameters, const char* path,
                                                  const char* prefix);
/** Writes all as safetensors; the file appears whole or not at all. */
UNROLL_C_API unroll_status unroll_parameters_save(const unroll_parameters* parameters,
                                                  const char* path);
/** Number of parameters, in order of their making. */
UNROLL_C_API int64_t unroll_parameters_count(const unroll_parameters* parameters);
/** Name of one of them, NULL beyond the last; valid until a parameter is added. */
UNROLL_C_API const char* unroll_parameters_name(const unroll_parameters* parameters, int64_t index);
/** A parameter by name. It shares its elements with the set. */
UNROLL_C_API unroll_status unroll_parameters_get(const unroll_parameters* parameters,
                                                 const char* name, unroll_tensor** out);
/** The gradient of a parameter; shared likewise. */
UNROLL_C_API unroll_status unroll_parameters_gradient(const unroll_parameters* parameters,
                                                      const char* name, unroll_tensor** out);
/** Copies values of the parameter's shape into it, converting float32 and float64. */
UNROLL_C_API unroll_status unroll_parameters_set(unroll_parameters* parameters, const char* name,
                                                 const unroll_tensor* values);
/** All parameters, or all gradients, as one vector, shared with the set until one is added. */
UNROLL_C_API unroll_status unroll_parameters_flat(const unroll_parameters* parameters,
                                                  unroll_tensor** out);
UNROLL_C_API unroll_status unroll_parameters_gradients(const unroll_parameters* parameters,
                                                       unroll_tensor** out);
/** Sets all gradients to zero. */
UNROLL_C_API unroll_status unroll_parameters_zero_gradients(unroll_parameters* parameters);
/** Scales the gradients so that their norm is at most `max_norm`, as PyTorch's clip_grad_norm_;
 * `norm`, which may be NULL, gets the norm before. */
UNROLL_C_API unroll_status unroll_parameters_clip_norm(unroll_parameters* parameters,
                                                       double max_norm, double* norm);
/** Each element of the gradients to [-limit, limit], as PyTorch's clip_grad_value_. */
UNROLL_C_API unroll_status unroll_parameters_clip_value(unroll_parameters* parameters,
                                                        double limit);

/* ---- random numbers: what is drawn is a function of seed, stream and counter alone ---- */

/** `counter`: 0 to begin, or what unroll_random_counter said, to go on from there. */
UNROLL_C_API unroll_status unroll_random_create(uint64_t seed, uint64_t stream, uint64_t counter,
                                                unroll_random** out);
UNROLL_C_API void unroll_random_release(unroll_random* random);
/** Moves with everything that is drawn. */
UNROLL_C_API uint64_t unroll_random_counter(const unroll_random* random);
/** x with elements set to zero with probability p and the others divided by 1 - p. */
UNROLL_C_API unroll_status unroll_dropout(const unroll_tensor* x, double p, unroll_random* random,
                                          unroll_tensor** out);

/* ---- layers, with PyTorch's formulas and parameter names ---- */

/** Registers a layer's parameters, zero, under "prefix."; an empty prefix leaves PyTorch's bare
 * names. Kinds:
 *   "linear"          `hidden` is the size of the output
 *   "rnn_tanh", "rnn_relu", "rnn_identity", "lstm", "gru"
 *   "rnn_tanh_cell", "rnn_relu_cell", "rnn_identity_cell", "lstm_cell", "gru_cell": one step
 *   "multihead"       torch.nn.MultiheadAttention: `inputs` features of q, `hidden` heads
 *   "bahdanau"        vector . tanh(W q + U k): `inputs` features of q, vector [hidden]
 *   "luong_dot", "luong_general", "luong_concat": q . k, q . W k, vector . tanh(W [q; k]), the
 *                     vector [hidden]; the others do not use `hidden`
 * Options with their defaults:
 *   not of bahdanau and luong: bias 1
 *   recurrent layers and cells: clip 0, zoneout_h 0, recurrent_dropout 0 (models/layers.h); LSTM:
 *     zoneout_c 0, coupled 0, proj_size 0, peephole 0, layer_norm 0; GRU: reset_first 0
 *   recurrent layers: num_layers 1, bidirectional 0, batch_first 0, dropout 0 (between layers),
 *     variational 0 (its mask is the same at all steps), recompute 0 (keeps no gates for the
 *     sweeps, each of which runs the forward pass anew: a quarter of the memory in between)
 *   multihead: add_bias_kv 0, add_zero_attn 0, kdim, vdim (inputs), batch_first 0, dropout 0
 *   bahdanau and luong: keys (inputs), the features of k */
UNROLL_C_API unroll_status unroll_layer_create(unroll_parameters* parameters, const char* kind,
                                               const char* prefix, int64_t inputs, int64_t hidden,
                                               const unroll_option* options, int count,
                                               unroll_layer** out);
/** Lets go of the handle; NULL is fine. */
UNROLL_C_API void unroll_layer_release(unroll_layer* layer);
/** Draws the parameters as PyTorch does by default. Options of recurrent layers and cells:
 * orthogonal (0): weight_hh gate by gate; forget_bias (0): added to the LSTM's. */
UNROLL_C_API unroll_status unroll_layer_reset(unroll_layer* layer, uint64_t seed,
                                              const unroll_option* options, int count);
/** From now on dropout acts and zoneout is random, with numbers of `random`, which the layer keeps;
 * NULL: no longer. A new layer does not train. */
UNROLL_C_API unroll_status unroll_layer_train(unroll_layer* layer, unroll_random* random);
/** Runs the layer. Recurrent: x [T,N,inputs], or [N,T,inputs] with batch_first; `lengths`
 * [lengths_count] or NULL; h_0 [L*D,N,P] and c_0 [L*D,N,hidden], for L layers and D directions, or
 * NULL for zero, P being `hidden` or proj_size; y as x and D*P wide, h_n and c_n as h_0 and c_0,
 * after each sequence's last valid step. Cells: x [N,inputs], h_0 and h_n [N,P], c_0 and c_n
 * [N,hidden], no lengths and no y. Linear: x [...,inputs], y [...,hidden], no state. y, h_n and c_n
 * may be NULL where they are not wanted, and are set to NULL where the layer has none. */
UNROLL_C_API unroll_status unroll_layer_forward(const unroll_layer* layer, const unroll_tensor* x,
                                                const int64_t* lengths, int64_t lengths_count,
                                                const unroll_tensor* h_0, const unroll_tensor* c_0,
                                                unroll_tensor** y, unroll_tensor** h_n,
                                                unroll_tensor** c_n);
/** Runs an attention layer: q [L,N,*], k [S,N,*], v [S,N,*], or with N first for a multihead with
 * batch_first; the context as q. Each of these keeps queries from keys, and may be NULL:
 *   mask              bool, true: ignored, or real, added to the scores. multihead: [L,S] or
 *                     [N*heads,L,S]; else what broadcasts to [N,1,L,S]
 *   key_padding_mask  multihead: bool [N,S], true: ignored
 *   key_lengths       [N]: keys behind them are never read
 * Options: causal (0): query i sees the keys 0..i; multihead: average_weights (1): over the heads;
 * else scale of the scores (1). `weights`, NULL where they are not wanted: [N,L,S], or
 * [N,heads,L,S] where they are not averaged. `context` may be NULL too. */
UNROLL_C_API unroll_status unroll_layer_attend(
    const unroll_layer* layer, const unroll_tensor* q, const unroll_tensor* k,
    const unroll_tensor* v, const unroll_tensor* mask, const unroll_tensor* key_padding_mask,
    const int64_t* key_lengths, int64_t key_lengths_count, const unroll_option* options, int count,
    unroll_tensor** context, unroll_tensor** weights);
/** softmax(scale q k^T + mask) v of q [B,Hq,L,D], k [B,Hk,S,D], v [B,Hk,S,Dv]: context
 * [B,Hq,L,Dv], weights (or NULL) [B,Hq,L,S]. Query head h reads key head h / (Hq / Hk). As in
 * PyTorch's function of this name, and unlike the layers, a bool `mask` is true where a query MAY
 * attend; it broadcasts to the scores. `key_lengths` [B] or NULL. Options: causal (0), scale
 * (1 / sqrt(D)). */
UNROLL_C_API unroll_status unroll_scaled_dot_product_attention(
    const unroll_tensor* q, const unroll_tensor* k, const unroll_tensor* v,
    const unroll_tensor* mask, const int64_t* key_lengths, int64_t key_lengths_count,
    const unroll_option* options, int count, unroll_tensor** context, unroll_tensor** weights);

/* ---- the reconstruction models ---- */

/** A model, its parameters drawn from `seed`. `kind` is a name of the command line's --model
 * ("autoencoder", "decoder", "attention"); `cell` is "tanh", "relu", "linear", "lstm", "gru" or
 * NULL for the kind's default. Options: code (hidden), orthogonal (0), forget_bias (0). */
UNROLL_C_API unroll_status unroll_model_create(const char* kind, const char* cell, int dtype,
                                               int64_t inputs, int64_t hidden, uint64_t seed,
                                               const unroll_option* options, int count,
                                               unroll_model** out);
/** The model that `unroll train --out directory` left, with its best parameters. */
UNROLL_C_API unroll_status unroll_model_open(const char* directory, unroll_model** out);
/** Lets go of the handle; NULL is fine. */
UNROLL_C_API void unroll_model_release(unroll_model* model);
/** A handle to the model's parameters. */
UNROLL_C_API unroll_status unroll_model_parameters(const unroll_model* model,
                                                   unroll_parameters** out);
/** Steps of the windows it was trained on; 0 for a model that was not opened from a run. */
UNROLL_C_API int64_t unroll_model_window(const unroll_model* model);
/** Name of a column of the series, NULL beyond the last; valid as long as the handle. */
UNROLL_C_API const char* unroll_model_column(const unroll_model* model, int64_t index);
/** From the series' own units [...,C] to the model's, and back. Not recorded. Fail for a model that
 * was not opened from a run. */
UNROLL_C_API unroll_status unroll_model_standardize(const unroll_model* model,
                                                    const unroll_tensor* x, unroll_tensor** out);
UNROLL_C_API unroll_status unroll_model_restore(const unroll_model* model, const unroll_tensor* x,
                                                unroll_tensor** out);
/** The reconstruction of x [T,N,C] in the model's units; one step for "autoencoder-last". */
UNROLL_C_API unroll_status unroll_model_forward(const unroll_model* model, const unroll_tensor* x,
                                                const int64_t* lengths, int64_t lengths_count,
                                                unroll_tensor** out);
/** Mean squared error of the reconstruction over the valid steps; rank 0. */
UNROLL_C_API unroll_status unroll_model_loss(const unroll_model* model, const unroll_tensor* x,
                                             const int64_t* lengths, int64_t lengths_count,
                                             unroll_tensor** out);

/* ---- the tape: derivatives of what its thread computes between begin and end ---- */

/** Begins a tape of the calling thread, which sees all that the thread computes. */
UNROLL_C_API unroll_status unroll_tape_begin(unroll_tape** out);
/** Ends and frees it. Fails, leaving it alive, in another thread than the one that began it. */
UNROLL_C_API unroll_status unroll_tape_end(unroll_tape* tape);
/** u^T J for each of `xs`, summed over the `ys` with their cotangents `us` (NULL: zero). A
 * cotangent has its y's shape, or all have a leading axis of K directions, as then the results.
 * Repeatable. Fails where a y was not made, or an x never appeared, under the tape. */
UNROLL_C_API unroll_status unroll_tape_pull(unroll_tape* tape, const unroll_tensor* const* ys,
                                            const unroll_tensor* const* us, int ys_count,
                                            const unroll_tensor* const* xs, int xs_count,
                                            unroll_tensor** outs);
/** The same with respect to all parameters: [P], or [K,P]. */
UNROLL_C_API unroll_status unroll_tape_pull_parameters(unroll_tape* tape, const unroll_tensor* y,
                                                       const unroll_tensor* u,
                                                       const unroll_parameters* parameters,
                                                       unroll_tensor** out);
/** J v for each of `ys`: tangents `vs` of the `xs` (NULL: zero), with or without a leading K. */
UNROLL_C_API unroll_status unroll_tape_push(unroll_tape* tape, const unroll_tensor* const* xs,
                                            const unroll_tensor* const* vs, int xs_count,
                                            const unroll_tensor* const* ys, int ys_count,
                                            unroll_tensor** outs);
/** Adds the gradient of a loss of one element into the flat gradients, and uses up the tape: all
 * that is left to do with it is to end it. */
UNROLL_C_API unroll_status unroll_tape_backward(unroll_tape* tape, const unroll_tensor* loss,
                                                unroll_parameters* parameters);

/* ---- optimisers, PyTorch's update rules ---- */

/** Made when all parameters are there. Kinds and options with their defaults:
 *   "sgd":      lr 1e-3, momentum 0, dampening 0, nesterov 0
 *   "adam":     lr 1e-3, beta1 0.9, beta2 0.999, eps 1e-8, amsgrad 0
 *   "adamw":    as adam, with a decoupled weight_decay of 0.01
 *   "nadam":    lr 2e-3, betas and eps as adam, momentum_decay 4e-3, momentum_twice 0 (1: as
 *               PyTorch 1 had it)
 *   "radam":    lr, betas and eps as adam
 *   "rmsprop":  lr 1e-2, alpha 0.99, eps 1e-8, momentum 0, centered 0
 *   "adagrad":  lr 1e-2, lr_decay 0, eps 1e-10, initial_accumulator_value 0
 *   "adadelta": lr 1, rho 0.9, eps 1e-6
 * and of all: weight_decay 0, maximize 0. */
UNROLL_C_API unroll_status unroll_optimizer_create(unroll_parameters* parameters, const char* kind,
                                                   const unroll_option* options, int count,
                                                   unroll_optimizer** out);
/** Parameters whose names begin with `prefix`: their options are those of the optimiser, but for
 * these. */
typedef struct unroll_group {
  const char* prefix;           /**< as in "head." */
  const unroll_option* options; /**< those that differ */
  int count;                    /**< of the options */
} unroll_group;
/** The same with groups. A parameter belongs to the first that holds it; a group that holds none is
 * an error. */
UNROLL_C_API unroll_status unroll_optimizer_create_with_groups(
    unroll_parameters* parameters, const char* kind, const unroll_option* options, int count,
    const unroll_group* groups, int group_count, unroll_optimizer** out);
UNROLL_C_API void unroll_optimizer_release(unroll_optimizer* optimizer);
/** One update from the gradients; `lr`, where it is not NULL, replaces the option's rate, and the
 * groups' rates change in proportion. */
UNROLL_C_API unroll_status unroll_optimizer_step(unroll_optimizer* optimizer, const double* lr);
/** What the optimiser remembers, as safetensors; the file appears whole or not at all. */
UNROLL_C_API unroll_status unroll_optimizer_save(const unroll_optimizer* optimizer,
                                                 const char* path);
/** Goes on from what an optimiser of the same kind, groups and parameters saved. A failure changes
 * nothing. */
UNROLL_C_API unroll_status unroll_optimizer_load(unroll_optimizer* optimizer, const char* path);
/** A whole step: gradients of the model's loss over x, clipped to the norm `clip` (0: not), and one
 * update. The optimiser must be of the model's parameters. `lr` as above; `loss` and `norm` (before
 * clipping) may be NULL. Fails, changing no parameter, where one of them is not finite. */
UNROLL_C_API unroll_status unroll_train_step(const unroll_model* model, unroll_optimizer* optimizer,
                                             const unroll_tensor* x, const int64_t* lengths,
                                             int64_t lengths_count, const double* lr, double clip,
                                             double* loss, double* norm);

/* ---- learning rates as functions of the step, PyTorch's in closed form ---- */

/** The rate of update `step`, 0 being the first. Kinds and options, those without a default to be
 * given (autograd/schedules.h has the formulas):
 *   "cosine":             lr, steps, final_fraction 0
 *   "step":               lr, every, gamma 0.1
 *   "multi_step":         lr, milestone (as often as there are milestones), gamma 0.1
 *   "exponential":        lr, gamma
 *   "linear":             lr, start 1/3, end 1, steps 5
 *   "polynomial":         lr, steps 5, power 1
 *   "cosine_annealing":   lr, half_period, lowest 0
 *   "cosine_restarts":    lr, period, growth 1, lowest 0
 *   "one_cycle", "one_cycle_linear": max_lr, steps, rise 0.3, divisor 25, final_divisor 1e4,
 *                         three_phase 0
 *   "cyclic", "cyclic2", "cyclic_exponential": lr, max_lr, up 2000, down 0 (as up); the last
 *                         gamma 1 */
UNROLL_C_API unroll_status unroll_schedule_rate(const char* kind, const unroll_option* options,
                                                int count, int64_t step, double* out);
/** ReduceLROnPlateau between two reports. It starts as {lr, NAN, 0, 0}. */
typedef struct unroll_plateau {
  double lr;       /**< the rate from now on */
  double best;     /**< loss so far; NaN: none was reported */
  int64_t bad;     /**< reports in a row that were no better */
  int64_t cooling; /**< reports that will not be counted */
} unroll_plateau;
/** Takes a loss. Options: factor 0.1, patience 10, cooldown 0, threshold 1e-4, relative 1,
 * maximize 0, lowest 0, eps 1e-8. */
UNROLL_C_API unroll_status unroll_plateau_report(unroll_plateau* state, double loss,
                                                 const unroll_option* options, int count);

#ifdef __cplusplus
}
#endif

#endif
