#include <cmath>

#include "capi/handles.h"

using namespace unroll;
using namespace unroll::capi;

namespace {

Tape& tape_of(const char* op, unroll_tape* tape) { return the(op, tape).tape; }

void hand_out_list(const Tensors& tensors, unroll_tensor** outs) {
  std::vector<std::pair<Tensor, unroll_tensor**>> places;
  for (std::size_t i = 0; i < tensors.size(); i++) places.emplace_back(tensors[i], outs + i);
  hand_out(places);
}

void require_finite(const char* what, double value) {
  if (!std::isfinite(value))
    fail("train_step", std::string(what) + " is " + std::to_string(value) +
                           "; try a lower learning rate or clip");
}

}  // namespace

unroll_status unroll_tape_begin(unroll_tape** out) {
  return guarded([&] { *out = new unroll_tape{{}, std::this_thread::get_id()}; });
}

unroll_status unroll_tape_end(unroll_tape* tape) {
  return guarded([&] {
    if (the("tape_end", tape).thread != std::this_thread::get_id())
      fail("tape_end", "a tape belongs to the thread that began it; end it there");
    delete tape;
  });
}

unroll_status unroll_tape_pull(unroll_tape* tape, const unroll_tensor* const* ys,
                               const unroll_tensor* const* us, int ys_count,
                               const unroll_tensor* const* xs, int xs_count, unroll_tensor** outs) {
  return guarded([&] {
    constexpr const char* op = "pull";
    const Tensors y = list(op, ys, ys_count), u = list(op, us, ys_count, true);
    const Tensors x = list(op, xs, xs_count);
    hand_out_list(tape_of(op, tape).pull(y, u, x), outs);
  });
}

unroll_status unroll_tape_pull_parameters(unroll_tape* tape, const unroll_tensor* y,
                                          const unroll_tensor* u,
                                          const unroll_parameters* parameters,
                                          unroll_tensor** out) {
  return guarded([&] {
    constexpr const char* op = "pull";
    *out = handle(tape_of(op, tape).pull(the(op, y), the(op, u), *the(op, parameters).parameters));
  });
}

unroll_status unroll_tape_push(unroll_tape* tape, const unroll_tensor* const* xs,
                               const unroll_tensor* const* vs, int xs_count,
                               const unroll_tensor* const* ys, int ys_count, unroll_tensor** outs) {
  return guarded([&] {
    constexpr const char* op = "push";
    const Tensors x = list(op, xs, xs_count), v = list(op, vs, xs_count, true);
    const Tensors y = list(op, ys, ys_count);
    hand_out_list(tape_of(op, tape).push(x, v, y), outs);
  });
}

unroll_status unroll_tape_backward(unroll_tape* tape, const unroll_tensor* loss,
                                   unroll_parameters* parameters) {
  return guarded([&] {
    constexpr const char* op = "backward";
    tape_of(op, tape).backward(the(op, loss), *the(op, parameters).parameters);
  });
}

unroll_status unroll_train_step(const unroll_model* model, unroll_optimizer* optimizer,
                                const unroll_tensor* x, const int64_t* lengths,
                                int64_t lengths_count, const double* lr, double clip, double* loss,
                                double* norm) {
  return guarded([&] {
    constexpr const char* op = "train_step";
    const Lengths steps = lengths_from(op, lengths, lengths_count);
    if (the(op, optimizer).parameters != the(op, model).parameters)
      fail(op, "the optimiser is not of the model's parameters");
    Parameters& parameters = *model->parameters;
    parameters.zero_gradients();
    Tape tape;
    const Tensor value = model->reconstruction.loss(the(op, x), steps);
    require_finite("the loss", value.item());
    tape.backward(value, parameters);
    const double before = clip > 0 ? clip_norm(parameters, clip) : gradient_norm(parameters);
    require_finite("the gradient's norm", before);
    step(*optimizer, lr);
    if (loss) *loss = value.item();
    if (norm) *norm = before;
  });
}
