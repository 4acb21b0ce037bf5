// The meter counts what can be counted by hand.
#include "cuda/sim/tests/testing.h"
#include "cuda/sim/tests/traffic.h"

namespace unroll::sim_test {
namespace {

// The row of the only kernel that ran since the meter was reset.
class Meter : public testing::Test {
 protected:
  void SetUp() override {
    sim::Options o = sim::options();
    o.meter = true;
    with_.emplace(o);
    sim::reset_meter();
  }
  static sim::KernelMeter row() {
    sim::synchronize();
    const auto rows = sim::meter();
    EXPECT_EQ(rows.size(), 1u);
    return rows.at(0);
  }
  static bool counts_traffic() { return sim::kernels_have_checks(); }

 private:
  std::optional<WithOptions> with_;
};

TEST_F(Meter, CountsEvents) {
  const DeviceArray<int> x(std::vector<int>{0});
  count_events(5, x.data());
  count_events(2, x.data());
  const sim::KernelMeter m = row();
  EXPECT_EQ(m.kernel, "count_events");
  EXPECT_EQ(m.launches, 2);
  EXPECT_EQ(m.blocks, 7);
  EXPECT_EQ(m.threads, 7 * 64);
  EXPECT_EQ(m.block_barriers, 7 * 3);
  EXPECT_EQ(m.grid_barriers, 0);
  EXPECT_EQ(m.collectives, 7 * 2 * 2);
  EXPECT_EQ(m.atomics, 7 * 64);
}

TEST_F(Meter, ReadsOfNeighboursMoveTheLeast) {
  if (!counts_traffic()) GTEST_SKIP() << "kernels without checks";
  const int n = 200;
  const DeviceArray<float> from(uniform(n)), to(n);
  copy_strided(from.data(), to.data(), n, 1);
  const sim::KernelMeter m = row();
  for (const sim::Traffic& t : {m.read, m.written}) {
    EXPECT_EQ(t.requests, 7);  // 6 whole warps and one of 8 lanes
    EXPECT_EQ(t.bytes, n * 4);
    EXPECT_EQ(t.least, n * 4);
    EXPECT_EQ(t.sectors * 32, n * 4);
  }
}

TEST_F(Meter, StridedReadsMoveASectorEach) {
  if (!counts_traffic()) GTEST_SKIP() << "kernels without checks";
  const int n = 128;
  const DeviceArray<float> from(uniform(n * 8)), to(n);
  copy_strided(from.data(), to.data(), n, 8);
  const sim::KernelMeter m = row();
  EXPECT_EQ(m.read.sectors, n);
  EXPECT_EQ(m.read.bytes, n * 4);
  EXPECT_EQ(m.written.sectors, n / 8);
}

TEST_F(Meter, HasATable) {
  if (!counts_traffic()) GTEST_SKIP() << "kernels without checks";
  const int n = 128;
  const DeviceArray<float> from(uniform(n * 8)), to(n);
  copy_strided(from.data(), to.data(), n, 8);
  sim::synchronize();
  EXPECT_NE(sim::meter_table().find(
                "| copy_strided | 1 | 4096 | 8.00 | 512 | 1.00 | 0 | 0 | 0 | 0 | 0 |"),
            std::string::npos)
      << sim::meter_table();
}

TEST_F(Meter, VectorsNeedFewerRequests) {
  if (!counts_traffic()) GTEST_SKIP() << "kernels without checks";
  const int n = 512;
  const DeviceArray<float> from(uniform(n)), to(n);
  copy_vectors(from.data(), to.data(), n);
  const sim::KernelMeter m = row();
  EXPECT_EQ(m.read.requests, n / 4 / 32);
  EXPECT_EQ(m.read.sectors * 32, n * 4);
  EXPECT_EQ(m.read.least, n * 4);
}

TEST_F(Meter, BytesThatAllReadAreOnceTheLeast) {
  if (!counts_traffic()) GTEST_SKIP() << "kernels without checks";
  const DeviceArray<float> from(uniform(1)), to(128);
  broadcast(from.data(), to.data(), 128);
  broadcast(from.data(), to.data(), 128);
  const sim::KernelMeter m = row();
  EXPECT_EQ(m.read.sectors, 2 * 4);
  EXPECT_EQ(m.read.bytes, 2 * 128 * 4);
  EXPECT_EQ(m.read.least, 2 * 4) << "once per launch";
}

TEST_F(Meter, ColumnsOfATileConflictUnlessPadded) {
  if (!counts_traffic()) GTEST_SKIP() << "kernels without checks";
  const DeviceArray<float> from(uniform(1024)), to(1024);
  transpose(false, from.data(), to.data());
  EXPECT_EQ(row().shared_requests, 64);
  EXPECT_EQ(row().bank_conflicts, 32 * 31);
  sim::reset_meter();
  transpose(true, from.data(), to.data());
  EXPECT_EQ(row().bank_conflicts, 0);
}

TEST_F(Meter, WideNeighboursDoNotConflict) {
  if (!counts_traffic()) GTEST_SKIP() << "kernels without checks";
  const DeviceArray<double> doubles(32);
  write_doubles(doubles.data());
  EXPECT_EQ(row().bank_conflicts, 0);
  sim::reset_meter();
  const DeviceArray<float> vectors(128);
  write_vectors(vectors.data());
  EXPECT_EQ(row().shared_requests, 2);
  EXPECT_EQ(row().bank_conflicts, 0);
}

}  // namespace
}  // namespace unroll::sim_test
