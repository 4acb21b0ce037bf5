// Encoder: the recurrent network whose input is sought, with weights as PyTorch names them.
//
//   Encoder encoder = Encoder::load("lstm.safetensors");       // cell and sizes from the tensors
//   EncoderOut out = encoder(x);                               // x [T,N,I]; out.y [T,N,D*P]
//   Encoder drawn({.cell = Cell::gru, .I = 4, .H = 16}, random);
//
// Weights of every type become float64, exactly; in(Dtype::float32) runs as a network of that type
// would, and on(Device::cuda()) runs on a GPU. An Encoder is a small immutable value that shares
// its tensors; calls are differentiable and thread-safe.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "io/named_tensor.h"
#include "models/cell.h"
#include "models/layers.h"

namespace UNROLL_API unroll {

/// L layers of D directions; P is H, but for a projection.
struct EncoderSizes {
  Cell cell = Cell::tanh;
  std::int64_t I = 1, H = 1;
  std::int64_t layers = 1;
  bool bidirectional = false;
  std::int64_t projection = 0;  // P of an LSTM; 0: none
  bool bias = true;

  /// D.
  std::int64_t directions() const noexcept { return bidirectional ? 2 : 1; }
  std::int64_t state_width() const noexcept { return projection ? projection : H; }    // P
  std::int64_t output_width() const noexcept { return directions() * state_width(); }  // D*P
  /// Whether there is a c: that of the LSTM.
  bool has_cell_state() const noexcept { return cell == Cell::lstm; }
};

/// h [L*D,N,P] and c [L*D,N,H]; undefined: zero. c only for the LSTM.
struct EncoderState {
  Tensor h, c;
};

/// What an encoder gives.
struct EncoderOut {
  Tensor y;           // [T,N,D*P]: the outputs of the last layer
  EncoderState last;  // after each sequence's last valid step
};

/// What a file of weights leaves open.
struct EncoderHints {
  std::optional<std::string> prefix;  // of the names: "encoder.rnn."; else found
  std::optional<Cell> cell;           // tanh, relu or linear for an RNN (else tanh); or a check
};

/// The recurrent network of a file: what was observed runs through it.
class Encoder {
 public:
  /// From *.safetensors, *.index.json or *.npz. The cell follows from the number of gates, sizes,
  /// layers, directions and the projection from names and shapes. Throws Error, naming the file and
  /// the tensor, where there is no recurrent layer, there are several and no prefix, tensors do not
  /// fit each other, hold no finite real numbers, or the cell is not the hint's.
  static Encoder load(const std::string& path, const EncoderHints& hints = {});
  /// The same of tensors in memory, of any device; `source` is for messages. The encoder is on the
  /// CPU, as every one that is loaded or drawn.
  static Encoder from_tensors(const std::string& source, const std::vector<NamedTensor>& tensors,
                              const EncoderHints& hints = {});
  /// Drawn as `init` says: PyTorch's default, or orthogonal weight_hh. Throws Error for sizes below
  /// 1, or a projection of another cell than the LSTM.
  Encoder(const EncoderSizes& sizes, Random& random, const RecurrentInit& init = {});

  /// x [T,N,I] of dtype() and device(). Padding is never read; there y is zero.
  EncoderOut operator()(const Tensor& x, const EncoderState& state = {},
                        const Lengths& lengths = {}) const;

  /// The same network with weights rounded to float32, or float64.
  Encoder in(Dtype dtype) const;
  /// The same network with its weights on a device, where it then takes its input. Throws Error
  /// where the device cannot be used.
  Encoder on(Device device) const;
  /// Of the weights.
  Dtype dtype() const noexcept { return stack_.weights[0].w_hh.dtype(); }
  Device device() const noexcept { return stack_.weights[0].w_hh.device(); }
  /// Its cell and sizes.
  const EncoderSizes& sizes() const noexcept { return sizes_; }
  /// Of layer l and direction d at [l*D+d].
  const std::vector<RecurrentWeights>& weights() const noexcept { return stack_.weights; }
  /// Under PyTorch's names, without a prefix.
  std::vector<NamedTensor> tensors() const;
  /// One line: "LSTM, 2 layers, I 6, H 24".
  std::string describe() const;

  /// The network of the first `count` layers. Throws Error unless there are so many.
  Encoder first_layers(std::int64_t count) const;
  /// The same network with every weight w replaced by w (1 + relative * u), u = +1 or -1: what
  /// rounding with that unit does to a run.
  Encoder perturbed(double relative, Random& random) const;

 private:
  Encoder(const EncoderSizes& sizes, RecurrentStack stack)
      : sizes_(sizes), stack_(std::move(stack)) {}

  EncoderSizes sizes_;
  RecurrentStack stack_;
};

}  // namespace unroll
