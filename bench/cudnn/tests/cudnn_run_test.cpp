// The calls of cuDNN, against a strict stand-in for it.
#include <gtest/gtest.h>

#include "bench/cudnn/beside_cudnn.h"
#include "bench/cudnn/tests/fake_cudnn.h"

namespace unroll::bench {
namespace {

std::vector<Row> rows_of(const std::string& algorithm, const std::vector<std::string>& arguments) {
  std::vector<Row> chosen;
  {
    std::vector<Contender> contenders;
    for (const Contender& each : fake_cudnn_contenders())
      if (each.name == "cuDNN " + algorithm) contenders.push_back(each);
    EXPECT_EQ(contenders.size(), 1u);
    chosen = measure(parse_options(arguments, Device::sim()), contenders, [](const Row&) {});
  }
  EXPECT_FALSE(chosen.empty());
  EXPECT_EQ(fake_cudnn_objects(), 0) << "made and not destroyed";
  return chosen;
}

TEST(CudnnRun, IsRightInEveryOpPassTypeAndLength) {
  for (const char* const algorithm : {"STANDARD", "PERSIST_DYNAMIC"}) {
    const std::vector<Row> rows = rows_of(algorithm, {});
    EXPECT_EQ(rows.size(), 3u * 2 * 4 * 2 * 2);
    for (const Row& row : rows)
      EXPECT_EQ(row.status, Status::timed) << text_of(row.problem) << ": " << row.reason;
  }
}

TEST(CudnnRun, ErrorsAreThoseOfTheType) {
  for (const Row& row : rows_of("STANDARD", {"--op", "lstm", "--size", "2,3,4,5"})) {
    const bool half = stored_as(row.problem.precision) != Dtype::float32;
    EXPECT_LE(row.error, half ? tolerance_of(row.problem.precision) : 1e-6);
    EXPECT_GE(row.error, half ? 1e-5 : 0) << text_of(row.problem);
  }
}

TEST(CudnnRun, WhatItRefusesIsToldInItsWords) {
  for (const Row& row : rows_of("PERSIST_STATIC", {"--size", "2,3,4,5"})) {
    EXPECT_EQ(row.status, Status::not_supported);
    EXPECT_EQ(row.reason, "cudnnRNNForward: CUDNN_STATUS_NOT_SUPPORTED, a fake");
  }
}

TEST(CudnnRun, AWrongResultIsNotTimed) {
  for (const Row& row : rows_of("PERSIST_STATIC_SMALL_H", {"--size", "2,3,4,5"})) {
    EXPECT_EQ(row.status, Status::wrong) << text_of(row.problem);
    EXPECT_NEAR(row.error, 0.1, 0.02) << text_of(row.problem);
    EXPECT_EQ(row.ms, 0);
  }
}

}  // namespace
}  // namespace unroll::bench
