// Layers: tensors registered in Parameters under PyTorch's names, and the call that uses them.
//
//   Parameters parameters;
//   Random random(1);
//   Lstm encoder(parameters, "encoder", 3, 32);    // encoder.weight_ih_l0, ...
//   encoder.reset(random);
//   LstmOut out = encoder(x, lengths);
//
// An empty prefix leaves the names bare, as in the state dict of a PyTorch module itself.
//
// A layer is a small value that shares its tensors with the Parameters it was made in. Parameters
// start at zero: call reset() or load them from a file. Calls are thread-safe while nobody writes
// the parameters.
#pragma once

#include <optional>
#include <string>

#include "autograd/gru.h"
#include "autograd/lstm.h"
#include "autograd/parameters.h"
#include "autograd/rnn.h"
#include "core/lengths.h"
#include "core/random.h"

namespace UNROLL_API unroll {

/// The name of a layer's tensor: "prefix.name", or the bare name under an empty prefix.
inline std::string name_under(const std::string& prefix, const std::string& name) {
  return prefix.empty() ? name : prefix + "." + name;
}

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

/// What torch.nn.LayerNorm leaves open.
struct LayerNormOptions {
  double eps = 1e-5;
  bool elementwise_affine = true;  // with weight and bias
};

/// torch.nn.LayerNorm over the last axes, those of `shape`: weight and bias of `shape`.
class LayerNorm {
 public:
  LayerNorm(Parameters& parameters, const std::string& prefix, const Shape& shape,
            LayerNormOptions options = {});
  /// Weight 1, bias 0.
  void reset();
  /// x [...] + shape -> the same shape.
  Tensor operator()(const Tensor& x) const;

 private:
  Shape shape_;
  LayerNormOptions options_;
  Tensor weight_, bias_;
};

/// torch.nn.Embedding: weight [count,size].
class Embedding {
 public:
  /// The row `padding_idx` (negative: from the end) starts at 0 and gets no gradient. Throws Error
  /// where it is out of range.
  Embedding(Parameters& parameters, const std::string& prefix, std::int64_t count,
            std::int64_t size, std::optional<std::int64_t> padding_idx = std::nullopt);
  /// Standard normal, as PyTorch.
  void reset(Random& random);
  /// index int64 [...] -> [...,size].
  Tensor operator()(const Tensor& index) const;

 private:
  Tensor weight_;
  std::optional<std::int64_t> padding_;  // 0 <= padding_ < count
};

/// The parameters of a recurrent module and how it runs, as torch.nn.RNN, LSTM and GRU have them
/// in common: for each layer l and direction weight_ih_l<l>, weight_hh_l<l>, bias_ih_l<l>,
/// bias_hh_l<l> and, with a projection, weight_hr_l<l>, with _reverse behind them for the second
/// direction. Options that PyTorch does not have add weight_peephole_l<l> [3,H], norm_ih_l<l>,
/// norm_hh_l<l> [4H], norm_c_l<l> and norm_c_bias_l<l> [H].
class RecurrentLayers {
 public:
  /// What the names and shapes of the parameters follow from.
  struct Sizes {
    std::int64_t gates, I, H, num_layers;
    bool bias;
    std::int64_t proj_size = 0;  // 0: no projection
    bool peephole = false, layer_norm = false;
    bool one_step = false;  // a cell: no _l0 behind the names
  };
  /// `stack` without its weights. Throws Error for sizes or layers below 1, a negative proj_size,
  /// or dropout outside [0,1].
  RecurrentLayers(Parameters& parameters, const std::string& prefix, const Sizes& sizes,
                  RecurrentStack stack);
  /// Draws the parameters.
  void reset(Random& random, const RecurrentInit& init);
  /// Whether dropout acts and zoneout is random.
  void train(bool on) { training_ = on; }

  /// The layers as the ops take them.
  const RecurrentStack& stack() const { return stack_; }
  /// `random` where something is drawn, else null. Throws Error where it is and there is none.
  Random* source(const char* module, Random* random) const;

 private:
  RecurrentStack stack_;
  bool training_ = true;
};

// The options of the modules are PyTorch's: D = 2 directions where bidirectional, else 1. Dropout
// acts between layers while training (the default; see train()) and needs a Random in the call;
// `variational` draws one mask for all steps of a sequence. `cell` is what PyTorch does not have:
// its dropout acts while training too, and its zoneout is random then, and blends else.

/// The options of torch.nn.RNN, and those of the cell.
struct RnnOptions {
  RnnActivation activation = RnnActivation::tanh;
  bool bias = true;
  std::int64_t num_layers = 1;
  bool bidirectional = false, batch_first = false;
  double dropout = 0;
  bool variational = false;
  CellOptions cell = {};
};

/// torch.nn.RNN; `identity` makes it linear.
class Rnn {
 public:
  Rnn(Parameters& parameters, const std::string& prefix, std::int64_t I, std::int64_t H,
      RnnOptions options = {});
  /// Draws the parameters.
  void reset(Random& random, const RecurrentInit& init = {}) { layers_.reset(random, init); }
  /// Whether dropout acts and zoneout is random.
  void train(bool on) { layers_.train(on); }
  /// x [T,N,I], [N,T,I] where batch_first, or [T,I]; y as x, D*H wide; states [L*D,N,H], without
  /// a batch [L*D,H].
  RnnOut operator()(const Tensor& x, const Lengths& lengths = {}, const Tensor& h_0 = {},
                    Random* random = nullptr) const;

