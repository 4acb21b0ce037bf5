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
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "models/layers.h"

namespace UNROLL_API unroll {

/// Cells of a recurrent layer.
enum class Cell : std::uint8_t { linear, tanh, relu, lstm, gru };

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

/// Names as on the command line: "autoencoder-last", "tanh". Parsing throws Error, listing all.
const char* name(ModelKind kind) noexcept;
const char* name(Cell cell) noexcept;
ModelKind model_kind(const std::string& name);
Cell cell_type(const std::string& name);
const std::vector<ModelKind>& all_model_kinds();

/// tanh for the autoencoders, LSTM for the others.
Cell default_cell(ModelKind kind) noexcept;

/// A model, its sizes and its initial values.
struct ModelOptions {
  ModelKind kind = ModelKind::autoencoder;
  std::optional<Cell> cell = {};  // default_cell(kind)
  std::int64_t inputs = 1;        // I
  std::int64_t hidden = 32;       // H
  std::int64_t code = 0;          // size of autoencoder_last's code; 0: H
  RecurrentInit init = {};
};

/// A recurrent layer of any cell, with one way to call it.
class Recurrent {
 public:
  Recurrent(Parameters& parameters, const std::string& prefix, Cell cell, std::int64_t I,
            std::int64_t H);
  /// Draws the parameters.
  void reset(Random& random, const RecurrentInit& init);

  /// What the layer gives.
  struct Out {
    Tensor y;         // [T,N,H]
    LstmState state;  // [1,N,H] after each sequence's last valid step; c only for the LSTM
  };
  /// From zero, or from `state`.
  Out operator()(const Tensor& x, const Lengths& lengths, const LstmState& state = {}) const;

 private:
  std::variant<Rnn, Lstm, Gru> layer_;
};

/// The steps of x [T,N,*] in reverse order, each sequence within its length; padding stays.
Tensor reverse_steps(const Tensor& x, const Lengths& lengths);

/// A model that gives back what it was shown.
class Reconstruction {
 public:
  /// Registers encoder.*, decoder.*, head.* and what the kind needs beside them. Throws Error for
  /// sizes below 1.
  Reconstruction(Parameters& parameters, const ModelOptions& options);

  /// Draws all parameters: PyTorch's default or options.init.
  void reset(Random& random);

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
  /// Numbers that pass from the encoder to the decoder for a sequence of T steps, -1 where
  /// everything does (attention and autoencoder_all).
  std::int64_t bottleneck() const noexcept;

 private:
  bool predicts_last() const { return options_.kind == ModelKind::autoencoder_last; }
  void require_attention(const char* op) const;
  Tensor decode_last(const Recurrent::Out& encoded) const;
  Tensor decode(const Tensor& x, const Lengths& lengths, const Recurrent::Out& encoded) const;

  ModelOptions options_;
  Recurrent encoder_;
  std::optional<Linear> to_code_, from_code_;  // autoencoder_last
  Recurrent decoder_;
  std::optional<Linear> score_, combine_;  // attention
  Linear head_;
};

}  // namespace unroll
