// Luong's dot attention of decoder queries over encoder outputs, with key lengths (Luong, Pham,
// Manning 2015, section 3.1).
//
//   score[n,i,j] = scale q[i,n,:] . keys[j,n,:]      weights = softmax over the valid j context =
//   weights values
//
//   AttentionShape shape{.queries = Tq, .keys = Tk, .batch = N, .key_size = H, .value_size = D,
//   .key_lengths = lengths}; cpu::attention<float>(shape, {.q = q, .keys = s, .values = s, .context
//   = c, .weights = w, .scratch = scratch});
//
// The `general` score q^T W s is this kernel with q W for q. A sequence with no valid key has
// weights, context and all gradients 0. Keys, values and queries beyond their length are never read
// (they may be NaN), and every output there is 0.
//
// All tensors are dense. K directions share one forward pass: cotangents and tangents have a
// leading K. All functions are noexcept, allocate nothing, are safe to call from several threads on
// distinct outputs, and give the same bits for any number of threads.
#pragma once

#include <cstddef>
#include <cstdint>

namespace unroll {

struct AttentionShape {
  std::int64_t queries, keys, batch;  // Tq, Tk, N
  std::int64_t key_size, value_size;  // H, D
  double scale = 1;
  const std::int64_t* key_lengths = nullptr;    // [N], each in 0..Tk; null: all of them
  const std::int64_t* query_lengths = nullptr;  // [N], each in 0..Tq; null: all of them
  std::int64_t directions = 1;                  // K, for the pullback and the pushforward
};

template <class T>
struct AttentionArgs {
  const T* q;       // [Tq,N,H]
  const T* keys;    // [Tk,N,H]
  const T* values;  // [Tk,N,D]; may be keys when H == D
  T* context;       // [Tq,N,D]
  T* weights;       // [N,Tq,Tk]: wanted by the two maps below
  void* scratch;    // attention_scratch(shape) bytes, aligned to 64
};

template <class T>
struct AttentionPull {
  const T *q, *keys, *values, *weights;  // as above
  const T* dcontext;                     // [K,Tq,N,D], or null for 0
  const T* dweights = nullptr;           // [K,N,Tq,Tk], or null for 0
  T* dq;                                 // [K,Tq,N,H], or null where not wanted
  T* dkeys;    // [K,Tk,N,H], or null; when values are the keys, call with two buffers, or with
  T* dvalues;  // [K,Tk,N,D], or null; dvalues == dkeys and beta_values = 1: keys are written first
  void* scratch;  // attention_scratch(shape) bytes, aligned to 64
  double beta_q = 0, beta_keys = 0, beta_values = 0;  // 0 writes, 1 adds
};

template <class T>
struct AttentionPush {
  const T *q, *keys, *values, *weights;  // as above
  const T* tq;                           // [K,Tq,N,H], or null for 0
  const T* tkeys;                        // [K,Tk,N,H], or null for 0
  const T* tvalues;                      // [K,Tk,N,D], or null for 0
  T* tcontext;                           // [K,Tq,N,D], or null where not wanted
  T* tweights = nullptr;                 // [K,N,Tq,Tk], or null where not wanted
  void* scratch;                         // attention_scratch(shape) bytes, aligned to 64
};

namespace cpu {

// Bytes of scratch for any of the three passes, with the calling thread's present number of
// threads. T: float, double.
template <class T>
std::size_t attention_scratch(const AttentionShape&) noexcept;

// q, keys, values to context and weights. T: float, double.
template <class T>
void attention(const AttentionShape&, const AttentionArgs<T>&) noexcept;

// Cotangents of context and weights to those of q, keys and values. T: float, double.
template <class T>
void attention_pull(const AttentionShape&, const AttentionPull<T>&) noexcept;

// Tangents of q, keys and values to those of context and weights. T: float, double.
template <class T>
void attention_push(const AttentionShape&, const AttentionPush<T>&) noexcept;

}  // namespace cpu
}  // namespace unroll
