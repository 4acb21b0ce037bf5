// Collisions: found where the facts leave the input open, not found where they do not.
#include "inversion/collision.h"

#include <atomic>
#include <cmath>

#include "autograd/transforms.h"
#include "core/parallel.h"
#include "inversion/certificate.h"
#include "inversion/levenberg_marquardt.h"
#include "inversion/linear_algebra.h"
#include "io/npz.h"
#include "io/safetensors.h"
#include "tests/testing.h"

namespace unroll {
namespace {

constexpr Dtype f64 = Dtype::float64;
constexpr Cell kCells[] = {Cell::linear, Cell::tanh, Cell::relu, Cell::lstm, Cell::gru};

struct Case {
  Encoder encoder;
  Tensor x;
  Facts facts;

  Case(const EncoderSizes& sizes, std::int64_t T, const std::string& observe, std::uint64_t seed,
       bool initial_known = true)
      : Case(sizes, T, observe, Random(seed), initial_known) {}
  Tensor row() const { return facts.rows_of(x); }

 private:
  static Observation seen(const std::string& observe, bool initial_known) {
    Observation o = observation(observe);
    o.initial_known = initial_known;
    return o;
  }
  Case(const EncoderSizes& sizes, std::int64_t T, const std::string& observe, Random random,
       bool initial_known)
      : encoder(sizes, random),
        x(random.normal({T, 1, sizes.I}, 0, 1, f64)),
        facts(encoder, seen(observe, initial_known), T) {}
};

double facts_apart(const Facts& facts, const Collision& c) {
  return testing::difference(facts.of_unknowns(c.other), facts.of_unknowns(c.row));
}

TEST(Collision, IsFoundFromALastStateOfEveryCell) {
  for (const Cell cell : kCells) {
    const Case one({.cell = cell, .I = 1, .H = 8}, 24, "final", 3);
    const Collision c = find_collision(one.facts, one.row());
    EXPECT_TRUE(c.found) << name(cell) << " " << c.steps;
    EXPECT_GE(c.input_distance, 2) << name(cell);
    EXPECT_LT(c.input_distance, 2.1) << name(cell);
    EXPECT_LT(c.output_distance, 1e-10) << name(cell);
    EXPECT_LE(facts_apart(one.facts, c), 1e-9) << name(cell);
    EXPECT_NEAR(testing::norm(c.other - c.row), c.input_distance, 1e-12);
    EXPECT_TRUE(testing::same_bits(c.row, one.row()));
    EXPECT_LE(c.rank, 8);
  }
}

TEST(Collision, OfOtherObservations) {
  const EncoderSizes lstm{.cell = Cell::lstm, .I = 2, .H = 4, .layers = 2, .bidirectional = true};
  for (const char* observe : {"final", "final-cell", "every:6"}) {
    const Case one(lstm, 24, observe, 4);
    const Collision c = find_collision(one.facts, one.row());
    EXPECT_TRUE(c.found) << observe;
    EXPECT_LT(c.output_distance, 1e-10) << observe;
  }
  // All is seen, but not the start: CLAIMS.md 10.
  const Case one({.cell = Cell::lstm, .I = 3, .H = 8}, 6, "all", 5, false);
  const Collision c = find_collision(one.facts, one.row());
  EXPECT_EQ(one.facts.unknowns() - c.rank, 3);
  EXPECT_TRUE(c.found);
}

TEST(Collision, IsNotFoundWhereTheInputIsDetermined) {
  for (const Cell cell : {Cell::linear, Cell::tanh, Cell::lstm, Cell::gru}) {
    const Case one({.cell = cell, .I = 2, .H = 8}, 6, "all", 6);
    const Collision c = find_collision(one.facts, one.row());
    EXPECT_FALSE(c.found) << name(cell);
    EXPECT_EQ(c.rank, 12) << name(cell);
    EXPECT_EQ(c.steps, 0) << name(cell);
    EXPECT_EQ(c.input_distance, 0) << name(cell);
  }
}

// One step of a GRU with I = H; a tanh cell has an inverse there.
TEST(Collision, ASecondPreimageExistsInASquareGatedStep) {
  std::atomic<int> found = 0, of_tanh = 0, of_fewer = 0;
  run_jobs(5, [&](std::size_t job) {
    const std::uint64_t seed = job + 1;
    const Case square({.cell = Cell::gru, .I = 6, .H = 6}, 1, "final", seed);
    const Collision c = second_preimage(square.facts, square.row(), {.seed = seed});
    found += c.found;
    EXPECT_TRUE(!c.found || (c.output_distance < 1e-10 && c.rank == 6));
    const Case inverse({.cell = Cell::tanh, .I = 6, .H = 6}, 1, "final", seed);
    of_tanh += second_preimage(inverse.facts, inverse.row(), {.seed = seed}).found;
    const Case fewer({.cell = Cell::gru, .I = 3, .H = 8}, 1, "final", seed);
    of_fewer += second_preimage(fewer.facts, fewer.row(), {.seed = seed}).found;
  });
  EXPECT_GE(found, 3);
  EXPECT_EQ(of_tanh, 0);
  EXPECT_EQ(of_fewer, 0);
}

TEST(Collision, NullBasisIsWhatTheFactsDoNotSee) {
  const Case one({.cell = Cell::gru, .I = 1, .H = 4}, 10, "final", 7);
  const Tensor basis = null_basis(one.facts, one.row());
  ASSERT_EQ(basis.shape(), (Shape{10, 6}));
  EXPECT_LE(testing::difference(matmul(transpose(basis, 0, 1), basis), eye(6, f64)), 1e-14);
  const Linearised at =
      linearise(one.row(), [&](const Tensor& rows) { return one.facts.of_unknowns(rows); });
  EXPECT_LE(testing::norm(matmul(select(at.jacobian, 0, 0), basis)), 1e-15);
}

TEST(Collision, DoesNotDependOnThreads) {
  const Case one({.cell = Cell::lstm, .I = 1, .H = 8}, 20, "final", 8);
  const Tensor two = find_collision(one.facts, one.row()).other;
  set_num_threads(1);
  const Tensor alone = find_collision(one.facts, one.row()).other;
  set_num_threads(2);
  EXPECT_TRUE(testing::same_bits(two, alone));
}

TEST(Collision, RefusesWhatDoesNotFit) {
  const Case one({.cell = Cell::tanh, .I = 1, .H = 4}, 10, "final", 9);
  EXPECT_ERROR(find_collision(one.facts, zeros({1, 9}, f64)), "find_collision: the row is [1,9]",
               "[1,10]");
  EXPECT_ERROR(second_preimage(one.facts, full({1, 10}, NAN, f64)), "NaN");
  EXPECT_ERROR(find_collision(one.facts, one.row(), {.distance = 0}), "distance");
}

// Of every way to be seen, in both kinds of file.
TEST(Certificate, CanBeRunAgain) {
  const testing::TemporaryFolder folder;
  Random random(10);
  const Encoder encoder({.cell = Cell::lstm, .I = 2, .H = 4}, random);
  const Tensor x = random.normal({9, 1, 2}, 0, 1, f64), h = random.normal({1, 1, 4}, 0, 1, f64);
  const std::vector<Observation> all = {
      {.outputs = Seen::final},
      {.outputs = Seen::final_cell, .initial = {h, {}}},
      {.outputs = Seen::every, .every = 4, .readout = random.normal({2, 4}, 0, 1, f64)},
      {.outputs = Seen::all, .initial_known = false}};
  for (std::size_t i = 0; i < all.size(); i++) {
    const Facts facts(encoder, all[i], 9);
    const Collision c = find_collision(facts, facts.rows_of(x));
    ASSERT_TRUE(c.found) << i;
    for (const char* end : {".npz", ".safetensors"}) {
      const std::string path = folder / ("c" + std::to_string(i) + end);
      write_certificate(path, facts, c);
      const Collision again = check_certificate(path);
      EXPECT_TRUE(again.found) << path;
      EXPECT_TRUE(testing::same_bits(again.other, c.other)) << path;
      EXPECT_EQ(again.output_distance, c.output_distance);
      EXPECT_EQ(again.input_distance, c.input_distance);
    }
  }
  const Tensor other = read_npz(folder / "c0.npz", "other");
  EXPECT_EQ(other.shape(), (Shape{9, 1, 2}));
  const auto metadata = list_safetensors(folder / "c2.safetensors").metadata;
  EXPECT_EQ(metadata.at("cell"), "lstm");
  EXPECT_EQ(metadata.at("observe"), "every:4");
}

TEST(Certificate, OfAnotherRunIsNotFound) {
  const testing::TemporaryFolder folder;
  const Case one({.cell = Cell::tanh, .I = 1, .H = 4}, 10, "final", 11);
  Collision c = find_collision(one.facts, one.row());
  c.other = c.other + 1e-3;
  write_certificate(folder / "no.npz", one.facts, c);
  EXPECT_FALSE(check_certificate(folder / "no.npz").found);
  write_npz(folder / "none.npz", {{"x", ones({3}, f64)}});
  EXPECT_ERROR(check_certificate(folder / "none.npz"), "none.npz has no readme", "no certificate");
  EXPECT_ERROR(write_certificate(folder / "empty.npz", one.facts, {}), "certificate");
}

}  // namespace
}  // namespace unroll
