// The differentiable recurrent ops with options, called for a StepsProblem
// (tests/recurrent_steps_reference.h).
//
//   Tensors out = run_options(problem, operands);          // y, h_n and, for the LSTM, c_n
//   Tensors same = run_options(problem, operands, true);   // by the twin
#pragma once

#include "autograd/gru.h"
#include "autograd/lstm.h"
#include "autograd/rnn.h"
#include "tests/recurrent_steps_reference.h"

namespace unroll::testing {

/// The shapes of the operands, in the order of StepsInputs; rank 0 where there is none.
inline std::vector<Shape> operand_shapes(const StepsProblem& p) {
  const std::int64_t rows = p.gates() * p.H;
  const Shape none{};
  const auto norm = [&](std::int64_t size) { return p.norm ? Shape{size} : none; };
  return {{p.T, p.N, p.I},
          {rows, p.I},
          {rows, p.P()},
          {rows},
          {rows},
          {p.N, p.P()},
          p.has_cell() ? Shape{p.N, p.H} : none,
          p.projection ? Shape{p.projection, p.H} : none,
          p.peephole ? Shape{3, p.H} : none,
          norm(rows),
          norm(rows),
          norm(p.H),
          norm(p.H)};
}

/// `x` holds the operands that there are, in that order.
inline Tensors run_options(const StepsProblem& p, const Tensors& x, bool twin = false) {
  Tensors all;
  std::size_t next = 0;
  for (const Shape& shape : operand_shapes(p))
    all.push_back(shape.rank() == 0 ? Tensor() : x[next++]);
  const RecurrentWeights w{all[1], all[2], all[3],  all[4],  all[7],
                           all[8], all[9], all[10], all[11], all[12]};
  const CellOptions cell{p.options.clip,    p.options.zoneout_h, p.options.zoneout_c,
                         p.options.dropout, p.reset_first,       p.coupled,
                         p.recompute};
  const Lengths lengths = p.lengths.empty() ? Lengths() : Lengths(p.lengths);
  Random source(p.options.seed, p.options.stream);
  source.set_counter(p.options.counter);
  Random* const random = p.options.training ? &source : nullptr;
  if (p.cell == Cell::lstm) {
    const LstmOut out =
        twin ? lstm_layer_twin(all[0], all[5], all[6], w, cell, lengths, random, p.reverse)
             : lstm_layer(all[0], all[5], all[6], w, cell, lengths, random, p.reverse);
    return {out.y, out.h_n, out.c_n};
  }
  if (p.cell == Cell::gru) {
    const GruOut out = twin ? gru_layer_twin(all[0], all[5], w, cell, lengths, random, p.reverse)
                            : gru_layer(all[0], all[5], w, cell, lengths, random, p.reverse);
    return {out.y, out.h_n};
  }
  const RnnActivation activation = p.cell == Cell::tanh   ? RnnActivation::tanh
                                   : p.cell == Cell::relu ? RnnActivation::relu
                                                          : RnnActivation::identity;
  const RnnOut out =
      twin ? rnn_layer_twin(all[0], all[5], w, cell, lengths, random, activation, p.reverse)
           : rnn_layer(all[0], all[5], w, cell, lengths, random, activation, p.reverse);
  return {out.y, out.h_n};
}

/// Every option of every family: alone, and all that go together.
inline std::vector<StepsProblem> option_problems() {
  const RecurrentOptions clip{.clip = 0.9};
  const RecurrentOptions zoneout{.zoneout_h = 0.3, .training = true, .seed = 5};
  const RecurrentOptions zoneout_c{.zoneout_c = 0.4, .training = true, .seed = 6};
  const RecurrentOptions blend{.zoneout_h = 0.3};
  const RecurrentOptions drop{.dropout = 0.4, .training = true, .seed = 7, .stream = 3};
  RecurrentOptions all{.clip = 0.9, .zoneout_h = 0.2, .dropout = 0.3, .training = true, .seed = 11};
  std::vector<StepsProblem> list;
  const auto add = [&](const char* name, Cell cell, const RecurrentOptions& options,
                       std::int64_t projection = 0, bool peephole = false, bool norm = false,
                       bool reset_first = false) {
    StepsProblem p{name, cell, 4, 5, 2, 4, projection, peephole, norm, reset_first};
    p.options = options;
    p.lengths = {2, 4, 0, 1, 4};
    p.reverse = list.size() % 2 == 1;
    list.push_back(p);
  };
  for (const auto& [name, cell] : {std::pair{"lstm_", Cell::lstm},
                                   {"gru_", Cell::gru},
                                   {"rnn_tanh_", Cell::tanh},
                                   {"rnn_identity_", Cell::identity}}) {
    const std::pair<const char*, RecurrentOptions> common[] = {{"clip", clip},
                                                               {"zoneout", zoneout},
                                                               {"zoneout_inference", blend},
                                                               {"recurrent_dropout", drop}};
    for (const auto& [option, options] : common) {
      add("", cell, options);
      list.back().name = std::string(name) + option;
    }
  }
  add("lstm_zoneout_c", Cell::lstm, zoneout_c);
  add("lstm_projection", Cell::lstm, {}, 3);
  add("lstm_peephole", Cell::lstm, {}, 0, true);
  add("lstm_peephole_clip", Cell::lstm, clip, 0, true);
  add("lstm_norm", Cell::lstm, {}, 0, false, true);
  add("lstm_coupled", Cell::lstm, {});
  list.back().coupled = true;
  add("lstm_coupled_peephole_clip", Cell::lstm, clip, 3, true);
  list.back().coupled = true;
  add("gru_reset_first", Cell::gru, {}, 0, false, false, true);
  add("gru_all", Cell::gru, all, 0, false, false, true);
  add("rnn_tanh_all", Cell::tanh, all);
  all.zoneout_c = 0.3;
  add("lstm_all", Cell::lstm, all, 3, true, true);
  for (const auto& [name, cell] : {std::pair{"lstm_recompute", Cell::lstm},
                                   {"gru_recompute", Cell::gru},
                                   {"rnn_tanh_recompute", Cell::tanh}}) {
    add(name, cell, {});
    list.back().recompute = true;
  }
  return list;
}

}  // namespace unroll::testing
