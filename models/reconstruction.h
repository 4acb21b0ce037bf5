// The reconstruction models: an encoder RNN, what the decoder may see of it, a decoder RNN.
//
//   Parameters parameters;
//   Reconstruction model(parameters, {.kind = ModelKind::decoder, .inputs = 2, .hidden = 32});
//   model.reset(random);
//   Tensor loss = model.loss(x, lengths);        // x [T,N,I]
//   Tensor y = model(x, lengths);                // [T,N,I], or [1,N,I] for autoencoder_last
//
// The founding question's examples: 1 an RNN autoencoder, 2 an LSTM with attention over variable
// lengths, 3 an LSTM whose state a second LSTM decodes. A model is a small value that shares its
// tensors with the Parameters it was made in.
//
// The encoder may be one that is given, of any cell, layers, directions and projection, to learn a
// decoder for what it says:
//
//   ModelOptions options{.kind = ModelKind::decoder, .cell = Cell::lstm, .inputs = 2};
//   options.given = GivenEncoder{.encoder = Encoder::load("lstm.safetensors"), .frozen = true};
//   Reconstruction model(parameters, options);     // parameters of the decoder alone
//   Tensor y = model.decode(model.encode(x), T);   // what model(x) is
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "models/cell.h"
#include "models/encoder.h"
#include "models/layers.h"

namespace UNROLL_API unroll {

/// The models.
enum class ModelKind : std::uint8_t {
  autoencoder_last,  // example 1 as written: code = Linear(h_T); Linear -> one RNN step -> Linear;
                     // only the last input is reconstructed
  autoencoder,       // example 1: h_T repeated at every step -> RNN -> Linear
  autoencoder_all,   // the decoder sees every h_t
  decoder,           // example 3: the decoder starts from the encoder's state and is fed zeros
  decoder_repeat,    // the decoder starts at zero and gets h_T at every step
  decoder_reversed,  // as decoder, the target in reverse order
  attention,         // example 2: as decoder, plus Luong "general" attention over the encoder
};

/// Names as on the command line: "autoencoder-last". Parsing throws Error, listing all.
const char* name(ModelKind kind) noexcept;
ModelKind model_kind(const std::string& name);
const std::vector<ModelKind>& all_model_kinds();

/// tanh for the autoencoders, LSTM for the others.
Cell default_cell(ModelKind kind) noexcept;

/// An encoder that is there already.
struct GivenEncoder {
  Encoder encoder;
  bool frozen = false;           // its weights are no parameters and never change
  std::vector<double> mean, sd;  // it reads x * sd + mean, the data in its own units; empty: x
};

/// A model, its sizes and its initial values.
struct ModelOptions {
  ModelKind kind = ModelKind::autoencoder;
  std::optional<Cell> cell = {};  // default_cell(kind)
  std::int64_t inputs = 1;        // I
  std::int64_t hidden = 32;       // H
  std::int64_t code = 0;          // size of autoencoder_last's code; 0: H
  RecurrentInit init = {};
  std::optional<GivenEncoder> given = {};  // then cell, hidden and init are the decoder's
};

/// A recurrent module of any cell, with one way to call it.
class Recurrent {
 public:
  /// One layer in one direction.
  Recurrent(Parameters& parameters, const std::string& prefix, Cell cell, std::int64_t I,
            std::int64_t H);
  Recurrent(Parameters& parameters, const std::string& prefix, const EncoderSizes& sizes);
  /// Draws the parameters.
  void reset(Random& random, const RecurrentInit& init);

  /// What the layer gives.
  struct Out {
    Tensor y;         // [T,N,D*P]
    LstmState state;  // h [L*D,N,P] after each sequence's last valid step; the LSTM's c [L*D,N,H]
  };
  /// From zero, or from `state`.
  Out operator()(const Tensor& x, const Lengths& lengths, const LstmState& state = {}) const;

