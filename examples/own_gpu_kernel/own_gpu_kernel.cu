// Your own LSTM forward on a GPU, beside ours and cuDNN's: checked against float64, then timed.
//
//   build/examples/own_gpu_kernel --op lstm --pass forward --dtype float32 --lengths full
//   build/examples/own_gpu_kernel_sim --op lstm           # the same file, without a GPU
//
// The kernel is a place to start from: a thread for each hidden unit of each sequence, a launch for
// each step. The contract is that of kernels/lstm.h, as far as bench/cudnn/contender.h says.
#include "bench/cudnn/beside_cudnn.h"
#include "cuda/backend.h"

namespace {

using namespace unroll;

__device__ float dot(std::int64_t count, const float* a, const float* b) {
  float sum = 0;
  for (std::int64_t i = 0; i < count; i++) sum = std::fma(a[i], b[i], sum);
  return sum;
}

__global__ void step_kernel(LstmShape s, LstmForward<float> p, std::int64_t t) {
  using Math = ScalarCell<float>;
  const std::int64_t at = std::int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (at >= s.N * s.H) return;
  const std::int64_t n = at / s.H, unit = at % s.H, before = t * s.N * s.H;
  const float *const x = p.x + (t * s.N + n) * s.I, *const h = p.h + before + n * s.H;
  const auto gate = [&](std::int64_t k) {
    const std::int64_t r = k * s.H + unit;
    return dot(s.I, p.w_ih + r * s.I, x) + p.b_ih[r] + dot(s.H, p.w_hh + r * s.H, h) + p.b_hh[r];
  };
  const auto gates = lstm_activate<Math>({gate(0), gate(1), gate(2), gate(3)});
  const float c = lstm_cell<Math>(gates, p.c[before + at]);
  const std::int64_t next = before + s.N * s.H + at;
  p.c[next] = c;
  p.h[next] = lstm_output<Math>(gates.o, c);
  if (t + 1 < s.T) return;
  p.c_n[at] = c;
  p.h_n[at] = p.h[next];
}

void my_lstm_forward(const LstmShape& s, const LstmForward<float>& p) {
  for (std::int64_t t = 0; t < s.T; t++)
    launch(step_kernel,
           {.name = "my_lstm_step",
            .grid = UNROLL_GPU::blocks_of(s.N * s.H, 128),
            .block = 128,
            .stream = UNROLL_GPU::current_stream()},
           s, p, t);
}

}  // namespace

int main(int argc, char** argv) {
  const Device here = {DeviceKind::UNROLL_GPU};  // cuda by nvcc, else sim
  return bench::beside_cudnn(
      argc, argv, {bench::lstm_forward_contender("my_lstm_forward", my_lstm_forward)}, here);
}
