// The cpu:: functions of the general kernels: each calls the copy for the instruction set in use.
#include "kernels/attention.h"
#include "kernels/copy.h"
#include "kernels/cross_entropy.h"
#include "kernels/dropout.h"
#include "kernels/elementwise.h"
#include "kernels/gather.h"
#include "kernels/isa.h"
#include "kernels/layer_norm.h"
#include "kernels/matmul.h"
#include "kernels/optimizer.h"
#include "kernels/reduction.h"
#include "kernels/scan.h"
#include "kernels/softmax.h"

namespace unroll {

UNROLL_DISPATCH(unary, void, UnaryShape, UnaryArgs)
UNROLL_DISPATCH_FOR(std::int64_t, unary, void, UnaryShape, UnaryArgs)
UNROLL_DISPATCH(binary, void, BinaryShape, BinaryArgs)
UNROLL_DISPATCH_FOR(std::int64_t, binary, void, BinaryShape, BinaryArgs)
UNROLL_DISPATCH(compare, void, CompareShape, CompareArgs)
UNROLL_DISPATCH_FOR(std::int64_t, compare, void, CompareShape, CompareArgs)
UNROLL_DISPATCH_FOR(bool, compare, void, CompareShape, CompareArgs)
UNROLL_DISPATCH(test, void, TestShape, TestArgs)
UNROLL_DISPATCH(where, void, WhereShape, WhereArgs)
UNROLL_DISPATCH_FOR(std::int64_t, where, void, WhereShape, WhereArgs)
UNROLL_DISPATCH_FOR(bool, where, void, WhereShape, WhereArgs)
UNROLL_DISPATCH(copy, void, Strided, CopyArgs)
UNROLL_DISPATCH_FOR(std::int64_t, copy, void, Strided, CopyArgs)
UNROLL_DISPATCH_FOR(bool, copy, void, Strided, CopyArgs)

UNROLL_DISPATCH(reduce, void, ReduceShape, ReduceArgs)
UNROLL_DISPATCH_FOR(std::int64_t, reduce, void, ReduceShape, ReduceArgs)

UNROLL_DISPATCH(scan, void, ScanShape, ScanArgs)

UNROLL_DISPATCH_SHAPE(matmul_scratch, std::size_t, MatmulShape)
UNROLL_DISPATCH(matmul, void, MatmulShape, MatmulArgs)

UNROLL_DISPATCH(softmax, void, SoftmaxShape, SoftmaxArgs)
UNROLL_DISPATCH(softmax_pull, void, SoftmaxShape, SoftmaxLinear)
UNROLL_DISPATCH(softmax_push, void, SoftmaxShape, SoftmaxLinear)

UNROLL_DISPATCH(layer_norm, void, LayerNormShape, LayerNormArgs)
UNROLL_DISPATCH(layer_norm_pull, void, LayerNormShape, LayerNormPull)
UNROLL_DISPATCH(layer_norm_push, void, LayerNormShape, LayerNormPush)

UNROLL_DISPATCH(cross_entropy, void, CrossEntropyShape, CrossEntropyArgs)
UNROLL_DISPATCH(cross_entropy_pull, void, CrossEntropyShape, CrossEntropyLinear)
UNROLL_DISPATCH(cross_entropy_push, void, CrossEntropyShape, CrossEntropyLinear)

UNROLL_DISPATCH(index_select, void, GatherShape, GatherArgs)
UNROLL_DISPATCH_FOR(std::int64_t, index_select, void, GatherShape, GatherArgs)
UNROLL_DISPATCH_FOR(bool, index_select, void, GatherShape, GatherArgs)
UNROLL_DISPATCH(take_along, void, GatherShape, GatherArgs)
UNROLL_DISPATCH_FOR(std::int64_t, take_along, void, GatherShape, GatherArgs)
UNROLL_DISPATCH_FOR(bool, take_along, void, GatherShape, GatherArgs)
UNROLL_DISPATCH(index_add, void, GatherShape, GatherArgs)
UNROLL_DISPATCH(put_along_add, void, GatherShape, GatherArgs)

// A plain loop, for which no instruction set is worth a copy.
std::int64_t cpu::first_bad_index(const IndexRange& range, const IndexArgs& args) noexcept {
  for (std::int64_t i = 0; i < range.count; i++) {
    if (args.index[i] < 0 || args.index[i] >= range.n) return i;
  }
  return -1;
}

UNROLL_DISPATCH(sgd, void, SgdShape, SgdArgs)
UNROLL_DISPATCH(adam, void, AdamShape, AdamArgs)
UNROLL_DISPATCH(rmsprop, void, RmspropShape, RmspropArgs)
UNROLL_DISPATCH(adagrad, void, AdagradShape, AdagradArgs)
UNROLL_DISPATCH(adadelta, void, AdadeltaShape, AdadeltaArgs)
UNROLL_DISPATCH(sum_of_squares, double, FlatShape, FlatArgs)
UNROLL_DISPATCH(scale, void, FlatShape, ScaleArgs)

UNROLL_DISPATCH(dropout_mask, void, DropoutShape, DropoutArgs)

UNROLL_DISPATCH_SHAPE(attention_scratch, std::size_t, AttentionShape)
UNROLL_DISPATCH(attention, void, AttentionShape, AttentionArgs)
UNROLL_DISPATCH(attention_pull, void, AttentionShape, AttentionPull)
UNROLL_DISPATCH(attention_push, void, AttentionShape, AttentionPush)

}  // namespace unroll