 private:
  std::variant<Rnn, Lstm, Gru> layer_;
};

/// The steps of x [T,N,*] in reverse order, each sequence within its length; padding stays.
Tensor reverse_steps(const Tensor& x, const Lengths& lengths);

/// What an encoder hands over: W = D*P numbers a step, and the states of its L*D runs. A model
/// reads what its kind passes on (see ModelKind), the rest may be undefined.
struct Encoded {
  Tensor y;         // [T,N,W]: all outputs; for autoencoder_all and attention
  LstmState state;  // h [L*D,N,P], of the LSTM c [L*D,N,H]; for the decoders and attention
  Tensor last;      // [N,W]: the last layer's h after its run, of both directions; for the
                    // autoencoders and decoder_repeat. Undefined: taken from state.h
};

/// A model that gives back what it was shown.
class Reconstruction {
 public:
  /// Registers encoder.*, decoder.*, head.* and what the kind needs beside them; a given encoder
  /// has its weights at once, and a frozen one registers nothing. Where the states of a given
  /// encoder are no state of the decoder, a Linear "from_state" makes one of all of them. Throws
  /// Error for sizes below 1 and for a given encoder that does not read `inputs` numbers.
  Reconstruction(Parameters& parameters, const ModelOptions& options);

  /// Draws all parameters but those of a given encoder: PyTorch's default or options.init.
  void reset(Random& random);

  /// What is no parameter, a frozen encoder and its scale, to the device of the parameters.
  void move_constants(Device device);

  /// x [T,N,I], on the device of the parameters, through the encoder; a frozen one records nothing.
  Encoded encode(const Tensor& x, const Lengths& lengths = {}) const;
  /// The reconstruction of `steps` steps, as below, from what the encoder handed over. Throws Error
  /// where what the kind needs is undefined or has other sizes.
  Tensor decode(const Encoded& encoded, std::int64_t steps, const Lengths& lengths = {}) const;

  /// The reconstruction of x [T,N,I], in x's own order; padding is unspecified. One step, [1,N,I],
  /// for autoencoder_last.
  Tensor operator()(const Tensor& x, const Lengths& lengths = {}) const;

  /// Of the attention kind: what its last layers see at each step, both [T,N,H].
  struct Glimpse {
    Tensor context;  // attention over the encoder's outputs
    Tensor query;    // the decoder's own output, which knows the encoder's last state alone
  };
  /// The reconstruction in two parts: (*this)(x) == from_glimpse(glimpse(x)). Throws Error for
  /// other kinds.
  Glimpse glimpse(const Tensor& x, const Lengths& lengths = {}) const;
  Tensor from_glimpse(const Glimpse& seen) const;

  /// What the reconstruction is compared with: x, or its last valid step.
  Tensor target(const Tensor& x, const Lengths& lengths = {}) const;

  /// Mean squared error over the valid steps; rank 0.
  Tensor loss(const Tensor& x, const Lengths& lengths = {}) const;

  /// What it was made with.
  const ModelOptions& options() const noexcept { return options_; }
  /// The weights of a frozen encoder under their names in files: encoder.weight_ih_l0, ...
  std::vector<NamedTensor> constants() const;
  /// Numbers that pass from the encoder to the decoder for a sequence of T steps, -1 where
  /// everything does (attention and autoencoder_all).
  std::int64_t bottleneck() const noexcept;

 private:
  bool predicts_last() const { return options_.kind == ModelKind::autoencoder_last; }
  void check(const Encoded& encoded, std::int64_t steps) const;
  Tensor last_output(const Encoded& encoded) const;
  LstmState decoder_start(const LstmState& state) const;
  Tensor run_decoder(const Encoded& encoded, std::int64_t steps, const Lengths& lengths) const;
  void require_attention(const char* op) const;
  Glimpse attend(const Encoded& encoded, std::int64_t steps, const Lengths& lengths) const;

  ModelOptions options_;
  EncoderSizes sizes_;  // of the encoder
  Tensor mean_, sd_;    // [I]; undefined: the encoder reads x itself
  std::shared_ptr<Parameters> frozen_;
  Recurrent encoder_;
  std::optional<Linear> to_code_, from_code_;  // autoencoder_last
  std::optional<Linear> from_state_;           // where the encoder's state is not the decoder's
  Recurrent decoder_;
  std::optional<Linear> score_, combine_;  // attention
  Linear head_;
};

}  // namespace unroll
