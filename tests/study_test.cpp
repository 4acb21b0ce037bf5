// The tables of the laboratory: rows, statistics, stopping. What they must come to is in docs/.
#include "models/study.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/error.h"
#include "core/parallel.h"
#include "models/t2.h"

namespace unroll {
namespace {

TEST(Study, MeanAndDeviation) {
  const MeanSd of = mean_sd({1, 2, 6});
  EXPECT_DOUBLE_EQ(of.mean, 3);
  EXPECT_DOUBLE_EQ(of.sd, std::sqrt(7.0));
  EXPECT_EQ(mean_sd({5}).sd, 0);
  EXPECT_THROW(mean_sd({}), Error);
}

TEST(Study, CountsStepsAndStops) {
  std::vector<std::int64_t> told;
  const StudyProgress progress = [&](std::int64_t done, std::int64_t total) {
    EXPECT_EQ(total, 120);
    told.push_back(done);
  };
  std::atomic<bool> stop = false;
  StepCounter counter(120, progress, &stop);
  for (int i = 0; i < 120; i++) counter.after_step();
  EXPECT_EQ(told, (std::vector<std::int64_t>{50, 100}));
  stop = true;
  EXPECT_THROW(counter.after_step(), Error);
}

// Eight units hold eight numbers of 32 and not one more; the wrong bound of any row would show.
TEST(StudyT2, ComesCloseToTheBoundAndNotBelow) {
  const std::vector<T2Row> rows =
      run_t2({.cells = {Cell::tanh, Cell::lstm}, .hidden = {8, 24}, .steps = 800});
  ASSERT_EQ(rows.size(), 4u);
  for (const T2Row& row : rows) {
    EXPECT_DOUBLE_EQ(row.bound, row.hidden == 8 ? 0.75 : 0.25);
    EXPECT_EQ(row.tolerance, 0.006);
    EXPECT_GT(row.nmse, row.bound) << name(row.cell) << row.hidden;
    EXPECT_EQ(row.pass, row.worst <= row.bound + row.tolerance);
  }
  EXPECT_LT(rows[0].nmse, 0.77) << "tanh";
}

TEST(StudyT2, TheWorstSeedDecides) {
  const std::vector<T2Row> rows =
      run_t2({.cells = {Cell::gru}, .hidden = {32, 48}, .seeds = 2, .steps = 3});
  for (const T2Row& row : rows) {
    EXPECT_EQ(row.seeds, 2);
    EXPECT_EQ(row.bound, 0);
    EXPECT_GT(row.worst, row.nmse);
    EXPECT_GT(row.nmse, 0.9) << "three steps teach nothing";
    EXPECT_FALSE(row.pass);
  }
  EXPECT_EQ(rows[0].tolerance, 0.012);
  EXPECT_THROW(run_t2({.seeds = 0}), Error);
  EXPECT_THROW(run_t2({.hidden = {0}}), Error);
}

TEST(StudyT2, ThreadsDoNotChangeABit) {
  const T2Options options{.cells = {Cell::gru}, .hidden = {8, 16}, .steps = 20};
  const int threads = num_threads();
  std::vector<double> nmse;
  for (const int count : {1, 2}) {
    set_num_threads(count);
    for (const T2Row& row : run_t2(options)) nmse.push_back(row.nmse);
  }
  set_num_threads(threads);
  EXPECT_EQ(nmse[0], nmse[2]);
  EXPECT_EQ(nmse[1], nmse[3]);
}

}  // namespace
}  // namespace unroll
