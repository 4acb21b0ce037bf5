// Layers: tensors registered in Parameters under PyTorch's names, and the call that uses them.
//
//   Parameters parameters;
//   Random random(1);
//   Lstm encoder(parameters, "encoder", 3, 32);    // encoder.weight_ih_l0, ...
//   encoder.reset(random);
//   LstmOut out = encoder(x, lengths);
//
// A layer is a small value that shares its tensors with the Parameters it was made in. Parameters
// start at zero: call reset() or load them from a file. Calls are thread-safe while nobody writes
// the parameters.
#pragma once

#include <string>

#include "autograd/gru.h"
#include "autograd/lstm.h"
#include "autograd/parameters.h"
#include "autograd/rnn.h"
#include "core/lengths.h"
#include "core/random.h"

namespace unroll {

/// How reset() draws a recurrent layer's parameters.
struct RecurrentInit {
  bool orthogonal = false;  // weight_hh orthogonal gate by gate; else all U(+-1/sqrt(H)) as PyTorch
  double forget_bias = 0;   // LSTM: added to the forget gate's bias_ih
};

/// torch.nn.Linear: weight [out,in], bias [out].
class Linear {
 public:
  Linear(Parameters& parameters, const std::string& prefix, std::int64_t in, std::int64_t out,
         bool bias = true);
  /// U(-1/sqrt(in), 1/sqrt(in)), as PyTorch.
  void reset(Random& random);
  /// x [..., in] -> [..., out].
  Tensor operator()(const Tensor& x) const;

 private:
  Tensor weight_, bias_;
};

/// The four tensors of a recurrent layer: weight_ih_l0 [GH,I], weight_hh_l0 [GH,H], bias_ih_l0 and
/// bias_hh_l0 [GH].
struct RecurrentWeights {
  Tensor w_ih, w_hh, b_ih, b_hh;

  RecurrentWeights(Parameters& parameters, const std::string& prefix, std::int64_t gates,
                   std::int64_t I, std::int64_t H, bool bias);
  void reset(Random& random, const RecurrentInit& init);
  std::int64_t hidden() const { return w_hh.shape()[1]; }
};

struct RnnOptions {
  RnnActivation activation = RnnActivation::tanh;
  bool bias = true;
};

/// torch.nn.RNN with one layer; `identity` makes it linear.
class Rnn {
 public:
  Rnn(Parameters& parameters, const std::string& prefix, std::int64_t I, std::int64_t H,
      RnnOptions options = {});
  void reset(Random& random, const RecurrentInit& init = {}) { weights_.reset(random, init); }
  RnnOut operator()(const Tensor& x, const Lengths& lengths = {}, const Tensor& h_0 = {}) const;

 private:
  RecurrentWeights weights_;
  RnnOptions options_;
};

struct LstmOptions {
  bool bias = true;
};
struct LstmState {
  Tensor h, c;  // [N,H]
};

/// torch.nn.LSTM with one layer.
class Lstm {
 public:
  Lstm(Parameters& parameters, const std::string& prefix, std::int64_t I, std::int64_t H,
       LstmOptions options = {});
  void reset(Random& random, const RecurrentInit& init = {});
  LstmOut operator()(const Tensor& x, const Lengths& lengths = {},
                     const LstmState* state = nullptr) const;

 private:
  RecurrentWeights weights_;
};

struct GruOptions {
  bool bias = true;
};

/// torch.nn.GRU with one layer.
class Gru {
 public:
  Gru(Parameters& parameters, const std::string& prefix, std::int64_t I, std::int64_t H,
      GruOptions options = {});
  void reset(Random& random, const RecurrentInit& init = {}) { weights_.reset(random, init); }
  GruOut operator()(const Tensor& x, const Lengths& lengths = {}, const Tensor& h_0 = {}) const;

 private:
  RecurrentWeights weights_;
};

}  // namespace unroll
