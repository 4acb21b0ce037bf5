// docs/guide.md: files.

// [start]
#include <unroll/io/csv.h>
#include <unroll/io/npy.h>
#include <unroll/io/npz.h>
#include <unroll/io/safetensors.h>
// [end]
#include <unroll/autograd/ops.h>
#include <unroll/core/view.h>

#include <cstdio>
#include <fstream>

using namespace unroll;

int main() {
  // [numpy]
  write_npy("x.npy", reshape(arange(6, Dtype::float64), {2, 3}));
  write_npz("both.npz", {{"x", read_npy("x.npy")}, {"count", arange(3)}});

  const Tensor x = read_npy("x.npy");
  const Tensor count = read_npz("both.npz", "count");
  // [end]

  // [safetensors]
  write_safetensors("some.safetensors",
                    {.tensors = {{"x", x}, {"half", to(x, Dtype::float16)}}, .metadata = {}});
  const Tensor half = to(read_safetensors("some.safetensors", "half"), Dtype::float64);
  // [end]

  // [csv]
  std::ofstream("weather.csv") << "day,rain,wind\n1,0.5,4\n2,,3\n3,2.5,1\n";

  const CsvTable rows = read_csv("weather.csv", {.columns = {"rain"}, .missing = Missing::drop});
  const Tensor rain = select(rows.values, 1, 0);
  // [end]

  const bool right = sum(x).item() == 15 && sum(half).item() == 15 && count.item({2}) == 2 &&
                     sum(rain).item() == 3 && rain.numel() == 2;
  if (!right) std::printf("the files came back otherwise\n");
  return !right;
}
