// A decoder for a given encoder: what it is fed, what stays as it was, what is refused.
#include <gtest/gtest.h>

#include <filesystem>

#include "autograd/gradcheck.h"
#include "autograd/ops.h"
#include "core/view.h"
#include "inversion/decoder_start.h"
#include "io/safetensors.h"
#include "models/model.h"
#include "models/series.h"
#include "models/trainer.h"
#include "tests/temporary.h"
#include "tests/testing.h"

namespace unroll {
namespace {

constexpr Dtype f64 = Dtype::float64;

const EncoderSizes kSizes[] = {
    {.cell = Cell::tanh, .I = 2, .H = 5},
    {.cell = Cell::relu, .I = 2, .H = 4, .layers = 3, .bias = false},
    {.cell = Cell::gru, .I = 2, .H = 3, .layers = 2, .bidirectional = true},
    {.cell = Cell::lstm, .I = 2, .H = 5},
    {.cell = Cell::lstm, .I = 2, .H = 4, .layers = 2, .bidirectional = true, .projection = 3},
};

Encoder drawn(const EncoderSizes& sizes, std::uint64_t seed = 5) {
  Random random(seed);
  return {sizes, random};
}

ModelOptions options_for(const Encoder& encoder, ModelKind kind, bool frozen) {
  return {.kind = kind,
          .cell = encoder.sizes().cell,
          .inputs = encoder.sizes().I,
          .hidden = 5,
          .given = GivenEncoder{.encoder = encoder, .frozen = frozen}};
}

struct Made {
  explicit Made(const ModelOptions& options) : parameters(f64), model(parameters, options) {
    Random random(2);
    model.reset(random);
  }
  Parameters parameters;
  Reconstruction model;
};

Tensor random_batch(std::int64_t T = 6, std::int64_t N = 3) {
  return Random(7).normal({T, N, 2}, 0, 1, f64);
}

TEST(GivenEncoder, EveryKindDecodesWhatTheEncoderSays) {
  const Tensor x = random_batch();
  for (const EncoderSizes& sizes : kSizes)
    for (const ModelKind kind : all_model_kinds()) {
      const Encoder encoder = drawn(sizes);
      const Made made(options_for(encoder, kind, true));
      const Encoded encoded = made.model.encode(x);
      const EncoderOut out = encoder(x);
      EXPECT_EQ(to_vector<double>(encoded.y), to_vector<double>(out.y));
      EXPECT_EQ(to_vector<double>(encoded.state.h), to_vector<double>(out.last.h));
      const Tensor y = made.model(x);
      EXPECT_EQ(y.shape(), (Shape{kind == ModelKind::autoencoder_last ? 1 : 6, 3, 2}));
      EXPECT_EQ(to_vector<double>(made.model.decode(encoded, 6)), to_vector<double>(y));
    }
}

TEST(GivenEncoder, TheLastOutputIsThatOfBothDirections) {
  const Tensor x = random_batch();
  const Encoder encoder = drawn(kSizes[4]);
  const Made made(options_for(encoder, ModelKind::decoder_repeat, true));
  const Tensor y = encoder(x).y;  // [T,N,2P]
  const Tensor last = cat(
      {view::slice(view::select(y, 0, 5), 1, 0, 3), view::slice(view::select(y, 0, 0), 1, 3, 6)},
      -1);
  EXPECT_EQ(to_vector<double>(made.model.decode({.last = last}, 6)),
            to_vector<double>(made.model(x)));
  EXPECT_EQ(made.model.bottleneck(), 6);
}

TEST(GivenEncoder, FrozenItIsNoParameterElseItIs) {
  for (const EncoderSizes& sizes : kSizes) {
    const Encoder encoder = drawn(sizes);
    const Made frozen(options_for(encoder, ModelKind::decoder, true));
    const Made tuned(options_for(encoder, ModelKind::decoder, false));
    for (const std::string& name : frozen.parameters.names())
      EXPECT_FALSE(name.starts_with("encoder.")) << name;
    const std::vector<NamedTensor> constants = frozen.model.constants();
    ASSERT_EQ(constants.size(), encoder.tensors().size());
    EXPECT_TRUE(tuned.model.constants().empty());
    for (const NamedTensor& each : encoder.tensors()) {
      const Tensor& parameter = tuned.parameters.get("encoder." + each.name);
      EXPECT_EQ(to_vector<double>(parameter), to_vector<double>(each.tensor)) << each.name;
    }
    EXPECT_EQ(to_vector<double>(tuned.model(random_batch())),
              to_vector<double>(frozen.model(random_batch())));
  }
}

TEST(GivenEncoder, ReadsTheDataInItsOwnUnits) {
  ModelOptions options = options_for(drawn(kSizes[0]), ModelKind::autoencoder, true);
  const Made plain(options);
  options.given->mean = {3, -1};
  options.given->sd = {2, 0.5};
  const Made scaled(options);
  const Tensor x = random_batch(), mean = from_values<double>(std::vector<double>{3, -1}, {2}),
               sd = from_values<double>(std::vector<double>{2, 0.5}, {2});
  EXPECT_EQ(to_vector<double>(scaled.model.encode(x).y),
            to_vector<double>(plain.model.encode(x * sd + mean).y));
}

// The derivative passes the layer between two states of different sizes and the encoder behind it.
TEST(GivenEncoder, GradientsOfAFineTunedModel) {
  for (const ModelKind kind : {ModelKind::decoder, ModelKind::attention, ModelKind::autoencoder}) {
    Made made(options_for(drawn(kSizes[4]), kind, false));
    const Tensor x = random_batch(3, 2);
    Tape tape;
    const Tensor loss = made.model.loss(x);
    const Tensor gradient = tape.pull(loss, ones({}, f64), made.parameters);
    Tensor& flat = made.parameters.mutable_flat();
    Random random(1);
    const Tensor v = random.normal(flat.shape(), 0, 1, f64);
    const NoTape none;
    const double expected = sum(gradient * v).item(), h = 1e-6;
    const Tensor start = cast_copy(flat, f64);
    const auto at = [&](double step) {
      copy_into(flat, start + v * step);
      return made.model.loss(x).item();
    };
    EXPECT_NEAR((at(h) - at(-h)) / (2 * h), expected, 1e-7 * std::abs(expected) + 1e-9);
  }
}

TEST(GivenEncoder, TrainingLeavesAFrozenOneAloneAndLearns) {
  testing::TemporaryFolder folder;
  const Encoder encoder = drawn(kSizes[4]);
  for (const bool frozen : {true, false}) {
    Made made(options_for(encoder, ModelKind::decoder, frozen));
    Trainer trainer(made.model, made.parameters, {.steps = 60, .lr = 1e-2});
    trainer.set_directory(folder.path().string());
    const Tensor x = random_batch();
    const double before = made.model.loss(x).item();
    trainer.run([&](std::int64_t) { return Batch{x, {}}; });
    EXPECT_LT(made.model.loss(x).item(), 0.8 * before);
    const Safetensors file = read_safetensors(folder / "model.safetensors");
    for (const NamedTensor& each : encoder.tensors()) {
      const bool same =
          to_vector<double>(file["encoder." + each.name]) == to_vector<double>(each.tensor);
      EXPECT_EQ(same, frozen) << each.name;
    }
  }
}

TEST(GivenEncoder, WhatDoesNotFitIsRefused) {
  const Encoder encoder = drawn(kSizes[4]);
  ModelOptions wrong = options_for(encoder, ModelKind::decoder, true);
  wrong.inputs = 3;
  EXPECT_ERROR(Made{wrong}, "projected to 3", "does not read 3 numbers");
  const Encoded seen =
      Made(options_for(encoder, ModelKind::decoder, true)).model.encode(random_batch());
  const auto decode = [&](ModelKind kind, const Encoded& encoded, std::int64_t steps = 6) {
    return Made(options_for(encoder, kind, true)).model.decode(encoded, steps);
  };
  EXPECT_ERROR(decode(ModelKind::decoder, {.last = zeros({3, 6}, f64)}), "the state h [4,-1,3]",
               "not given");
  EXPECT_ERROR(decode(ModelKind::decoder, {.state = {seen.state.h, {}}}), "the state c",
               "not given");
  EXPECT_ERROR(decode(ModelKind::attention, {.state = seen.state}), "every output", "not given");
  EXPECT_ERROR(decode(ModelKind::autoencoder_all, seen, 7), "[7,-1,6]", "[6,3,6]");
  EXPECT_ERROR(decode(ModelKind::autoencoder, {.last = zeros({3, 5}, f64)}), "[3,5]");
}

// ---- Run folders

RunConfig config_for(const Encoder& encoder, Dtype dtype = f64) {
  RunConfig config;
  config.model = options_for(encoder, ModelKind::autoencoder, true);
  config.encoder = {.file = "/w.safetensors",
                    .prefix = "rnn.",
                    .cell = name(encoder.sizes().cell),
                    .frozen = true};
  config.columns = {"a", "b"};
  config.mean = config.model.given->mean = {3, -1};
  config.sd = config.model.given->sd = {2, 0.5};
  config.train.steps_per_epoch = 1;
  config.dtype = dtype;
  return config;
}

TEST(GivenEncoder, TheRunFolderStandsAlone) {
  testing::TemporaryFolder folder;
  for (const EncoderSizes& sizes : kSizes) {
    const std::string directory = folder / drawn(sizes).describe();
    std::filesystem::create_directories(directory);
    const RunConfig config = config_for(drawn(sizes));
    save_config(directory, config);
    const Model model(config);
    save_model(directory + "/model.safetensors", *model.parameters);
    const Model back = Model::open(directory);
    EXPECT_EQ(load_config(directory).encoder.prefix, "rnn.");
    EXPECT_EQ(back.reconstruction.options().given->encoder.describe(), drawn(sizes).describe());
    EXPECT_EQ(to_vector<double>(back.reconstruction(random_batch())),
              to_vector<double>(model.reconstruction(random_batch())));
  }
}

TEST(GivenEncoder, AnotherFileOfItsNameIsNotOverwritten) {
  testing::TemporaryFolder folder;
  const std::string directory = folder.path().string(), path = folder / "encoder.safetensors";
  save_config(directory, config_for(drawn(kSizes[0])));
  const std::string bytes = testing::read_bytes(path);
  save_config(directory, config_for(drawn(kSizes[0])));  // after a kill
  EXPECT_ERROR(save_config(directory, config_for(drawn(kSizes[0], 6))), "encoder.safetensors",
               "another encoder");
  EXPECT_EQ(testing::read_bytes(path), bytes);
  std::filesystem::remove(path);
  EXPECT_ERROR(load_config(directory), "encoder.safetensors");
}

TEST(GivenEncoder, DecodeStateIsTheReconstructionInTheDataUnits) {
  const Tensor x = random_batch(), raw = Standardizer({3, -1}, {2, 0.5}).invert(x);
  for (const EncoderSizes& sizes : kSizes)
    for (const ModelKind kind : {ModelKind::autoencoder, ModelKind::decoder}) {
      const Encoder encoder = drawn(sizes);
      RunConfig config = config_for(encoder, Dtype::float32);
      config.model.kind = kind;
      const Model model(config);
      const EncoderOut out = encoder(raw);
      const Tensor guess = decode_state(model, {.state = {out.last.h, out.last.c}}, 6);
      const Tensor expected =
          Standardizer({3, -1}, {2, 0.5})
              .invert(cast_copy(model.reconstruction(cast_copy(x, Dtype::float32)), f64));
      EXPECT_EQ(guess.dtype(), f64);
      EXPECT_LT(sum(abs(guess - expected)).item(), 1e-4);
    }
  RunConfig own = config_for(drawn(kSizes[0]));
  own.model.given.reset();
  const Model model(own);
  const Encoded seen = model.reconstruction.encode(x);
  EXPECT_EQ(to_vector<double>(decode_state(model, seen, 6)),
            to_vector<double>(model.reconstruction(x)))
      << "its own encoder reads standardised data";
  EXPECT_ERROR(decode_state(model, seen, 0), "0 steps");
}

// Whatever was seen, the decoder gets the same of it as from the encoder itself.
TEST(GivenEncoder, WhatWasSeenIsAStartForInverting) {
  const Tensor raw = Standardizer({3, -1}, {2, 0.5}).invert(random_batch());
  const auto start = [&](const EncoderSizes& sizes, ModelKind kind, const Observation& seen) {
    RunConfig config = config_for(drawn(sizes));
    config.model.kind = kind;
    const Facts facts(drawn(sizes), seen, 6);
    return decoder_start(facts, facts(raw, {}), Model(config));
  };
  const auto expect = [&](const EncoderSizes& sizes, ModelKind kind, const char* seen) {
    RunConfig config = config_for(drawn(sizes));
    config.model.kind = kind;
    const EncoderOut out = drawn(sizes)(raw);
    const Tensor whole = decode_state(Model(config), {out.y, {out.last.h, out.last.c}, {}}, 6);
    const Tensor guess = start(sizes, kind, observation(seen));
    EXPECT_EQ(to_vector<double>(guess), to_vector<double>(whole)) << name(kind) << " " << seen;
  };
  for (const EncoderSizes& sizes : kSizes) {
    expect(sizes, ModelKind::decoder, "state");
    expect(sizes, ModelKind::autoencoder, "final");
    expect(sizes, ModelKind::autoencoder_all, "all");
  }
  expect(kSizes[0], ModelKind::decoder, "final");
  expect(kSizes[3], ModelKind::decoder, "final-cell");
  expect(kSizes[3], ModelKind::autoencoder, "all");
  EXPECT_ERROR(start(kSizes[3], ModelKind::decoder, observation("final")), "the state c",
               "not given");
  EXPECT_ERROR(start(kSizes[1], ModelKind::decoder, observation("final")), "the state h",
               "not given");
  EXPECT_ERROR(start(kSizes[0], ModelKind::decoder, observation("every:2")), "every k-th step");
  EXPECT_ERROR(start(kSizes[0], ModelKind::autoencoder_last, observation("final")),
               "gives back [1,3,2]");
  Observation through = observation("all");
  through.readout = ones({2, 5}, f64);
  EXPECT_ERROR(start(kSizes[0], ModelKind::decoder, through), "readout");
}

}  // namespace
}  // namespace unroll
