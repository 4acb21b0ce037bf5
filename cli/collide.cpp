// unroll collide: two inputs that nobody can tell apart by what is seen of their runs.
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/command.h"
#include "cli/inversion_options.h"
#include "cli/output_files.h"
#include "cli/terminal.h"
#include "core/view.h"
#include "inversion/certificate.h"
#include "io/atomic_file.h"

namespace unroll::cli {
namespace {

struct Arguments {
  explicit Arguments(Command command) : run(command) {}

  InversionOptions run;
  std::string input, out, json;
  std::int64_t steps = 0, starts = 60;
  double distance = 2;
  std::uint64_t seed = 1;
};

// [T,1,I] of a file, or drawn.
Tensor input_of(const Arguments& a, const Encoder& encoder) {
  const std::int64_t I = encoder.sizes().I;
  if (a.input.empty()) {
    if (a.steps == 0) throw UsageError("give --steps, the length of the run, or an --input");
    return Random(a.seed).normal({a.steps, 1, I}, 0, 1, Dtype::float64);
  }
  Tensor x = read_numbers(a.input);
  if (x.rank() == 2) x = view::unsqueeze(x, 1);
  if (x.rank() != 3 || x.shape()[0] < 1 || x.shape()[1] != 1 || x.shape()[2] != I)
    throw Error(a.input + " is " + to_string(x.shape()) + " but must be [T," + std::to_string(I) +
                "], one sequence for " + encoder.describe());
  if (a.steps != 0 && x.shape()[0] != a.steps)
    throw UsageError("--steps " + std::to_string(a.steps) + " but " + a.input + " has " +
                     std::to_string(x.shape()[0]));
  return x;
}

struct Outcome {
  Collision collision;
  bool on_surface;  // reached by a walk, else sought from random starts
};

Outcome search(const Arguments& a, const Facts& facts, const Tensor& row) {
  const Collision walked = find_collision(facts, row, {.distance = a.distance, .seed = a.seed});
  if (walked.rank < facts.unknowns()) return {walked, true};
  return {second_preimage(facts, row, {.starts = a.starts, .seed = a.seed}), false};
}

std::string verdict(const Arguments& a, const Outcome& o, std::int64_t unknowns) {
  const Collision& c = o.collision;
  if (c.found)
    return "ambiguous: two inputs, one output" +
           (a.out.empty() ? "" : "; certificate in " + in_shell(a.out));
  if (o.on_surface)
    return "ambiguous near this input, which may move in " + std::to_string(unknowns - c.rank) +
           " directions, but no other was found at distance " + number(a.distance) +
           "; try a smaller --distance or another --seed";
  return "no other input was found from " + std::to_string(c.steps) +
         " random starts, which proves nothing; near this one there is none";
}

nlohmann::json json_of(const Arguments& a, const Facts& facts, const Outcome& o) {
  const Collision& c = o.collision;
  return {{"found", c.found},
          {"kind", o.on_surface ? "surface" : "isolated"},
          {"observe", a.run.observe()},
          {"steps", facts.T()},
          {"unknowns", facts.unknowns()},
          {"facts", facts.count()},
          {"rank", c.rank},
          {"input_distance", c.input_distance},
          {"output_distance", c.output_distance},
          {"certificate", c.found ? a.out : ""}};
}

void run_collide(const Arguments& a) {
  std::vector<std::string> inputs = a.run.files();
  inputs.push_back(a.input);
  check_output_files("collide", {{"--out", a.out}, {"--json", a.json}}, inputs);
  const Encoder encoder = a.run.encoder();
  const Tensor x = input_of(a, encoder);
  const Observation seen = a.run.observation(encoder);
  const Facts facts(encoder, seen, x.shape()[0]);
  const Tensor row = facts.rows_of(x, seen.initial);
  const Outcome o = search(a, facts, row);
  const Collision& c = o.collision;
  if (c.found && !a.out.empty()) {
    write_certificate(a.out, facts, c);
    if (!check_certificate(a.out).found)
      throw Error(a.out + " does not give the same outputs when it is run again");
  }
  if (!a.json.empty()) write_file(a.json, json_of(a, facts, o).dump(2) + "\n");
  const std::int64_t n = facts.unknowns();
  std::string text = encoder.describe() + ", " + std::to_string(facts.T()) + " steps, seen as " +
                     a.run.observe() + ": " + std::to_string(n) + " unknowns, " +
                     std::to_string(facts.count()) + " facts\n" + "rank of the Jacobian  " +
                     std::to_string(c.rank) + " of " + std::to_string(n) + "\n";
  if (c.found || o.on_surface)
    text += "inputs at distance    " + number(c.input_distance) + "\n" + "outputs differ by     " +
            number(c.output_distance) + " at most\n";
  print(text + "verdict               " + verdict(a, o, n) + "\n");
}

}  // namespace

void add_collide(Command& unroll) {
  Command collide = unroll.subcommand(
      "collide", "two inputs with one output: a proof that the output does not tell the input");
  const auto a = std::make_shared<Arguments>(collide);
  collide.whole("--steps", a->steps, 1, "length of the run; not needed beside --input");
  collide.text("--input", a->input, "npy [T,I], the first input; default: drawn, N(0,1)");
  collide.real("--distance", a->distance, 1e-6, 1e6, "Euclidean, between the inputs, at least");
  collide.whole("--starts", a->starts, 1, "random starts where no direction is open");
  collide.text("--out", a->out, "certificate to write: npz, or else safetensors");
  collide.text("--json", a->json, "also write what was found to this file");
  collide.seed("--seed", a->seed, "of the drawn input, directions and starts");
  a->run.device();
  collide.threads();
  collide.footer(
      "Example:\n"
      "  unroll collide --weights lstm.safetensors --steps 24 --observe final --out c.npz");
  collide.on_run([a] { run_collide(*a); });
}

}  // namespace unroll::cli
