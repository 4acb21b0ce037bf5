#include "capi/handles.h"

using namespace unroll;
using namespace unroll::capi;

namespace {

EncoderHints hints_from(const char* prefix, const char* cell) {
  EncoderHints hints;
  if (prefix) hints.prefix = prefix;
  if (cell) hints.cell = cell_type(cell);
  return hints;
}

unroll_encoder* new_encoder(Encoder encoder) {
  std::string description = encoder.describe();
  return new unroll_encoder{std::move(encoder), std::move(description)};
}

}  // namespace

unroll_status unroll_encoder_load(const char* path, const char* prefix, const char* cell,
                                  unroll_encoder** out) {
  return guarded([&] {
    const std::string file = &the("encoder_load", path);
    *out = new_encoder(Encoder::load(file, hints_from(prefix, cell)));
  });
}

unroll_status unroll_encoder_create(const char* const* names, const unroll_tensor* const* tensors,
                                    int count, const char* prefix, const char* cell,
                                    unroll_encoder** out) {
  return guarded([&] {
    constexpr const char* op = "encoder_create";
    const Tensors given = list(op, tensors, count);
    if (count > 0) the(op, names);
    std::vector<NamedTensor> all;
    for (std::size_t i = 0; i < given.size(); i++) all.push_back({&the(op, names[i]), given[i]});
    *out = new_encoder(Encoder::from_tensors("the encoder", all, hints_from(prefix, cell)));
  });
}

void unroll_encoder_release(unroll_encoder* encoder) { delete encoder; }

const char* unroll_encoder_describe(const unroll_encoder* encoder) {
  return encoder ? encoder->description.c_str() : nullptr;
}

const char* unroll_encoder_cell(const unroll_encoder* encoder) {
  return encoder ? name(encoder->encoder.sizes().cell) : nullptr;
}

unroll_status unroll_encoder_size(const unroll_encoder* encoder, const char* name, int64_t* out) {
  return guarded([&] {
    constexpr const char* op = "encoder_size";
    const EncoderSizes& s = the(op, encoder).encoder.sizes();
    *out = called<int64_t>(op, name,
                           {{"inputs", s.I},
                            {"hidden", s.H},
                            {"layers", s.layers},
                            {"directions", s.directions()},
                            {"projection", s.projection},
                            {"state", s.state_width()},
                            {"output", s.output_width()},
                            {"bias", s.bias}});
  });
}

unroll_status unroll_encoder_forward(const unroll_encoder* encoder, const unroll_tensor* x,
                                     const int64_t* lengths, int64_t lengths_count,
                                     const unroll_tensor* h_0, const unroll_tensor* c_0,
                                     unroll_tensor** y, unroll_tensor** h_n, unroll_tensor** c_n) {
  return guarded([&] {
    constexpr const char* op = "encoder_forward";
    const Encoder& own = the(op, encoder).encoder;
    const Tensor& input = the(op, x);
    if (c_0 && !own.sizes().has_cell_state())
      fail(op, "c_0 is an LSTM's, and this is a " + encoder->description);
    const Lengths steps = lengths_from(op, lengths, lengths_count);
    const EncoderState state{optional(h_0), optional(c_0)};
    const EncoderOut run = input.dtype() == own.dtype()
                               ? own(input, state, steps)
                               : own.in(input.dtype())(input, state, steps);
    hand_out({{run.y, y}, {run.last.h, h_n}, {run.last.c, c_n}});
  });
}
