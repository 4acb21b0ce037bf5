// Parameters from files of named tensors: formats, prefixes, types, and what a failure leaves.
#include "models/weights.h"

#include <gtest/gtest.h>

#include "io/npz.h"
#include "io/safetensors.h"
#include "tests/testing.h"

namespace unroll {
namespace {

using testing::TemporaryFolder;
using Doubles = std::vector<double>;

struct Fixture {
  Fixture() {
    parameters.add("a.w", {2});
    parameters.add("a.b", {1});
    parameters.add("c", {1});
  }
  Doubles values() const { return to_vector<double>(parameters.flat()); }
  Parameters parameters{Dtype::float32};
};

const Tensor w = from_values<double>({1, 2}, {2}), b = from_values<double>({3}, {1});

TEST(Weights, APrefixNamesPartOfThem) {
  Fixture f;
  assign_weights("here", {{"w", w}, {"b", b}, {"other", b}}, f.parameters, "a.");
  EXPECT_EQ(f.values(), (Doubles{1, 2, 3, 0}));
  assign_weights("here", {{"a.w", w}, {"a.b", b}, {"c", w}, {"c", b}}, f.parameters);
  EXPECT_EQ(f.values(), (Doubles{1, 2, 3, 3})) << "of one name the last counts";
}

TEST(Weights, TheNameOfTheFileTellsTheFormat) {
  const TemporaryFolder folder;
  write_npz(folder / "x.npz", {{"w", w}, {"b", b}});
  write_safetensors(folder / "x.safetensors", {{{"w", w}, {"b", b}}, {}});
  testing::write_bytes(folder / "x.index.json",
                       R"({"weight_map": {"w": "x.safetensors", "b": "x.safetensors"}})");
  for (const char* name : {"x.npz", "x.safetensors", "x.index.json"}) {
    Fixture f;
    load_weights(folder / name, f.parameters, "a.");
    EXPECT_EQ(f.values(), (Doubles{1, 2, 3, 0})) << name;
  }
}

TEST(Weights, AFailureChangesNothing) {
  Fixture f;
  const Tensor flags = from_values<bool>({true}, {1});
  EXPECT_ERROR(assign_weights("here", {{"w", w}}, f.parameters, "a."),
               "load: here has no tensor b");
  EXPECT_ERROR(assign_weights("here", {{"w", w}, {"b", w}}, f.parameters, "a."), "here: b is [2]",
               "[1]");
  EXPECT_ERROR(assign_weights("here", {{"w", w}, {"b", flags}}, f.parameters, "a."), "no real");
  EXPECT_ERROR(assign_weights("here", {{"w", w}}, f.parameters, "z."), "begins with z.");
  EXPECT_EQ(f.values(), (Doubles{0, 0, 0, 0}));
}

}  // namespace
}  // namespace unroll
