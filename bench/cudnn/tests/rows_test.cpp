#include "bench/cudnn/rows.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace unroll::bench {
namespace {

// A GPU of round numbers.
const Machine gpu{
    .device = Device::cuda(1),
    .description = "a GPU",
    .cudnn = "cuDNN 9.1.2",
    .ceilings = {.copy = 1e12, .fma = 2e13, .tf32 = 1e14, .float16 = 4e14, .bfloat16 = 5e14},
    .runs = 30};

Row row() {
  return {.problem = {.op = "lstm", .precision = Precision::float16, .size = {10, 10, 6, 4}},
          .contender = "cuDNN STANDARD",
          .error = 2e-4,
          .ms = 1e-3,
          .ratio = 0.5};
}

TEST(Rows, RatesAreOverTheCeilings) {
  // 2 * 100 * 16 * 10 = 32000 operations in 1e-6 s: 32 GFLOP/s of 400000.
  // 2 bytes * (600 + 160 + 32 + 400 + 80) = 2544: 2.5 GB/s of 1000.
  EXPECT_EQ(line_of(row(), gpu),
            "| lstm | forward | float16 | full | 10,10,6,4 | cuDNN STANDARD | 0.0010 | 0.50 | 32.0 "
            "| 0.0 | 2.5 | 0.3 | 2.0e-04 |  |\n");
  const nlohmann::json json = json_of({row()}, gpu);
  EXPECT_EQ(json["device"], "cuda:1");
  EXPECT_EQ(json["times_of"], "GPU");
  EXPECT_EQ(json["ceilings"]["tf32_flops"], 1e14);
  const nlohmann::json& one = json["rows"][0];
  EXPECT_EQ(one["flops"], 32000);
  EXPECT_EQ(one["bytes"], 2544);
  EXPECT_NEAR(one["percent_of_peak"].get<double>(), 100 * 32e9 / 4e14, 1e-12);
  EXPECT_NEAR(one["percent_of_copy"].get<double>(), 100 * 2.544e9 / 1e12, 1e-12);
  EXPECT_EQ(one["time_over_ours"], 0.5);
  EXPECT_EQ(one["size"], (std::vector<int>{10, 10, 6, 4}));
}

TEST(Rows, EachTypeHasItsPeak) {
  EXPECT_EQ(peak_of(gpu.ceilings, Precision::float32), 2e13);
  EXPECT_EQ(peak_of(gpu.ceilings, Precision::tf32), 1e14);
  EXPECT_EQ(peak_of(gpu.ceilings, Precision::float16), 4e14);
  EXPECT_EQ(peak_of(gpu.ceilings, Precision::bfloat16), 5e14);
}

TEST(Rows, WhatWasNotTimedSaysWhy) {
  Row refused = row();
  refused.status = Status::not_supported;
  refused.reason = "cudnnRNNForward: CUDNN_STATUS_NOT_SUPPORTED";
  refused.ms = refused.ratio = 0;
  refused.error = -1;
  EXPECT_EQ(
      line_of(refused, gpu),
      "| lstm | forward | float16 | full | 10,10,6,4 | cuDNN STANDARD | - | - | - | - | - | - "
      "| - | not supported: cudnnRNNForward: CUDNN_STATUS_NOT_SUPPORTED |\n");
  const nlohmann::json json = json_of({refused}, gpu)["rows"][0];
  EXPECT_EQ(json["status"], "not supported");
  EXPECT_TRUE(json["ms"].is_null());
  EXPECT_TRUE(json["error"].is_null());
  EXPECT_TRUE(json["percent_of_peak"].is_null());
}

TEST(Rows, TheHeadHasTheCeilings) {
  const std::string head = head_of(gpu);
  EXPECT_EQ(head.find("cuda:1: a GPU; cuDNN 9.1.2\nCeilings: copy 1000 GB/s; multiply-adds, "
                      "TFLOP/s: float32 20.0, tf32 100.0, float16 400.0, bfloat16 500.0."),
            0u)
      << head;
}

}  // namespace
}  // namespace unroll::bench
