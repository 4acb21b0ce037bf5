// Series: reading from csv and npy, splitting in time, standardising.
#include "models/series.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "core/random.h"
#include "core/view.h"
#include "io/npy.h"
#include "tests/temporary.h"

namespace unroll {
namespace {

using unroll::testing::TemporaryFolder;
using unroll::testing::write_bytes;
using Names = std::vector<std::string>;
using Values = std::vector<double>;

class SeriesFile : public ::testing::Test {
 protected:
  TemporaryFolder folder_;
  std::string path_ = folder_ / "series";
};

TEST_F(SeriesFile, FromCsv) {
  write_bytes(path_, "day,a,b\nmon,1,2\ntue,3,\nwed,5,6\n");
  const Series a = read_series(path_, {"a"});
  EXPECT_EQ(a.names, (Names{"a"}));
  EXPECT_EQ(a.steps(), 3);
  EXPECT_EQ(a.channels(), 1);
  EXPECT_ERROR(read_series(path_), path_ + ":3:7", "missing");
  EXPECT_EQ(to_vector<double>(read_series(path_, {}, Missing::interpolate).values),
            (Values{1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(read_series(path_, {}, Missing::drop).steps(), 2);
}

TEST_F(SeriesFile, FromNpyWhateverItsName) {
  write_npy(path_, arange(6, Dtype::float32));
  EXPECT_EQ(read_series(path_).values.shape(), (Shape{6, 1}));
  EXPECT_EQ(read_series(path_).values.dtype(), Dtype::float64);
  write_npy(path_, view::reshape(arange(6), {3, 2}));
  const Series both = read_series(path_);
  EXPECT_EQ(both.names, (Names{"0", "1"}));
  EXPECT_EQ(to_vector<double>(both.values), (Values{0, 1, 2, 3, 4, 5}));
  const Series turned = read_series(path_, {"1", "0"});
  EXPECT_EQ(turned.names, (Names{"1", "0"}));
  EXPECT_EQ(to_vector<double>(turned.values), (Values{1, 0, 3, 2, 5, 4}));
  EXPECT_ERROR(read_series(path_, {"2"}), path_, "no column '2'", "0 to 1");
  EXPECT_ERROR(read_series(path_, {"00"}), path_, "no column '00'");
  EXPECT_ERROR(read_series(path_, {"1", "1"}), path_, "twice");
}

TEST_F(SeriesFile, NpyThatIsNoSeries) {
  for (const double bad : {std::nan(""), std::numeric_limits<double>::infinity()}) {
    write_npy(path_, from_values<double>({1, 2, 3, bad}, {2, 2}));
    EXPECT_ERROR(read_series(path_), path_, "step 1 of column 1", "finite");
  }
  write_npy(path_, ones({2, 2, 2}));
  EXPECT_ERROR(read_series(path_), path_, "[2,2,2]");
  write_npy(path_, scalar(1));
  EXPECT_ERROR(read_series(path_), path_, "[]");
  write_npy(path_, ones({0, 2}));
  EXPECT_ERROR(read_series(path_), path_, "[0,2]");
  EXPECT_ERROR(read_series(folder_ / "absent"), "absent", "does not exist");
  EXPECT_ERROR(read_series(folder_.path().string()), "is a folder");
}

TEST_F(SeriesFile, TheWeatherThatIsShipped) {
  const std::string path = std::string(UNROLL_SOURCE_DIR) + "/examples/data/seattle-weather.csv";
  const Series series = read_series(path, {"temp_max", "temp_min"});
  EXPECT_EQ(series.values.shape(), (Shape{1461, 2}));
  EXPECT_EQ(series.values.item({0, 0}), 12.8);
  EXPECT_EQ(series.values.item({1460, 1}), -2.1);
  EXPECT_EQ(read_csv(path).skipped, (Names{"date", "weather"}));
  EXPECT_ERROR(read_series(path, {"weather"}), path + ":2:", "'drizzle'");
}

Series ramp(std::int64_t T) { return {view::reshape(arange(T, Dtype::float64), {T, 1}), {"x"}}; }

TEST(Split, KeepsTheOrderOfTime) {
  const Series all = ramp(100);
  const Split parts = split(all, 0.1, 0.25);
  EXPECT_EQ(parts.train.steps(), 65);
  EXPECT_EQ(parts.validation.steps(), 10);
  EXPECT_EQ(parts.test.steps(), 25);
  EXPECT_EQ(parts.train.values.item({0, 0}), 0);
  EXPECT_EQ(parts.validation.values.item({0, 0}), 65);
  EXPECT_EQ(parts.test.values.item({0, 0}), 75);
  EXPECT_TRUE(parts.test.values.shares_storage(all.values));
  EXPECT_EQ(parts.test.names, all.names);
  EXPECT_EQ(split(all, 0, 0).train.steps(), 100);
  EXPECT_EQ(split(all, 0, 0).test.steps(), 0);
}

TEST(Split, FractionsThatCannotBe) {
  EXPECT_ERROR(split(ramp(100), -0.1, 0.2), "-0.1");
  EXPECT_ERROR(split(ramp(100), 0.5, 0.5), "below 1");
  EXPECT_ERROR(split(ramp(100), 0, std::nan("")), "nan");
  EXPECT_ERROR(split(ramp(5), 0.1, 0.2), "0.1 of 5 steps");
}

TEST(StandardizerTest, GivesMeanZeroAndVarianceOne) {
  Random random(4);
  const Series series{random.normal({500, 2}, 3, 7, Dtype::float64), {"a", "b"}};
  const Standardizer standardizer(series);
  const Values z = to_vector<double>(standardizer.apply(series.values));
  for (int c = 0; c < 2; c++) {
    double sum = 0, squares = 0;
    for (int t = 0; t < 500; t++) sum += z[2 * t + c];
    for (int t = 0; t < 500; t++) squares += z[2 * t + c] * z[2 * t + c];
    EXPECT_NEAR(sum / 500, 0, 1e-14);
    EXPECT_NEAR(squares / 500, 1, 1e-13) << "the population variance";
  }
}

TEST(StandardizerTest, AppliesToAnyRankAndInverts) {
  const Standardizer standardizer({1, -2}, {2, 4});
  EXPECT_EQ(to_vector<double>(standardizer.apply(from_values<double>({3, 2}, {2}))),
            (Values{1, 1}));
  Random random(1);
  for (const Dtype dtype : {Dtype::float32, Dtype::float64}) {
    const Tensor x = view::transpose(random.normal({3, 5, 2}, 0, 1, dtype), 0, 1);
    const Tensor back = standardizer.invert(standardizer.apply(x));
    EXPECT_EQ(back.shape(), x.shape());
    EXPECT_EQ(back.dtype(), dtype);
    const Values a = to_vector<double>(x), b = to_vector<double>(back);
    for (std::size_t i = 0; i < a.size(); i++)
      EXPECT_NEAR(a[i], b[i], dtype == Dtype::float32 ? 1e-6 : 1e-15);
  }
  EXPECT_EQ(standardizer.apply(zeros({0, 2})).numel(), 0);
  EXPECT_ERROR(standardizer.apply(zeros({2, 3})), "[2,3]", "2 channels");
  EXPECT_ERROR(standardizer.apply(Tensor()), "undefined");
  EXPECT_ERROR(standardizer.apply(scalar(1)), "[]");
  EXPECT_ERROR(standardizer.apply(zeros({2}, Dtype::int64)), "int64");
}

TEST(StandardizerTest, WhatHasNoScale) {
  // 0.1 is not exact: rounding must not pass for variance.
  Series series{full({50, 2}, 0.1, Dtype::float64), {"x", "flat"}};
  for (std::int64_t t = 0; t < 50; t++)
    series.values.mutable_data<double>()[2 * t] = static_cast<double>(t);
  EXPECT_ERROR(Standardizer(series), "'flat'", "leave it out");
  EXPECT_ERROR(Standardizer(ramp(1)), "'x'");
  EXPECT_ERROR(Standardizer(Series{}), "[T,C]");
  EXPECT_ERROR(Standardizer({1}, {0}), "positive");
  EXPECT_ERROR(Standardizer({1, 2}, {1}), "equally many");
  EXPECT_ERROR(Standardizer({std::nan("")}, {1}), "finite");
  EXPECT_ERROR(Standardizer(Values{}, Values{}), "equally many");
}

}  // namespace
}  // namespace unroll
