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

// Another one where a value lies at a kink of the clip, or a normalised row is nearly constant.
std::uint64_t seed_of(const std::string& name) {
  if (name == "lstm_clip" || name == "lstm_peephole_clip") return 2;
  if (name == "lstm_norm") return 4;
  return name == "lstm_all" ? 8 : 1;
}

}  // namespace

void add_recurrent_option_cases(std::vector<OpCase>& cases) {
  for (const StepsProblem& p : option_problems()) {
    OpCase c{.op = p.name,
             .variant = p.reverse ? "reverse" : "",
             .inputs = {},
             .f = [p](const Tensors& x) { return joined(p, x); },
             .reference = [p](const Arrays& x) { return reference(p, x); },
             .float32_tolerance = 1e-5,
             .seed = seed_of(p.name)};
    // Normalised rows bend sharply where their numbers lie close together.
    const double spread = p.norm ? 2 : 0.5;
    for (const Shape& shape : operand_shapes(p))
      if (shape.rank() > 0) c.inputs.push_back(normal(shape, c.inputs.size() == 6 ? spread : 0.5));
    for (const Input& input : c.inputs) c.large.push_back(input.shape);
    cases.push_back(c);
  }
}

}  // namespace unroll::testing
