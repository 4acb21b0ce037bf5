// csv files: what is deduced, what is refused and where, missing values, writing.
#include "io/csv.h"

#include <gtest/gtest.h>

#include <clocale>
#include <cmath>
#include <limits>
#include <vector>

#include "core/random.h"
#include "core/view.h"
#include "tests/temporary.h"

namespace unroll {
namespace {

using unroll::testing::read_bytes;
using unroll::testing::TemporaryFolder;
using unroll::testing::write_bytes;

using Names = std::vector<std::string>;
using Values = std::vector<double>;

class Csv : public ::testing::Test {
 protected:
  CsvTable read(const std::string& text, const CsvOptions& options = {}) {
    write_bytes(path_, text);
    return read_csv(path_, options);
  }
  Values values(const std::string& text, const CsvOptions& options = {}) {
    return to_vector<double>(read(text, options).values);
  }
  std::string at(const std::string& place) { return path_ + ":" + place + ":"; }

  TemporaryFolder folder_;
  std::string path_ = folder_ / "x.csv";
};

TEST_F(Csv, ATableWithAHeader) {
  const CsvTable table = read("a,b\n1,2\n3.5,-4e-2\n");
  EXPECT_EQ(table.names, (Names{"a", "b"}));
  EXPECT_EQ(table.values.shape(), (Shape{2, 2}));
  EXPECT_EQ(table.values.dtype(), Dtype::float64);
  EXPECT_EQ(to_vector<double>(table.values), (Values{1, 2, 3.5, -0.04}));
  EXPECT_TRUE(table.skipped.empty());
}

TEST_F(Csv, LineEndsBomSpacesAndBlankLines) {
  const Values expected = {1, 2, 3, 4};
  for (const std::string& text : std::vector<std::string>{
           "a,b\n1,2\n3,4", "a,b\r\n1,2\r\n3,4\r\n", "a,b\r1,2\r3,4\r",
           "\xef\xbb\xbf"
           "a,b\n1,2\n3,4\n",
           "\n\na , b\n\n 1\t,  2 \n   \n3,4\n\n", "\"a\",\"b\"\n\"1\",\"2\"\n\"3\", \"4\" \n"}) {
    const CsvTable table = read(text);
    EXPECT_EQ(table.names, (Names{"a", "b"})) << text;
    EXPECT_EQ(to_vector<double>(table.values), expected) << text;
  }
}

TEST_F(Csv, DelimitersAreDeducedOrTold) {
  EXPECT_EQ(values("a;b\n1;2\n"), (Values{1, 2}));
  EXPECT_EQ(values("a\tb\n1\t2\n"), (Values{1, 2}));
  EXPECT_EQ(values("\"a;x\",b\n1,2\n"), (Values{1, 2})) << "quoted ones do not count";
  EXPECT_EQ(values("a|b\n1|2\n", {.delimiter = '|'}), (Values{1, 2}));
  EXPECT_EQ(values("a;b,c\n1;2,3\n", {.delimiter = ','}), (Values{3}));
  EXPECT_ERROR(read("a,b\n1,2\n", {.delimiter = '"'}), "delimiter");
}

TEST_F(Csv, HeadersAreDeducedOrTold) {
  EXPECT_EQ(read("1,2\n3,4\n").names, (Names{"0", "1"}));
  EXPECT_EQ(read("1,2\n3,4\n").values.shape()[0], 2);
  EXPECT_EQ(read("1,2\n3,4\n", {.header = CsvHeader::present}).names, (Names{"1", "2"}));
  EXPECT_EQ(read("2012/01/01,5\n2012/01/02,6\n").names, (Names{"1"})) << "a date is no header";
  EXPECT_EQ(read("day,2020,2021\nmon,5,6\n").values.shape()[0], 2) << "text above text";
  EXPECT_EQ(read("day,x\n2012/01/02,6\n").names, (Names{"x"}));
  EXPECT_EQ(read("NA,1\n2,3\n", {.missing = Missing::drop}).names, (Names{"0", "1"}));
  EXPECT_EQ(read(",x\n0,6\n").names, (Names{"0", "x"})) << "a column without a name";
  EXPECT_ERROR(read("a,b\n1,2\n", {.columns = {"1"}, .header = CsvHeader::absent}), at("1:3"),
               "'b'", "text or dates");
}

TEST_F(Csv, QuotedFields) {
  const CsvTable table =
      read("\"first, \"\"one\"\"\",\"two\nlines\",c\n\"1\",\"a\nb\",3\n4,\"x,\"\"y\",6\n");
  EXPECT_EQ(table.names, (Names{"first, \"one\"", "c"}));
  EXPECT_EQ(table.skipped, (Names{"two\nlines"}));
  EXPECT_EQ(to_vector<double>(table.values), (Values{1, 3, 4, 6}));
}

TEST_F(Csv, ColumnsAreChosenByNameInOrder) {
  const std::string text = "date,a,b,what\n2012-01-01,1,2,rain\n2012-01-02,3,4,sun\n";
  const CsvTable table = read(text, {.columns = {"b", "a"}});
  EXPECT_EQ(table.names, (Names{"b", "a"}));
  EXPECT_EQ(to_vector<double>(table.values), (Values{2, 1, 4, 3}));
  EXPECT_EQ(read(text).skipped, (Names{"date", "what"}));
  EXPECT_EQ(values("1,2\n3,4\n", {.columns = {"1"}}), (Values{2, 4}));
  EXPECT_ERROR(read(text, {.columns = {"c"}}), path_, "no column 'c'", "'date', 'a', 'b', 'what'");
  EXPECT_ERROR(read("1,2\n", {.columns = {"a"}}), path_, "no header", "'0', '1'");
  EXPECT_ERROR(read(text, {.columns = {"a", "a"}}), path_, "asked for twice");
  EXPECT_ERROR(read("a,a\n1,2\n", {.columns = {"a"}}), path_, "2 columns 'a'");
  EXPECT_ERROR(read(text, {.columns = {"what"}}), at("2:16"), "'rain'", "'what'", "text or dates");
  EXPECT_ERROR(read("a\nx\ny\n"), path_, "no column of numbers", "'a'");
}

TEST_F(Csv, BadNumbersAreNamedWithTheirPlace) {
  for (const std::string& bad :
       std::vector<std::string>{"1.2.3", "12x", "0x10", "inf", "-Infinity", "1e999", "--1", "+-1",
                                "1,5", "1 2", ".", "e5"}) {
    const std::string field = bad.find(',') == std::string::npos ? bad : '"' + bad + '"';
    EXPECT_ERROR(read("a,b\n1,2\n3," + field + "\n"), at("3:3"), "'" + bad + "'", "column 'b'");
  }
  EXPECT_EQ(values("a\n+5\n-0.5\n.5\n5.\n1E3\n007\n"), (Values{5, -.5, .5, 5, 1000, 7}));
  EXPECT_ERROR(read("a,b\n\"x\ny\",2\n\"\n\",1\n7,?\n"), at("6:3"), "'?'");
}

// As PyTorch and NumPy: what is too close to 0 rounds to it, what is too large is an error.
TEST_F(Csv, NumbersRoundToTheNearestDouble) {
  const std::string huge(400, '0');
  EXPECT_EQ(values("a\n1e-400\n4e-324\n2e-324\n1e-320\n1e-99999999999999999999\n0." + huge +
                   "1\n1" + huge + "E-800\n0e999\n"),
            (Values{0, 0x1p-1074, 0, 1e-320, 0, 0, 0, 0}));
  EXPECT_TRUE(std::signbit(values("a\n-1e-400\n")[0]));
  EXPECT_EQ(values("a\n1.7976931348623157e308\n0." + huge + "1e401\n"),
            (Values{std::numeric_limits<double>::max(), 1}));
  for (const std::string& bad :
       std::vector<std::string>{"1e400", "-1e+400", "1" + huge, "0.0001e400",
                                "1e99999999999999999999", "0." + huge + "1e900"})
    EXPECT_ERROR(read("a\n1\n" + bad + "\n"), at("3:1"), "is not a finite number");
}

TEST_F(Csv, RaggedRowsAndQuotes) {
  EXPECT_ERROR(read("a,b\n1,2\n3\n"), at("3:1"), "1 fields", "has 2");
  EXPECT_ERROR(read("a,b\n1,2,3\n"), at("2:5"), "3 fields", "has 2");
  EXPECT_ERROR(read("a,b\n1,2,\n"), at("2:5"), "3 fields");
  EXPECT_ERROR(read("a,b\n1,\"2\n3,4\n"), at("2:3"), "does not end");
  EXPECT_ERROR(read("a,b\n1,\"2\"x\n"), at("2:3"), "closing quote");
  EXPECT_ERROR(read(std::string("a,b\n1,\0\n", 8)), at("2:3"), "not text");
  EXPECT_ERROR(read(std::string("\xff\xfe"
                                "a\0,\0b\0",
                                8)),
               "not text");
}

TEST_F(Csv, FilesWithoutATable) {
  EXPECT_ERROR(read(""), path_, "is empty");
  EXPECT_ERROR(read("\n\r\n  \n"), path_, "is empty");
  EXPECT_ERROR(read("\xef\xbb\xbf"), path_, "is empty");
  EXPECT_ERROR(read("a,b\n"), path_, "no rows");
  EXPECT_ERROR(read_csv(folder_ / "absent.csv"), "absent.csv", "does not exist");
  EXPECT_ERROR(read_csv(folder_.path().string()), "is a folder");
}

TEST_F(Csv, MissingValuesAreRefusedByDefault) {
  for (const std::string& missing : std::vector<std::string>{"", "NA", "na", "N/A", "NaN", "nan",
                                                             "null", "NULL", "None", "\"\""})
    EXPECT_ERROR(read("a,b\n1,2\n3," + missing + "\n5,6\n"), at("3:3"), "missing value", "'b'",
                 "interpolate");
  EXPECT_EQ(values("a,b\n1,2\n3,\n", {.columns = {"a"}}), (Values{1, 3})) << "b is not asked for";
  EXPECT_EQ(values("a,b\n1,x\n3,\n"), (Values{1, 3})) << "b is text";
}

TEST_F(Csv, MissingRowsAreDropped) {
  const CsvTable table =
      read("a,b,c\n1,2,\n,4,\n6,7,x\n8,NA,\n9,10,\n", {.missing = Missing::drop});
  EXPECT_EQ(table.names, (Names{"a", "b"})) << "c holds a text";
  EXPECT_EQ(to_vector<double>(table.values), (Values{1, 2, 6, 7, 9, 10}));
  EXPECT_EQ(table.missing, 2);
  EXPECT_ERROR(read("a,b\n1,\n,2\n", {.missing = Missing::drop}), path_, "none is left");
}

TEST_F(Csv, MissingValuesAreInterpolated) {
  const CsvTable table = read("a,b\n,1\n2,\n,\n,\n10,3\n,\n", {.missing = Missing::interpolate});
  EXPECT_EQ(table.values.shape(), (Shape{6, 2}));
  const Values a = to_vector<double>(view::select(table.values, 1, 0));
  const Values b = to_vector<double>(view::select(table.values, 1, 1));
  const Values expected_a = {2, 2, 2 + 8. / 3, 2 + 16. / 3, 10, 10};
  const Values expected_b = {1, 1.5, 2, 2.5, 3, 3};
  for (int i = 0; i < 6; i++) {
    EXPECT_NEAR(a[i], expected_a[i], 1e-14);
    EXPECT_NEAR(b[i], expected_b[i], 1e-14);
  }
  EXPECT_EQ(table.missing, 8);
  EXPECT_ERROR(read("a,b\n1,\n2,NA\n", {.columns = {"b"}, .missing = Missing::interpolate}), path_,
               "'b' holds no number");
  EXPECT_EQ(read("a,b\n1,\n2,NA\n", {.missing = Missing::interpolate}).skipped, (Names{"b"}));
}

TEST_F(Csv, LongFilesCrossTheBuffer) {
  std::string text = "a,b,c\n";
  Values expected;
  for (int i = 0; i < 60000; i++) {
    text += std::to_string(i) + ",\"t,\"\"" + std::string(i % 7, 'q') + "\r\n\"," +
            std::to_string(-i) + ".5\r\n";
    expected.insert(expected.end(), {double(i), -(i + .5)});
  }
  const CsvTable table = read(text);
  EXPECT_EQ(table.skipped, (Names{"b"}));
  expected[1] = 0.5;  // to_string(-0) has no sign
  EXPECT_TRUE(to_vector<double>(table.values) == expected);
}

TEST_F(Csv, AStreamGivesTheRowsOfTheTable) {
  std::string text = "day,a,b\n";
  for (int i = 0; i < 1000; i++)
    text += "d" + std::to_string(i) + "," + std::to_string(i) + "," + (i % 10 ? "7" : "NA") + "\n";
  write_bytes(path_, text);
  const CsvOptions options{.missing = Missing::drop};
  const CsvTable table = read_csv(path_, options);
  CsvStream stream(path_, options);
  EXPECT_EQ(stream.names(), table.names);
  EXPECT_EQ(stream.skipped(), table.skipped);
  EXPECT_EQ(stream.rows(), 900);
  EXPECT_EQ(stream.dropped(), table.missing);
  for (const std::int64_t rows : {1, 7, 899, 900, 5000}) {
    stream.rewind();
    Values all;
    while (const Tensor block = stream.next(rows)) {
      EXPECT_LE(block.shape()[0], rows);
      const Values part = to_vector<double>(block);
      all.insert(all.end(), part.begin(), part.end());
    }
    EXPECT_EQ(all, to_vector<double>(table.values)) << rows;
    EXPECT_FALSE(stream.next(rows));
  }
  EXPECT_ERROR(stream.next(0), "at least one row");
  EXPECT_ERROR(CsvStream(path_, {.missing = Missing::interpolate}), path_, "read_csv");
  EXPECT_ERROR(CsvStream(path_), at("2:6"), "missing value");
  CsvStream changed(path_, options);
  write_bytes(path_, "day,a,b\nd1,1,7\n");
  changed.rewind();
  EXPECT_ERROR(changed.next(900), path_, "changed");
}

TEST_F(Csv, AColumnThatBeginsWithMissingValuesDropsThoseRows) {
  const CsvTable table = read("a,b\n1,\n,\n2,5\n3,\n4,6\n", {.missing = Missing::drop});
  EXPECT_EQ(to_vector<double>(table.values), (Values{2, 5, 4, 6}));
  EXPECT_EQ(table.missing, 3);
}

TEST_F(Csv, RowsHaveLimits) {
  std::string header, row;
  for (int i = 0; i < 8192; i++) {
    header += "c" + std::to_string(i) + ",";
    row += std::to_string(i) + ",";
  }
  header.back() = row.back() = '\n';
  EXPECT_EQ(read(header + row).values.shape(), (Shape{1, 8192}));
  row.back() = ',';
  EXPECT_ERROR(read(header + row), at("2:39851"), "more than 8192 columns");
  const std::string long_text = std::string(17 << 20, 'x');
  EXPECT_ERROR(read("a\n" + long_text), at("2:1"), "more than 16777216 bytes");
  EXPECT_ERROR(read("a\n\"" + long_text), at("2:1"), "quote");
}

TEST_F(Csv, PrefixesAndFlippedBytesNeverCrash) {
  const std::string whole = "date,\"a\"\"b\",c\r\n2012/1/1,1.5,\"2\"\r\n2012/1/2,NA,-3e4\n";
  for (std::size_t n = 0; n <= whole.size(); n++)
    for (const int flip : {0, 1, 6, 39, 128}) {
      std::string text = whole.substr(0, n);
      if (n > 0) text[n - 1] = static_cast<char>(text[n - 1] ^ flip);
      write_bytes(path_, text);
      for (const Missing missing : {Missing::error, Missing::drop, Missing::interpolate}) {
        try {
          EXPECT_TRUE(read_csv(path_, {.missing = missing}).values);
        } catch (const Error& error) {
          EXPECT_NE(std::string(error.what()).find(path_), std::string::npos) << error.what();
        }
      }
    }
}

TEST_F(Csv, WritingReadsBackTheSameNumbers) {
  const Tensor x = Random(5).normal({50, 2}, 0, 1e10, Dtype::float64);
  write_csv(path_, x, {"plain", "with, \"quotes\"\n"});
  const CsvTable table = read_csv(path_);
  EXPECT_EQ(table.names, (Names{"plain", "with, \"quotes\"\n"}));
  EXPECT_EQ(to_vector<double>(table.values), to_vector<double>(x)) << "to the last bit";
  EXPECT_EQ(folder_.entries(), 1);
}

TEST_F(Csv, WhatIsWritten) {
  write_csv(path_,
            from_values<float>({0.1f, -2, 1e20f, std::numeric_limits<float>::quiet_NaN()}, {2, 2}),
            {"a", "b c"});
  EXPECT_EQ(read_bytes(path_), "a,b c\n0.1,-2\n1e+20,nan\n");
  write_csv(path_, from_values<std::int64_t>({1, 2}, {2}));
  EXPECT_EQ(read_bytes(path_), "1\n2\n");
  write_csv(path_, view::transpose(from_values<bool>({true, false, true, false}, {2, 2}), 0, 1));
  EXPECT_EQ(read_bytes(path_), "1,1\n0,0\n");
  EXPECT_EQ(csv_field("a b"), "a b");
  EXPECT_EQ(csv_field(" a"), "\" a\"");
  EXPECT_EQ(csv_field("a\"b"), "\"a\"\"b\"");
  EXPECT_EQ(csv_number(0.1), "0.1");
  EXPECT_EQ(csv_number(-std::nan("")), "nan");
  EXPECT_ERROR(write_csv(path_, ones({2, 2}), {"a"}), path_, "1 names for 2 columns");
  EXPECT_ERROR(write_csv(path_, ones({2, 2, 2})), path_, "[2,2,2]");
  EXPECT_ERROR(write_csv(path_, scalar(1)), path_, "[]");
}

TEST_F(Csv, TheLocaleDoesNotMatter) {
  const char* german = nullptr;
  for (const char* name : {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8"})
    if (!german) german = std::setlocale(LC_ALL, name);
  if (!german) GTEST_SKIP() << "no locale with a decimal comma is installed";
  EXPECT_EQ(values("a\n1.5\n"), (Values{1.5}));
  EXPECT_EQ(csv_number(1.5), "1.5");
  std::setlocale(LC_ALL, "C");
}

}  // namespace
}  // namespace unroll
