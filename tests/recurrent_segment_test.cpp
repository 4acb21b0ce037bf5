// Segments of a run against the whole, by the LSTM's kernel: the contract in kernels/recurrent.h.
#include <gtest/gtest.h>

#include <cmath>

#include "core/lengths.h"
#include "core/view.h"
#include "kernels/lstm.h"
#include "tests/testing.h"

namespace unroll::testing {
namespace {

struct States {
  Tensor h, c, y;
};

struct Operands {
  Tensor x, w_ih, w_hh;
};

// Steps [first, end) from the states `before` (h and c [N,H], y [T,N,H]); nan where nothing is
// written.
States segment(LstmShape shape, std::int64_t first, std::int64_t end, const Operands& in,
               const States& before) {
  const auto states = [&](const Tensor& from) {
    Tensor all = full({end - first + 1, shape.N, shape.H}, std::nan(""), Dtype::float64);
    Tensor to = view::select(all, 0, 0);
    copy_into(to, from);
    return all;
  };
  States s{states(before.h), states(before.c), contiguous_copy(before.y)};
  shape.first_step = first;
  shape.segment = end - first;
  Tensor scratch = empty({cpu::lstm_sizes<double>(shape).forward_scratch}, Dtype::float64);
  cpu::lstm_forward<double>(shape, {.x = in.x.data<double>(),
                                    .w_ih = in.w_ih.data<double>(),
                                    .w_hh = in.w_hh.data<double>(),
                                    .h = s.h.mutable_data<double>(),
                                    .c = s.c.mutable_data<double>(),
                                    .y = s.y.mutable_data<double>(),
                                    .scratch = scratch.mutable_data<double>()});
  return s;
}

// One after the other, they leave what the whole run does; y is written where its steps lie.
TEST(RecurrentSegment, IsAPartOfTheRun) {
  const std::int64_t T = 7, N = 3, I = 2, H = 5, cut = 3;
  const Lengths lengths{7, 2, 4};
  const Operands in{random_normal({T, N, I}, 1), random_normal({4 * H, I}, 3, 0.5),
                    random_normal({4 * H, H}, 4, 0.5)};
  const Tensor start = random_normal({N, H}, 2);
  const States fresh{start, start, full({T, N, H}, std::nan(""), Dtype::float64)};
  for (const bool general : {false, true})
    for (const bool reverse : {false, true}) {
      LstmShape shape;
      shape.T = T, shape.N = N, shape.I = I, shape.H = H;
      shape.lengths = lengths.view("test", T, N);
      shape.reverse = reverse;
      shape.options.general = general;
      const States whole = segment(shape, 0, T, in, fresh);
      const States a = segment(shape, 0, cut, in, fresh);
      const States b =
          segment(shape, cut, T, in, {view::select(a.h, 0, cut), view::select(a.c, 0, cut), a.y});
      EXPECT_TRUE(same_bits(b.y, whole.y));
      EXPECT_TRUE(same_bits(a.h, contiguous_copy(view::slice(whole.h, 0, 0, cut + 1))));
      EXPECT_TRUE(same_bits(b.h, contiguous_copy(view::slice(whole.h, 0, cut, T + 1))));
      EXPECT_TRUE(same_bits(b.c, contiguous_copy(view::slice(whole.c, 0, cut, T + 1))));
    }
}

}  // namespace
}  // namespace unroll::testing
