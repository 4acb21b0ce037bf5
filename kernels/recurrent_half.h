// LSTM and GRU with float16 or bfloat16 storage, for GPUs alone: forward pass, pullback and
// pushforward of the plain cells.
//
//   sim::lstm_half_forward<Bfloat16>(shape, {{.x = x, .w_ih = w_ih, .w_hh = w_hh, .h = h,
//                                             .scratch = scratch}, .c = c});
//
// All is as in kernels/lstm.h and kernels/gru.h, except for the types. Inputs, weights and the
// states h are Stored: Float16 or Bfloat16, which h is rounded to in every step. Products are
// summed in float, and biases, c, the gates that are saved, all results of the pullback and all
// tangents are float; the sizes count floats. Shapes have no option, and no tensor of the library
// comes here: the callers are tests and benchmarks.
#pragma once

#include "core/half.h"
#include "kernels/backends.h"
#include "kernels/gru.h"
#include "kernels/lstm.h"

namespace unroll {

template <class Stored>
struct GruForwardHalf {
  const Stored* x;              // [T,N,I]
  const Stored* w_ih;           // [gates H,I]
  const Stored* w_hh;           // [gates H,H]
  const float* b_ih = nullptr;  // [gates H], or null for zero
  const float* b_hh = nullptr;  // [gates H], or null for zero
  Stored* h;                    // [T+1,N,H], rows h_stride apart; h[0] is read, h[1..T] written
  Stored* y = nullptr;          // [T,N,H] in time, rows y_stride apart, or null if not wanted
  std::int64_t y_stride = 0;    // 0 means H
  Stored* h_n = nullptr;        // [N,H], or null if not wanted
  float* saved = nullptr;       // gru_half_sizes().saved, or null in inference
  float* scratch;               // gru_half_sizes().forward_scratch
};

template <class Stored>
struct LstmForwardHalf : GruForwardHalf<Stored> {
  float* c;              // [T+1,N,H]; c[0] is read, c[1..T] written
  float* c_n = nullptr;  // [N,H], or null if not wanted
};

template <class Stored>
struct GruPullbackHalf {
  const Stored* x = nullptr;     // [T,N,I]; may be null if dw_ih is
  const Stored* w_ih = nullptr;  // [gates H,I]; may be null if dx is
  const Stored* w_hh;            // [gates H,H]
  const Stored* h = nullptr;     // [T+1,N,H], rows h_stride apart
  const float* saved;            // as the forward pass left it

  const Stored* dy = nullptr;   // [K,T,N,H], rows dy_stride apart: cotangent of y
  std::int64_t dy_stride = 0;   // 0 means H
  const float* dh_n = nullptr;  // [K,N,H]

  float* dx = nullptr;     // [K,T,N,I]
  float* dh0 = nullptr;    // [K,N,H]
  float* dw_ih = nullptr;  // [K,gates H,I]
  float* dw_hh = nullptr;  // [K,gates H,H]
  float* db_ih = nullptr;  // [K,gates H]
  float* db_hh = nullptr;  // [K,gates H]
  float beta_dx = 0, beta_dh0 = 0;
  float beta_dw_ih = 0, beta_dw_hh = 0, beta_db_ih = 0, beta_db_hh = 0;

  float* scratch;  // gru_half_sizes().pullback_scratch
};

template <class Stored>
struct LstmPullbackHalf : GruPullbackHalf<Stored> {
  const float* c;               // [T+1,N,H]
  const float* dc_n = nullptr;  // [K,N,H]
  float* dc0 = nullptr;         // [K,N,H]
  float beta_dc0 = 0;
};

template <class Stored>
struct GruPushforwardHalf {
  const Stored* x = nullptr;     // [T,N,I]; may be null if dw_ih is
  const Stored* w_ih = nullptr;  // [gates H,I]; may be null if dx is
  const Stored* w_hh;            // [gates H,H]
  const Stored* h = nullptr;     // [T+1,N,H], rows h_stride apart; of an LSTM null if dw_hh is
  const float* saved;            // as the forward pass left it

  const float* dx = nullptr;     // [K,T,N,I]
  const float* dh0 = nullptr;    // [K,N,H]
  const float* dw_ih = nullptr;  // [K,gates H,I]
  const float* dw_hh = nullptr;  // [K,gates H,H]
  const float* db_ih = nullptr;  // [K,gates H]
  const float* db_hh = nullptr;  // [K,gates H]

  float* dy = nullptr;         // [K,T,N,H], rows dy_stride apart: tangent of y
  std::int64_t dy_stride = 0;  // 0 means H
  float* dh_n = nullptr;       // [K,N,H]

  float* scratch;  // gru_half_sizes().pushforward_scratch
};

template <class Stored>
struct LstmPushforwardHalf : GruPushforwardHalf<Stored> {
  const float* c;              // [T+1,N,H]
  const float* dc0 = nullptr;  // [K,N,H]
  float* dc_n = nullptr;       // [K,N,H]
};

UNROLL_ON_GPU_SHAPE(lstm_half_sizes, LstmSizes, LstmShape)
UNROLL_ON_GPU(lstm_half_forward, void, LstmShape, LstmForwardHalf)
UNROLL_ON_GPU(lstm_half_pullback, void, LstmShape, LstmPullbackHalf)
UNROLL_ON_GPU(lstm_half_pushforward, void, LstmShape, LstmPushforwardHalf)
UNROLL_ON_GPU_SHAPE(gru_half_sizes, GruSizes, GruShape)
UNROLL_ON_GPU(gru_half_forward, void, GruShape, GruForwardHalf)
UNROLL_ON_GPU(gru_half_pullback, void, GruShape, GruPullbackHalf)
UNROLL_ON_GPU(gru_half_pushforward, void, GruShape, GruPushforwardHalf)

}  // namespace unroll
