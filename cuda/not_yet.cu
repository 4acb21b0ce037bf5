// Families whose .cu file is not there yet: their functions note an error, which the switch throws.
// Goes when all are there.
#include "cuda/runtime.h"
#include "kernels/attention.h"
#include "kernels/cross_entropy.h"
#include "kernels/dropout.h"
#include "kernels/gather.h"
#include "kernels/gru.h"
#include "kernels/layer_norm.h"
#include "kernels/lstm.h"
#include "kernels/matmul.h"
#include "kernels/optimizer.h"
#include "kernels/reduction.h"
#include "kernels/rnn.h"
#include "kernels/scan.h"
#include "kernels/softmax.h"

namespace unroll::UNROLL_GPU {

#ifdef __CUDACC__
#define UNROLL_MISSING(name) cudaSetDevice(-1)
#else
#define UNROLL_MISSING(name) Runtime::kept().keep(#name " has no kernel for GPUs yet")
#endif
#define UNROLL_NOT_YET_FOR(Real, name, Result, Shape, Args)     \
  template <>                                                   \
  Result name<Real>(const Shape&, const Args<Real>&) noexcept { \
    UNROLL_MISSING(name);                                       \
    return Result();                                            \
  }
#define UNROLL_NOT_YET(name, Result, Shape, Args)      \
  UNROLL_NOT_YET_FOR(float, name, Result, Shape, Args) \
  UNROLL_NOT_YET_FOR(double, name, Result, Shape, Args)
#define UNROLL_NOT_YET_SHAPE_FOR(Real, name, Result, Shape) \
  template <>                                               \
  Result name<Real>(const Shape&) noexcept {                \
    UNROLL_MISSING(name);                                   \
    return Result();                                        \
  }
#define UNROLL_NOT_YET_SHAPE(name, Result, Shape)      \
  UNROLL_NOT_YET_SHAPE_FOR(float, name, Result, Shape) \
  UNROLL_NOT_YET_SHAPE_FOR(double, name, Result, Shape)

#if !__has_include("cuda/reduction.cu")
UNROLL_NOT_YET(reduce, void, ReduceShape, ReduceArgs)
UNROLL_NOT_YET_FOR(std::int64_t, reduce, void, ReduceShape, ReduceArgs)
#endif
#if !__has_include("cuda/scan.cu")
UNROLL_NOT_YET(scan, void, ScanShape, ScanArgs)
#endif
#if !__has_include("cuda/matmul.cu")
UNROLL_NOT_YET_SHAPE(matmul_scratch, std::size_t, MatmulShape)
UNROLL_NOT_YET(matmul, void, MatmulShape, MatmulArgs)
#endif
#if !__has_include("cuda/softmax.cu")
UNROLL_NOT_YET(softmax, void, SoftmaxShape, SoftmaxArgs)
UNROLL_NOT_YET(softmax_pull, void, SoftmaxShape, SoftmaxLinear)
UNROLL_NOT_YET(softmax_push, void, SoftmaxShape, SoftmaxLinear)
#endif
#if !__has_include("cuda/layer_norm.cu")
UNROLL_NOT_YET(layer_norm, void, LayerNormShape, LayerNormArgs)
UNROLL_NOT_YET(layer_norm_pull, void, LayerNormShape, LayerNormPull)
UNROLL_NOT_YET(layer_norm_push, void, LayerNormShape, LayerNormPush)
#endif
#if !__has_include("cuda/cross_entropy.cu")
UNROLL_NOT_YET(cross_entropy, void, CrossEntropyShape, CrossEntropyArgs)
UNROLL_NOT_YET(cross_entropy_pull, void, CrossEntropyShape, CrossEntropyLinear)
UNROLL_NOT_YET(cross_entropy_push, void, CrossEntropyShape, CrossEntropyLinear)
#endif
#if !__has_include("cuda/gather.cu")
UNROLL_NOT_YET(index_select, void, GatherShape, GatherArgs)
UNROLL_NOT_YET_FOR(std::int64_t, index_select, void, GatherShape, GatherArgs)
UNROLL_NOT_YET_FOR(bool, index_select, void, GatherShape, GatherArgs)
UNROLL_NOT_YET(take_along, void, GatherShape, GatherArgs)
UNROLL_NOT_YET_FOR(std::int64_t, take_along, void, GatherShape, GatherArgs)
UNROLL_NOT_YET_FOR(bool, take_along, void, GatherShape, GatherArgs)
UNROLL_NOT_YET(index_add, void, GatherShape, GatherArgs)
UNROLL_NOT_YET(put_along_add, void, GatherShape, GatherArgs)
std::int64_t first_bad_index(const IndexRange&, const IndexArgs&) noexcept {
  UNROLL_MISSING(first_bad_index);
  return -1;
}
#endif
#if !__has_include("cuda/optimizer.cu")
UNROLL_NOT_YET(sgd, void, SgdShape, SgdArgs)
UNROLL_NOT_YET(adam, void, AdamShape, AdamArgs)
UNROLL_NOT_YET(rmsprop, void, RmspropShape, RmspropArgs)
UNROLL_NOT_YET(adagrad, void, AdagradShape, AdagradArgs)
UNROLL_NOT_YET(adadelta, void, AdadeltaShape, AdadeltaArgs)
UNROLL_NOT_YET(sum_of_squares, double, FlatShape, FlatArgs)
UNROLL_NOT_YET(scale, void, FlatShape, ScaleArgs)
#endif
#if !__has_include("cuda/dropout.cu")
UNROLL_NOT_YET(dropout_mask, void, DropoutShape, DropoutArgs)
#endif
#if !__has_include("cuda/attention.cu")
UNROLL_NOT_YET_SHAPE(attention_scratch, std::size_t, AttentionShape)
UNROLL_NOT_YET(attention, void, AttentionShape, AttentionArgs)
UNROLL_NOT_YET(attention_pull, void, AttentionShape, AttentionPull)
UNROLL_NOT_YET(attention_push, void, AttentionShape, AttentionPush)
#endif
#if !__has_include("cuda/lstm.cu")
UNROLL_NOT_YET_SHAPE(lstm_sizes, LstmSizes, LstmShape)
UNROLL_NOT_YET(lstm_forward, void, LstmShape, LstmForward)
UNROLL_NOT_YET(lstm_pullback, void, LstmShape, LstmPullback)
UNROLL_NOT_YET(lstm_pushforward, void, LstmShape, LstmPushforward)
#endif
#if !__has_include("cuda/gru.cu")
UNROLL_NOT_YET_SHAPE(gru_sizes, GruSizes, GruShape)
UNROLL_NOT_YET(gru_forward, void, GruShape, GruForward)
UNROLL_NOT_YET(gru_pullback, void, GruShape, GruPullback)
UNROLL_NOT_YET(gru_pushforward, void, GruShape, GruPushforward)
#endif
#if !__has_include("cuda/rnn.cu")
UNROLL_NOT_YET_SHAPE(rnn_sizes, RnnSizes, RnnShape)
UNROLL_NOT_YET(rnn_forward, void, RnnShape, RnnForward)
UNROLL_NOT_YET(rnn_pullback, void, RnnShape, RnnPullback)
UNROLL_NOT_YET(rnn_pushforward, void, RnnShape, RnnPushforward)
#endif

}  // namespace unroll::UNROLL_GPU
