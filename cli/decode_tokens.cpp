// unroll decode-tokens: which tokens an encoder read, from its outputs; or a census of all that it
// could have read.
#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/command.h"
#include "cli/inversion_options.h"
#include "cli/output_files.h"
#include "cli/terminal.h"
#include "core/view.h"
#include "inversion/tokens.h"
#include "io/atomic_file.h"
#include "io/npy.h"
#include "models/weights.h"

namespace unroll::cli {
namespace {

struct Arguments {
  explicit Arguments(Command command) : run(command) {}

  InversionOptions run;
  std::string embedding, outputs, out, json;
  bool census = false;
  std::int64_t vocabulary = 0, steps = 0, beam = 16;
  double tolerance = 0;
  std::uint64_t seed = 1;
};

// A tensor of the file of weights by its name, or an npy file.
Tensor embedding_of(const Arguments& a, const Encoder& encoder) {
  const std::int64_t I = encoder.sizes().I;
  if (a.embedding.empty()) {
    if (!a.census || a.vocabulary == 0)
      throw UsageError("give --embedding, or for a --census the size of a drawn --vocabulary");
    return Random(a.seed).normal({a.vocabulary, I}, 0, 1, Dtype::float64);
  }
  Tensor table;
  std::string candidates;
  for (const NamedTensor& each : read_weights(a.run.weights())) {
    if (each.name == a.embedding) table = each.tensor;
    if (each.tensor.rank() == 2 && each.tensor.shape()[1] == I)
      candidates += (candidates.empty() ? "" : ", ") + each.name;
  }
  if (!table && !a.embedding.ends_with(".npy"))
    throw Error(a.run.weights() + " has no tensor " + a.embedding + "; of width " +
                std::to_string(I) + " there are: " + (candidates.empty() ? "none" : candidates));
  if (!table) table = read_numbers(a.embedding);
  if (a.vocabulary == 0) return table;
  if (table.rank() != 2 || table.shape()[0] < a.vocabulary)
    throw Error(a.embedding + " is " + to_string(table.shape()) + ", fewer than --vocabulary " +
                std::to_string(a.vocabulary));
  return view::slice(table, 0, 0, a.vocabulary);
}

void require_sense(const Arguments& a, const Observation& seen) {
  const bool last = seen.outputs == Seen::final;
  if ((!last && seen.outputs != Seen::all) || seen.readout)
    throw UsageError("tokens are decoded from --observe all or final, without a readout");
  if (!seen.initial_known || (last && (seen.initial.h || seen.initial.c)))
    throw UsageError("tokens are decoded from a known start, and from a last state only from zero");
  if (a.census && !a.outputs.empty())
    throw UsageError("--census needs no --outputs; to decode last states, --observe final");
  if (!a.census && (a.outputs.empty() || a.out.empty()))
    throw UsageError("give --outputs and --out, or ask for a --census");
  if ((a.census || last) && a.steps == 0) throw UsageError("give --steps, the length of the run");
}

void write_json(const Arguments& a, const nlohmann::json& json) {
  if (!a.json.empty()) write_file(a.json, json.dump(2) + "\n");
}

void show_census(const Arguments& a, const Encoder& encoder, const Tensor& table) {
  const TokenCensus census = token_census(encoder, table, a.steps);
  const std::string all = std::to_string(census.sequences());
  std::vector<std::vector<std::string>> rows = {{"last states kept as", "distinct", "collisions"}};
  nlohmann::json distinct;
  for (const TokenCensus::Distinct& each : census.distinct) {
    rows.push_back({name(each.dtype), std::to_string(each.count),
                    std::to_string(census.sequences() - each.count)});
    distinct[name(each.dtype)] = each.count;
  }
  const auto tokens = [&](std::int64_t which) {
    return to_vector<std::int64_t>(contiguous_copy(view::select(census.nearest, 1, which)));
  };
  write_json(a, {{"sequences", census.sequences()},
                 {"vocabulary", census.V},
                 {"steps", census.T},
                 {"distinct", distinct},
                 {"smallest_gap", census.smallest_gap},
                 {"nearest", {tokens(0), tokens(1)}}});
  print(encoder.describe() + ": all " + all + " sequences of " + std::to_string(census.T) +
        " out of " + std::to_string(census.V) + " tokens\n\n" + cli::table(rows) +
        "\nsmallest distance of two last states: " + number(census.smallest_gap) + "\n");
}

// [T,N] or [T], as the outputs had a batch or not.
void write_tokens(const std::string& path, const Tensor& tokens, bool batched) {
  write_npy(path, batched ? tokens : contiguous_copy(view::select(tokens, 1, 0)));
}

void decode_last(const Arguments& a, const Encoder& encoder, const Tensor& table,
                 const Tensor& outputs) {
  const bool batched = outputs.rank() == 2;
  const Tensor last = batched ? outputs : view::unsqueeze(outputs, 0);
  const NearestSequences found = nearest_sequences(token_census(encoder, table, a.steps), last);
  write_tokens(a.out, found.tokens, batched);
  write_json(a, {{"sequences", found.distance.size()},
                 {"steps", a.steps},
                 {"vocabulary", table.shape()[0]},
                 {"distance", found.distance},
                 {"margin", found.margin}});
  print("tokens of " + std::to_string(found.distance.size()) + " last states in " +
        in_shell(a.out) + "\ndistance of the nearest sequence, at most     " +
        number(*std::max_element(found.distance.begin(), found.distance.end())) +
        "\ndistance of the second nearest, at least      " +
        number(*std::min_element(found.margin.begin(), found.margin.end())) + "\n");
}

void decode_all(const Arguments& a, const Encoder& encoder, const Tensor& table,
                const Tensor& outputs, const Observation& seen) {
  const bool batched = outputs.rank() == 3;
  const Decoded found =
      decode_tokens(encoder, table, batched ? outputs : view::unsqueeze(outputs, 1),
                    {.initial = seen.initial, .tolerance = a.tolerance, .beam = a.beam});
  write_tokens(a.out, found.tokens, batched);
  const std::size_t N = found.distance.size();
  std::size_t fit = 0, ambiguous = 0;
  for (std::size_t n = 0; n < N; n++) {
    fit += found.distance[n] <= found.tolerance;
    ambiguous += found.alternatives[n] > 0;
  }
  write_json(a, {{"sequences", N},
                 {"steps", found.tokens.shape()[0]},
                 {"vocabulary", table.shape()[0]},
                 {"exact", found.is_exact()},
                 {"tolerance", found.tolerance},
                 {"distance", found.distance},
                 {"margin", found.margin},
                 {"alternatives", found.alternatives}});
  std::string verdict = "recovered: one sequence of tokens fits";
  if (fit < N)
    verdict =
        std::to_string(N - fit) +
        " fit no tokens: other weights or another start, a wider --tolerance, or --observe final";
  else if (ambiguous)
    verdict = "ambiguous: for " + std::to_string(ambiguous) + " other tokens fit as well";
  print("tokens of " + std::to_string(N) + " sequences in " + in_shell(a.out) +
        "\noutputs fit to                         " +
        number(*std::max_element(found.distance.begin(), found.distance.end())) + " (allowed " +
        number(found.tolerance) + ")\nthe second best token of a step is off " +
        number(*std::min_element(found.margin.begin(), found.margin.end())) +
        " or more\nverdict                                " + verdict + "\n");
}

void run_decode(const Arguments& a) {
  const Encoder encoder = a.run.encoder();
  const Tensor table = embedding_of(a, encoder);
  const Observation seen = a.run.observation(encoder);
  require_sense(a, seen);
  std::vector<std::string> inputs = a.run.files();
  inputs.insert(inputs.end(), {a.embedding, a.outputs});
  check_output_files("decode-tokens", {{"--out", a.out}, {"--json", a.json}}, inputs);
  if (a.census) return show_census(a, encoder, table);
  const Tensor outputs = read_npy(a.outputs);
  if (outputs.rank() < 1 || outputs.numel() == 0) throw Error(a.outputs + " holds nothing");
  if (seen.outputs == Seen::final) return decode_last(a, encoder, table, outputs);
  return decode_all(a, encoder, table, outputs, seen);
}

}  // namespace

void add_decode_tokens(Command& unroll) {
  Command decode = unroll.subcommand(
      "decode-tokens", "the tokens that an encoder read, from its outputs; or how many collide");
  const auto a = std::make_shared<Arguments>(decode);
  decode.text("--embedding", a->embedding, "npy [V,I], or its name in the file of weights");
  decode.text("--outputs", a->outputs, "npy [T,N,H], or [N,H] of last states; or without N");
  decode.text("--out", a->out, "npy of tokens to write, [T,N]");
  decode.flag("--census", a->census, "the last states of all V^T sequences instead");
  decode.whole("--vocabulary", a->vocabulary, 1, "the first V tokens; default: all of --embedding");
  decode.whole("--steps", a->steps, 1, "length of the run, where only its last state is seen");
  decode.real("--tolerance", a->tolerance, 0, 1e300, "what counts as equal; 0: rounding");
  decode.whole("--beam", a->beam, 1, "sequences kept where several fit");
  decode.text("--json", a->json, "also write what was found to this file");
  decode.seed("--seed", a->seed, "of an embedding that is drawn for a census");
  decode.threads();
  decode.footer(
      "Examples:\n"
      "  unroll decode-tokens --weights lm.safetensors --prefix rnn. --embedding emb.weight \\\n"
      "      --outputs y.npy --out tokens.npy\n"
      "  unroll decode-tokens --weights gru.npz --census --vocabulary 10 --steps 5");
  decode.on_run([a] { run_decode(*a); });
}

}  // namespace unroll::cli