 private:
  RecurrentLayers layers_;
  RnnActivation activation_;
};

/// The options of torch.nn.LSTM, and those of the cell.
struct LstmOptions {
  bool bias = true;
  std::int64_t num_layers = 1;
  bool bidirectional = false, batch_first = false;
  double dropout = 0;
  bool variational = false;
  CellOptions cell = {};
  std::int64_t proj_size = 0;  // 0: no projection
  bool peephole = false, layer_norm = false;
};
/// Shapes as those of the h_0 and c_0 of the call.
struct LstmState {
  Tensor h, c;
};

/// torch.nn.LSTM.
class Lstm {
 public:
  Lstm(Parameters& parameters, const std::string& prefix, std::int64_t I, std::int64_t H,
       LstmOptions options = {});
  /// Draws the parameters.
  void reset(Random& random, const RecurrentInit& init = {}) { layers_.reset(random, init); }
  /// Whether dropout acts and zoneout is random.
  void train(bool on) { layers_.train(on); }
  /// Shapes as Rnn's.
  LstmOut operator()(const Tensor& x, const Lengths& lengths = {}, const LstmState* state = nullptr,
                     Random* random = nullptr) const;

 private:
  RecurrentLayers layers_;
};

/// The options of torch.nn.GRU, and those of the cell.
struct GruOptions {
  bool bias = true;
  std::int64_t num_layers = 1;
  bool bidirectional = false, batch_first = false;
  double dropout = 0;
  bool variational = false;
  CellOptions cell = {};
};

/// torch.nn.GRU.
class Gru {
 public:
  Gru(Parameters& parameters, const std::string& prefix, std::int64_t I, std::int64_t H,
      GruOptions options = {});
  /// Draws the parameters.
  void reset(Random& random, const RecurrentInit& init = {}) { layers_.reset(random, init); }
  /// Whether dropout acts and zoneout is random.
  void train(bool on) { layers_.train(on); }
  /// Shapes as Rnn's.
  GruOut operator()(const Tensor& x, const Lengths& lengths = {}, const Tensor& h_0 = {},
                    Random* random = nullptr) const;

 private:
  RecurrentLayers layers_;
};

// ---- Cells: one step. weight_ih [GH,I], weight_hh [GH,P], bias_ih and bias_hh [GH], and the
// tensors of the options, named as in the layers but without _l0; x [N,I] or [I], the state [N,P]
// or [P] and, of an LSTM's c, [N,H] or [H]; undefined: zero. The new state has x's batch. P is H,
// but for a projection.
//
// A loop of a cell over the steps is its layer, with every option. Each call draws masks of its
// own while training: the recurrent dropout of a layer, one mask for all steps, is that of calls
// that are given copies of one Random.

struct RnnCellOptions {
  RnnActivation activation = RnnActivation::tanh;
  bool bias = true;
  CellOptions cell = {};
};

/// torch.nn.RNNCell.
class RnnCell {
 public:
  RnnCell(Parameters& parameters, const std::string& prefix, std::int64_t I, std::int64_t H,
          RnnCellOptions options = {});
  /// Draws the parameters.
  void reset(Random& random, const RecurrentInit& init = {}) { layers_.reset(random, init); }
  /// Whether dropout acts and zoneout is random.
  void train(bool on) { layers_.train(on); }
  /// The next h.
  Tensor operator()(const Tensor& x, const Tensor& h = {}, Random* random = nullptr) const;

 private:
  RecurrentLayers layers_;
  RnnActivation activation_;
};

struct LstmCellOptions {
  bool bias = true;
  CellOptions cell = {};
  std::int64_t proj_size = 0;  // 0: no projection
  bool peephole = false, layer_norm = false;
};

/// torch.nn.LSTMCell.
class LstmCell {
 public:
  LstmCell(Parameters& parameters, const std::string& prefix, std::int64_t I, std::int64_t H,
           LstmCellOptions options = {});
  /// Draws the parameters.
  void reset(Random& random, const RecurrentInit& init = {}) { layers_.reset(random, init); }
  /// Whether dropout acts and zoneout is random.
  void train(bool on) { layers_.train(on); }
  /// The next state.
  LstmState operator()(const Tensor& x, const LstmState& state = {},
                       Random* random = nullptr) const;

 private:
  RecurrentLayers layers_;
};

struct GruCellOptions {
  bool bias = true;
  CellOptions cell = {};
};

/// torch.nn.GRUCell.
class GruCell {
 public:
  GruCell(Parameters& parameters, const std::string& prefix, std::int64_t I, std::int64_t H,
          GruCellOptions options = {});
  /// Draws the parameters.
  void reset(Random& random, const RecurrentInit& init = {}) { layers_.reset(random, init); }
  /// Whether dropout acts and zoneout is random.
  void train(bool on) { layers_.train(on); }
  /// The next h.
  Tensor operator()(const Tensor& x, const Tensor& h = {}, Random* random = nullptr) const;

 private:
  RecurrentLayers layers_;
};

}  // namespace unroll
