// Rows of the recurrent ops with options; the reference is tests/recurrent_steps_reference.h.
#include "autograd/ops.h"
#include "tests/op_cases.h"
#include "tests/recurrent_options.h"

namespace unroll::testing {
namespace {

Array reference(const StepsProblem& p, const Arrays& x) {
  StepsInputs<double> in;
  std::size_t next = 0, i = 0;
  for (const Shape& shape : operand_shapes(p)) {
    if (shape.rank() > 0) *in.all()[i] = x[next++].v;
    i++;
  }
  Outputs<double> out = steps_reference(p, in);
  Array flat;
  for (const auto* part : out.all()) flat.v.insert(flat.v.end(), part->begin(), part->end());
  flat.shape = Shape{static_cast<std::int64_t>(flat.v.size())};
  return flat;
}

Tensor joined(const StepsProblem& p, const Tensors& x) {
  Tensors flat;
  for (const Tensor& t : run_options(p, x)) flat.push_back(reshape(t, {-1}));
  return cat(flat, 0);
}

// The problem with another batch: the lengths begin anew where they end.
StepsProblem with_batch(StepsProblem p, std::int64_t N) {
  const std::size_t given = p.lengths.size();
  p.N = N;
  if (given) p.lengths.resize(static_cast<std::size_t>(N));
  for (std::size_t n = given; n < p.lengths.size(); n++) p.lengths[n] = p.lengths[n - given];
  return p;
}

// Work enough for several threads.
StepsProblem enlarged(const StepsProblem& p) {
  StepsProblem large = with_batch(p, 61);
  large.I = 24;
  large.H = 96;
  if (p.projection) large.projection = 40;
  return large;
}

// Another one where a value lies at a kink of the clip, or a normalised row is nearly constant.
std::uint64_t seed_of(const std::string& name) {
  if (name == "lstm_clip" || name == "lstm_peephole_clip" || name == "lstm_coupled_peephole_clip")
    return 2;
  if (name == "lstm_norm") return 4;
  return name == "lstm_all" ? 8 : 1;
}

}  // namespace

void add_recurrent_option_cases(std::vector<OpCase>& cases) {
  for (const StepsProblem& p : option_problems()) {
    OpCase c{.op = p.name,
             .variant = p.reverse ? "reverse" : "",
             .inputs = {},
             .f = [p](const Tensors& x) { return joined(with_batch(p, x[0].shape()[1]), x); },
             .reference = [p](const Arrays& x) { return reference(p, x); },
             .float32_tolerance = 1e-5,
             .seed = seed_of(p.name)};
    // Normalised rows bend sharply where their numbers lie close together.
    const double spread = p.norm ? 2 : 0.5;
    for (const Shape& shape : operand_shapes(p))
      if (shape.rank() > 0) c.inputs.push_back(normal(shape, c.inputs.size() == 6 ? spread : 0.5));
    for (const Shape& shape : operand_shapes(enlarged(p)))
      if (shape.rank() > 0) c.large.push_back(shape);
    cases.push_back(c);
  }
}

}  // namespace unroll::testing
