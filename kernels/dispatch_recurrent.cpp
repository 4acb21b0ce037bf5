#include "kernels/gru.h"
#include "kernels/isa.h"
#include "kernels/lstm.h"
#include "kernels/rnn.h"

namespace unroll {

UNROLL_DISPATCH_SHAPE(lstm_sizes, LstmSizes, LstmShape)
UNROLL_DISPATCH(lstm_forward, void, LstmShape, LstmForward)
UNROLL_DISPATCH(lstm_pullback, void, LstmShape, LstmPullback)
UNROLL_DISPATCH(lstm_pushforward, void, LstmShape, LstmPushforward)

UNROLL_DISPATCH_SHAPE(gru_sizes, GruSizes, GruShape)
UNROLL_DISPATCH(gru_forward, void, GruShape, GruForward)
UNROLL_DISPATCH(gru_pullback, void, GruShape, GruPullback)
UNROLL_DISPATCH(gru_pushforward, void, GruShape, GruPushforward)

UNROLL_DISPATCH_SHAPE(rnn_sizes, RnnSizes, RnnShape)
UNROLL_DISPATCH(rnn_forward, void, RnnShape, RnnForward)
UNROLL_DISPATCH(rnn_pullback, void, RnnShape, RnnPullback)
UNROLL_DISPATCH(rnn_pushforward, void, RnnShape, RnnPushforward)

}  // namespace unroll
