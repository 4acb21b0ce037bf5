// The input of a PyTorch LSTM from its outputs: weights and outputs are files that PyTorch wrote.
#include <algorithm>
#include <cmath>
#include <cstdio>

#include <unroll/inversion/invert.h>
#include <unroll/io/npy.h>

int main() {
  using namespace unroll;
  const std::string run = "examples/data/pytorch/lstm";
  const Encoder encoder = Encoder::load(run + ".safetensors");
  Observation seen = observation("all");
  seen.dtype = Dtype::float32;  // PyTorch ran in float32
  const Inversion found = invert(encoder, read_npy(run + "_y32.npy"), seen);
  std::printf("%s: %s, error at most %.1e\n", encoder.describe().c_str(), name(found.verdict()),
              found.error_bound());

  const Tensor x = cast_copy(read_npy(run + "_x.npy"), Dtype::float64);  // what it was
  double error = 0;
  for (std::int64_t i = 0; i < x.numel(); i++)
    error = std::max(error, std::abs(found.x.data<double>()[i] - x.data<double>()[i]));
  std::printf("true error %.1e\n", error);
  return found.verdict() == Verdict::recovered && error <= found.error_bound() ? 0 : 1;
}
