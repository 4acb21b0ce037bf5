// npy files: round trips, every dtype and layout that is read, and malformed files.
#include "io/npy.h"

#include <gtest/gtest.h>

#include <sys/stat.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "core/memory.h"
#include "core/random.h"
#include "core/view.h"
#include "io/atomic_file.h"
#include "tests/temporary.h"

namespace unroll {
namespace {

using unroll::testing::read_bytes;
using unroll::testing::TemporaryFolder;
using unroll::testing::write_bytes;

// A version 1 file with this header and data.
std::string npy(const std::string& header, const std::string& data) {
  std::string out("\x93NUMPY\x01\x00", 8);
  out += static_cast<char>(header.size() & 255);
  out += static_cast<char>(header.size() >> 8);
  return out + header + data;
}

std::string npy(const std::string& descr, const std::string& shape, const std::string& data,
                const std::string& fortran = "False") {
  return npy(
      "{'descr': '" + descr + "', 'fortran_order': " + fortran + ", 'shape': " + shape + ", }",
      data);
}

template <class T>
std::string raw(std::initializer_list<T> values) {
  std::string out;
  for (const T value : values) out.append(reinterpret_cast<const char*>(&value), sizeof value);
  return out;
}

class Npy : public ::testing::Test {
 protected:
  Tensor read(const std::string& bytes) {
    write_bytes(path_, bytes);
    return read_npy(path_);
  }
  TemporaryFolder folder_;
  std::string path_ = folder_ / "x.npy";
};

TEST_F(Npy, RoundTripsEachDtypeAndRank) {
  Random random(1);
  for (const Dtype dtype : {Dtype::float32, Dtype::float64, Dtype::int64, Dtype::boolean})
    for (const Shape& shape : {Shape{}, Shape{1}, Shape{7}, Shape{2, 3}, Shape{0, 3}, Shape{3, 0},
                               Shape{2, 1, 2, 1, 2, 1, 2, 1}}) {
      const Tensor x = cast_copy(random.uniform(shape, -9, 9, Dtype::float64), dtype);
      write_npy(path_, x);
      const Tensor y = read_npy(path_);
      EXPECT_EQ(y.dtype(), dtype);
      EXPECT_EQ(to_string(y), to_string(x));
      EXPECT_EQ(read_bytes(path_).size() % 64,
                static_cast<std::size_t>(x.numel()) * size_of(dtype) % 64)
          << "the data begins at a multiple of 64";
    }
  EXPECT_EQ(folder_.entries(), 1) << "a temporary file stayed behind";
}

TEST_F(Npy, SpecialValuesKeepTheirBits) {
  const double inf = std::numeric_limits<double>::infinity();
  const std::vector<double> values = {inf,  -inf,   std::nan(""),
                                      -0.0, 5e-324, 0x1.fffffffffffffp1023};
  write_npy(path_, from_values(values, {6}));
  const Tensor x = read_npy(path_);
  EXPECT_EQ(std::memcmp(x.raw_data(), values.data(), 48), 0);
}

TEST_F(Npy, ViewsAreWrittenRowMajor) {
  const Tensor x = arange(6, Dtype::float32);
  write_npy(path_, view::transpose(view::reshape(x, {2, 3}), 0, 1));
  const Tensor y = read_npy(path_);
  EXPECT_EQ(y.shape(), (Shape{3, 2}));
  EXPECT_EQ(to_vector<float>(y), (std::vector<float>{0, 3, 1, 4, 2, 5}));
}

TEST_F(Npy, LargerThanOneStep) {
  const Tensor x = Random(2).normal({300, 1000});
  write_npy(path_, x);
  EXPECT_EQ(to_vector<float>(read_npy(path_)), to_vector<float>(x));
  std::string bytes;  // 600000 elements of 2 bytes: several steps with conversion
  for (int i = 0; i < 600000; i++) {
    bytes += static_cast<char>(i & 255);
    bytes += static_cast<char>(i >> 8 & 127);
  }
  const auto values = to_vector<std::int64_t>(read(npy("<i2", "(600000,)", bytes)));
  for (int i = 0; i < 600000; i++) ASSERT_EQ(values[i], i & 32767) << i;
}

TEST_F(Npy, FortranOrder) {
  const Tensor x = read(npy("<i8", "(2, 3)", raw<std::int64_t>({1, 4, 2, 5, 3, 6}), "True"));
  EXPECT_EQ(x.shape(), (Shape{2, 3}));
  EXPECT_TRUE(x.is_contiguous());
  EXPECT_EQ(to_vector<std::int64_t>(x), (std::vector<std::int64_t>{1, 2, 3, 4, 5, 6}));
  // [2,1,3]: element (i,0,k) is the (i + 2k)-th.
  const Tensor y = read(npy("<i8", "(2,1,3)", raw<std::int64_t>({1, 4, 2, 5, 3, 6}), "True"));
  EXPECT_EQ(y.item({1, 0, 2}), 6);
  EXPECT_EQ(y.item({0, 0, 1}), 2);
}

TEST_F(Npy, EachTypeInBothByteOrders) {
  const auto ints = [&](const std::string& descr, const std::string& bytes) {
    return to_vector<std::int64_t>(read(npy(descr, "(2,)", bytes)));
  };
  using V = std::vector<std::int64_t>;
  EXPECT_EQ(to_vector<float>(read(npy("|i1", "(2,)", "\x01\xff"))), (std::vector<float>{1, -1}));
  EXPECT_EQ(to_vector<float>(read(npy("|u1", "(2,)", "\x01\xff"))), (std::vector<float>{1, 255}));
  EXPECT_EQ(ints("<i2", std::string("\x01\x02\xff\xff", 4)), (V{0x201, -1}));
  EXPECT_EQ(ints(">i2", std::string("\x01\x02\xff\xfe", 4)), (V{0x102, -2}));
  EXPECT_EQ(ints("<u2", "\xff\xff\xfe\xff"), (V{65535, 65534}));
  EXPECT_EQ(ints("<i4", raw<std::int32_t>({-7, 1 << 30})), (V{-7, 1 << 30}));
  EXPECT_EQ(ints(">u4", std::string("\xff\xff\xff\xff\0\0\0\1", 8)), (V{4294967295, 1}));
  EXPECT_EQ(ints("<u8", raw<std::uint64_t>({3, ~0ull >> 1})), (V{3, INT64_MAX}));
  EXPECT_EQ(ints(">i8", std::string("\0\0\0\0\0\0\0\5\xff\xff\xff\xff\xff\xff\xff\xff", 16)),
            (V{5, -1}));
  EXPECT_EQ(ints("int32", raw<std::int32_t>({8, 9})), (V{8, 9}));
  EXPECT_EQ(read(npy(">f8", "()", std::string("\x3f\xf8\0\0\0\0\0\0", 8))).item(), 1.5);
  EXPECT_EQ(read(npy("=f4", "()", raw<float>({2.5f}))).item(), 2.5);
  EXPECT_ERROR(ints("<u8", raw<std::uint64_t>({3, 1ull << 63})), path_, "9223372036854775808");
}

TEST_F(Npy, BoolsAreZeroOrOneInMemory) {
  const Tensor x = read(npy("|b1", "(3,)", std::string("\0\2\1", 3)));
  EXPECT_EQ(x.dtype(), Dtype::boolean);
  const auto* bytes = static_cast<const unsigned char*>(x.raw_data());
  EXPECT_EQ(bytes[0], 0);
  EXPECT_EQ(bytes[1], 1);
  EXPECT_EQ(bytes[2], 1);
}

TEST_F(Npy, HalfPrecision) {
  const auto half = [&](int bits) {
    const Tensor x =
        read(npy("<f2", "()", {static_cast<char>(bits & 255), static_cast<char>(bits >> 8)}));
    EXPECT_EQ(x.dtype(), Dtype::float16);
    return x.item();
  };
  EXPECT_EQ(half(0x3c00), 1);
  EXPECT_EQ(half(0xc000), -2);
  EXPECT_EQ(half(0x7bff), 65504);
  EXPECT_EQ(half(0x0001), 0x1p-24);
  EXPECT_EQ(half(0x03ff), 1023 * 0x1p-24);
  EXPECT_EQ(half(0x0400), 0x1p-14);
  EXPECT_EQ(half(0x3555), 0.333251953125);
  EXPECT_EQ(half(0x7c00), std::numeric_limits<double>::infinity());
  EXPECT_EQ(half(0xfc00), -std::numeric_limits<double>::infinity());
  EXPECT_TRUE(std::isnan(half(0x7e00)));
  EXPECT_TRUE(std::signbit(half(0x8000)) && half(0x8000) == 0);
}

TEST_F(Npy, HalfPrecisionIsWrittenAsItIs) {
  const Tensor x = from_values<Float16>({{0x3c00}, {0xfc00}, {0x0001}, {0x7e01}}, {2, 2});
  write_npy(path_, x);
  EXPECT_EQ(inspect_npy(path_).dtype, "<f2");
  const Tensor y = read_npy(path_);
  ASSERT_EQ(y.dtype(), Dtype::float16);
  EXPECT_EQ(std::memcmp(x.raw_data(), y.raw_data(), 8), 0);
  EXPECT_EQ(read(npy(">f2", "()", std::string("\x3c\x01", 2))).item(), 1 + 0x1p-10);
  const Tensor fortran = read(npy("<f2", "(2, 2)", raw<std::uint16_t>({1, 2, 3, 4}), "True"));
  EXPECT_EQ(fortran.item({0, 1}), 3 * 0x1p-24);
  EXPECT_ERROR(write_npy(path_, zeros({1}, Dtype::bfloat16)), path_, "NumPy has no bfloat16");
}

TEST_F(Npy, HeaderVariants) {
  const std::string data = raw<float>({1, 2});
  for (const std::string& header : std::vector<std::string>{
           "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }",
           "{\"shape\":(2L,),\"fortran_order\":False,\"descr\":\"<f4\"}",
           "  {'descr':'<f4' ,'fortran_order' : False,\n'shape':( 2 , ) }   \n",
           "{'descr': 'f4', 'fortran_order': True, 'shape': (2,)}",
       })
    EXPECT_EQ(to_vector<float>(read(npy(header, data))), (std::vector<float>{1, 2})) << header;
}

TEST_F(Npy, MalformedHeadersAreRefused) {
  const std::string data(64, '\0');
  const std::string good = "'descr': '<f4', 'fortran_order': False, 'shape': (2,)";
  for (const std::string& header : std::vector<std::string>{
           std::string(""),
           std::string("{}"),
           "{" + good,
           good + "}",
           "{" + good + "} x",
           "{" + good + ", 'x': 1}",
           "{" + good + ", " + good + "}",
           "{" + good + ",, }",
           std::string("{'descr': '<f4', 'fortran_order': 0, 'shape': (2,)}"),
           std::string("{'descr': '<f4', 'fortran_order': False, 'shape': (2)}"),
           std::string("{'descr': '<f4', 'fortran_order': False, 'shape': 2}"),
           std::string("{'descr': '<f4', 'fortran_order': False, 'shape': [2]}"),
           std::string("{'descr': '<f4', 'fortran_order': False, 'shape': (-2,)}"),
           std::string("{'descr': '<f4', 'fortran_order': False, 'shape': (2.0,)}"),
           std::string("{'descr': '<f4', 'fortran_order': False, 'shape': (2 3)}"),
           std::string("{'descr': '<f4', 'fortran_order': False, 'shape': (,)}"),
           std::string("{'descr': '<f4', 'fortran_order': False, 'shape': (2,,)}"),
           std::string(
               "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}"),
           std::string(
               "{'descr': '<f4', 'fortran_order': False, 'shape': (0, 4294967296, 4294967296)}"),
           std::string(
               "{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296, 4)}"),
           std::string("{'descr': '<f4\\n', 'fortran_order': False, 'shape': (2,)}"),
           std::string("{'descr': <f4, 'fortran_order': False, 'shape': (2,)}"),
           std::string("{'descr': '<f4, 'fortran_order': False, 'shape': (2,)}"),
       })
    EXPECT_ERROR(read(npy(header, data)), path_);
}

TEST_F(Npy, TypesThatNoTensorHoldsAreNamed) {
  const std::string data(64, '\0');
  for (const std::string& descr :
       std::vector<std::string>{"|O", "<c8", "<U4", "|S4", "<M8[ns]", "<f16", "|V8", ""})
    EXPECT_ERROR(read(npy(descr, "(1,)", data)), path_, "'" + descr + "'", "not supported");
  EXPECT_ERROR(read(npy("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}", data)),
               path_, "structured", "('a', '<f4')");
}

TEST_F(Npy, TooManyAxes) {
  const std::string nine = "(1, 1, 1, 1, 1, 1, 1, 1, 1)";
  EXPECT_ERROR(read(npy("<f4", nine, raw<float>({1}))), path_, "9 axes", "at most 8");
  EXPECT_EQ(inspect_npy(path_).shape.size(), 9u);
}

TEST_F(Npy, AHugeShapeAllocatesNothing) {
  memory::reset_peak();
  const auto before = memory::stats().peak;
  EXPECT_ERROR(read(npy("<f4", "(1099511627776,)", "abcd")), path_, "truncated");
  EXPECT_LT(memory::stats().peak - before, 1 << 20);
}

TEST_F(Npy, EveryPrefixIsRefused) {
  const std::string whole = npy("<f4", "(2, 3)", raw<float>({1, 2, 3, 4, 5, 6}));
  ASSERT_NO_THROW(read(whole));
  for (std::size_t n = 0; n < whole.size(); n++) EXPECT_ERROR(read(whole.substr(0, n)), path_);
}

TEST_F(Npy, NoFlippedByteCrashes) {
  const std::string whole = npy("<f4", "(2, 3)", raw<float>({1, 2, 3, 4, 5, 6}));
  int read_anyway = 0;
  for (std::size_t i = 0; i < whole.size(); i++)
    for (const int flip : {1, 4, 32, 128, 255}) {
      std::string bytes = whole;
      bytes[i] = static_cast<char>(bytes[i] ^ flip);
      try {
        read_anyway += read(bytes).rank() >= 0;
      } catch (const Error&) {
      }
    }
  EXPECT_GT(read_anyway, 24 * 5 - 1) << "changed data must still be read";
}

TEST_F(Npy, OtherVersions) {
  std::string bytes = npy("<f4", "(1,)", raw<float>({3}));
  bytes[6] = 4;
  EXPECT_ERROR(read(bytes), path_, "version 4.0");
  bytes[6] = 1;
  bytes[7] = 1;
  EXPECT_ERROR(read(bytes), path_, "version 1.1");
  bytes[7] = 0;
  bytes[6] = 3;
  bytes.insert(10, 2, '\0');  // four bytes of length
  EXPECT_EQ(read(bytes).item(), 3);
}

TEST_F(Npy, WhatIsNoFile) {
  EXPECT_ERROR(read_npy(folder_ / "absent.npy"), "absent.npy", "does not exist");
  EXPECT_ERROR(read_npy(folder_.path().string()), folder_.path().string(), "is a folder");
  EXPECT_ERROR(read_npy(""), "path is empty");
  EXPECT_ERROR(read_npy("/dev/null"), "/dev/null", "regular file");
  EXPECT_ERROR(read(""), path_, "truncated");
  write_bytes(path_, "x");
  EXPECT_ERROR(read_npy(path_ + "/y"), "cannot be reached");
}

TEST_F(Npy, WhatCannotBeWritten) {
  const Tensor x = ones({2});
  EXPECT_ERROR(write_npy(folder_ / "no/such/x.npy", x), "no/such/x.npy", "does not exist");
  EXPECT_ERROR(write_npy(folder_.path().string(), x), folder_.path().string(), "is a folder");
  EXPECT_ERROR(write_npy("", x), "path is empty");
  EXPECT_ERROR(write_npy(path_, Tensor()), path_, "undefined");
  EXPECT_ERROR(write_npy("/dev/full", ones({100000})), "/dev/full");
  EXPECT_EQ(folder_.entries(), 0);
}

TEST_F(Npy, AFileIsReplacedWholeOrNotAtAll) {
  write_file(path_, "old");
  {
    AtomicFile file("test", path_);
    file.write("half");
  }  // no commit
  EXPECT_EQ(read_bytes(path_), "old");
  EXPECT_EQ(folder_.entries(), 1);
  ASSERT_EQ(::chmod(path_.c_str(), 0640), 0);
  std::filesystem::create_symlink(path_, folder_ / "link");
  write_file(folder_ / "link", "new");
  EXPECT_EQ(read_bytes(path_), "new") << "the link is followed";
  EXPECT_TRUE(std::filesystem::is_symlink(folder_ / "link"));
  EXPECT_EQ(static_cast<int>(std::filesystem::status(path_).permissions()), 0640);
  EXPECT_EQ(folder_.entries(), 2);
}

TEST_F(Npy, LargeWritesGoThroughTheBufferInOrder) {
  std::string all;
  AtomicFile file("test", path_);
  for (int i = 0; i < 3000; i++) {
    const std::string piece(static_cast<std::size_t>(i * 37 % 500) * (i % 100 == 0 ? 1000 : 1),
                            static_cast<char>('a' + i % 26));
    file.write(piece);
    all += piece;
  }
  file.commit();
  EXPECT_TRUE(read_bytes(path_) == all);
}

}  // namespace
}  // namespace unroll
