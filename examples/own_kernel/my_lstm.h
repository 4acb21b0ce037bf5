// Your own LSTM forward: the loops of the definition, as a place to start from. The contract is
// that of kernels/lstm.h, as far as bench/own_kernel.h says.
#pragma once

#include <numeric>

#include <unroll/kernels/lstm.h>

inline void my_lstm_forward(const unroll::LstmShape& s, const unroll::LstmForward<float>& p) {
  using Math = unroll::ScalarCell<float>;
  const auto dot = [](std::int64_t count, const float* a, const float* b) {
    return std::inner_product(a, a + count, b, 0.0f);
  };
  for (std::int64_t row = 0; row < s.T * s.N; row++) {  // step row / N, sequence row % N
    const float *x = p.x + row * s.I, *h = p.h + row * s.H, *c = p.c + row * s.H;
    for (std::int64_t unit = 0; unit < s.H; unit++) {
      const auto gate = [&](std::int64_t k) {
        const std::int64_t r = k * s.H + unit;
        return dot(s.I, p.w_ih + r * s.I, x) + p.b_ih[r] + dot(s.H, p.w_hh + r * s.H, h) +
               p.b_hh[r];
      };
      const auto gates = unroll::lstm_activate<Math>({gate(0), gate(1), gate(2), gate(3)});
      const std::int64_t next = (row + s.N) * s.H + unit;
      p.c[next] = unroll::lstm_cell<Math>(gates, c[unit]);
      p.h[next] = unroll::lstm_output<Math>(gates.o, p.c[next]);
    }
  }
}
