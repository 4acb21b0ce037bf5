// safetensors files: round trips, the header's rules one by one, and malformed files.
#include "io/safetensors.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "core/memory.h"
#include "core/random.h"
#include "core/view.h"
#include "tests/temporary.h"

namespace unroll {
namespace {

using unroll::testing::read_bytes;
using unroll::testing::TemporaryFolder;
using unroll::testing::write_bytes;

std::string file_of(const std::string& header, const std::string& data = "") {
  std::string out;
  for (int i = 0; i < 8; i++)
    out += static_cast<char>(static_cast<unsigned long long>(header.size()) >> 8 * i & 255);
  return out + header + data;
}

// One tensor "a".
std::string tensor(const std::string& dtype, const std::string& shape, const std::string& offsets) {
  return R"({"a":{"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" + offsets +
         "}}";
}

class SafetensorsFile : public ::testing::Test {
 protected:
  Safetensors read(const std::string& bytes) {
    write_bytes(path_, bytes);
    return read_safetensors(path_);
  }
  void expect_refused(const std::string& bytes, const std::string& why) {
    SCOPED_TRACE(bytes.substr(0, 300));
    EXPECT_ERROR(read(bytes), path_, why);
    EXPECT_ERROR(list_safetensors(path_), path_, why);
  }
  TemporaryFolder folder_;
  std::string path_ = folder_ / "x.safetensors";
};

TEST_F(SafetensorsFile, RoundTripKeepsOrderNamesTypesAndMetadata) {
  Random random(3);
  Safetensors content;
  content.tensors = {{"flags", cast_copy(random.integers({5}, 0, 2), Dtype::boolean)},
                     {"z", random.normal({2, 3})},
                     {"", random.normal({1})},
                     {"a.b/\"\\\n\xc3\xa9", random.normal({4, 1, 2}, 0, 1, Dtype::float64)},
                     {"n", random.integers({3}, -5, 5)},
                     {"scalar", scalar(2.5)},
                     {"none", zeros({3, 0})}};
  content.metadata = {{"step", "12"}, {"who", "\xc3\xa9 \"q\""}, {"", ""}};
  write_safetensors(path_, content);
  const Safetensors back = read_safetensors(path_);
  ASSERT_EQ(back.tensors.size(), content.tensors.size());
  EXPECT_EQ(back.metadata, content.metadata);
  for (std::size_t i = 0; i < content.tensors.size(); i++) {
    EXPECT_EQ(back.tensors[i].name, content.tensors[i].name);
    EXPECT_EQ(to_string(back.tensors[i].tensor), to_string(content.tensors[i].tensor));
    EXPECT_EQ(to_string(read_safetensors(path_, content.tensors[i].name)),
              to_string(content.tensors[i].tensor));
  }
  EXPECT_EQ(folder_.entries(), 1);
}

TEST_F(SafetensorsFile, TheDataLiesAligned) {
  write_safetensors(path_, {{{"b", cast_copy(ones({3}), Dtype::boolean)},
                             {"f", ones({3})},
                             {"d", ones({2}, Dtype::float64)},
                             {"v", view::transpose(ones({2, 3}), 0, 1)}},
                            {}});
  const SafetensorsList list = list_safetensors(path_);
  EXPECT_EQ(list.entries[0].name, "b");
  EXPECT_EQ(list.entries[0].begin, 16u + 12 + 24);
  EXPECT_EQ(list.entries[1].begin, 16u);
  EXPECT_EQ(list.entries[2].begin, 0u);
  EXPECT_EQ(list.entries[3].begin, 28u);
  const std::string bytes = read_bytes(path_);
  EXPECT_EQ(static_cast<unsigned char>(bytes[0]) % 8, 0) << "the data begins at a multiple of 8";
}

TEST_F(SafetensorsFile, WritingTheSameTwiceGivesTheSameBytes) {
  const Safetensors content{{{"a", Random(1).normal({20})}}, {{"k", "v"}, {"b", "w"}}};
  write_safetensors(path_, content);
  const std::string first = read_bytes(path_);
  write_safetensors(path_, content);
  EXPECT_EQ(read_bytes(path_), first);
  write_safetensors(path_, read_safetensors(path_));
  EXPECT_EQ(read_bytes(path_), first);
}

TEST_F(SafetensorsFile, AnEmptyFileOfTensors) {
  write_safetensors(path_, {});
  EXPECT_EQ(read_bytes(path_), file_of("{}      "));
  EXPECT_TRUE(read_safetensors(path_).tensors.empty());
  EXPECT_TRUE(read(file_of("{}")).tensors.empty());
}

TEST_F(SafetensorsFile, NarrowTypesAreWidened) {
  const auto first = [&](const std::string& dtype, const std::string& data) {
    return read(
        file_of(tensor(dtype, "[1]", "[0," + std::to_string(data.size()) + "]"), data))["a"];
  };
  EXPECT_EQ(first("I8", "\xff").item(), -1);
  EXPECT_EQ(first("U8", "\xff").item(), 255);
  EXPECT_EQ(first("I16", "\xfe\xff").item(), -2);
  EXPECT_EQ(first("U16", "\xfe\xff").item(), 65534);
  EXPECT_EQ(first("I32", "\xfd\xff\xff\xff").item(), -3);
  EXPECT_EQ(first("U32", "\xfd\xff\xff\xff").item(), 4294967293.0);
  EXPECT_EQ(first("U64", std::string("\x05\0\0\0\0\0\0\0", 8)).item(), 5);
  EXPECT_EQ(first("U16", std::string("\x01\0", 2)).dtype(), Dtype::int64);
  EXPECT_EQ(first("I8", "\x01").dtype(), Dtype::float32) << "8 times the memory as int64";
  EXPECT_EQ(first("BOOL", "\x02").item(), 1);
}

TEST_F(SafetensorsFile, HalfTypesAreHeldAndWrittenAsTheyAre) {
  const Tensor h = from_values<Float16>({{0xbc00}, {0x7c01}, {0x8001}}, {3});
  const Tensor b = from_values<Bfloat16>({{0x3fc0}, {0xff80}}, {2, 1});
  write_safetensors(path_, {.tensors = {{"h", h}, {"b", b}}, .metadata = {}});
  const SafetensorsList list = list_safetensors(path_);
  EXPECT_EQ(list.entries[0].dtype, "F16");
  EXPECT_EQ(list.entries[1].dtype, "BF16");
  const Safetensors back = read_safetensors(path_);
  ASSERT_EQ(back["h"].dtype(), Dtype::float16);
  ASSERT_EQ(back["b"].dtype(), Dtype::bfloat16);
  EXPECT_EQ(std::memcmp(back["h"].raw_data(), h.raw_data(), 6), 0);
  EXPECT_EQ(std::memcmp(back["b"].raw_data(), b.raw_data(), 4), 0);
  EXPECT_EQ(back["h"].item({0}), -1);
  EXPECT_EQ(back["b"].item({0, 0}), 1.5);
}

TEST_F(SafetensorsFile, TypesThatNoTensorHoldsAreListedAndRefusedByName) {
  const std::string header = R"({"a":{"dtype":"F8_E4M3","shape":[2],"data_offsets":[0,2]},)"
                             R"("b":{"dtype":"F32","shape":[1],"data_offsets":[2,6]}})";
  write_bytes(path_, file_of(header, std::string(6, '\0')));
  const SafetensorsList list = list_safetensors(path_);
  ASSERT_EQ(list.entries.size(), 2u);
  EXPECT_EQ(list.entries[0].dtype, "F8_E4M3");
  EXPECT_EQ(list.entries[0].shape, (std::vector<std::int64_t>{2}));
  EXPECT_EQ(read_safetensors(path_, "b").item(), 0) << "the others can be read";
  EXPECT_ERROR(read_safetensors(path_), path_, "'a'", "F8_E4M3", "not supported");
  EXPECT_ERROR(read_safetensors(path_, "a"), path_, "'a'", "F8_E4M3", "not supported");
  EXPECT_ERROR(read_safetensors(path_, "c"), path_, "no tensor 'c'");
  EXPECT_ERROR(read(file_of(tensor("F32", "[1,1,1,1,1,1,1,1,1]", "[0,4]"), "abcd")), path_,
               "9 axes");
}

TEST_F(SafetensorsFile, HeadersThatBreakARule) {
  const auto refused = [&](const std::string& header, const std::string& data,
                           const std::string& why) { expect_refused(file_of(header, data), why); };
  const std::string four(4, 'x');
  refused("", "", "does not begin with {");
  refused(" {}", "", "does not begin with {");
  refused("[]", "", "does not begin with {");
  refused("{}{}", "", "not JSON");
  refused("{", "", "not JSON");
  refused("{\"a\xff\":1}", "", "not JSON");
  refused(R"({"a":1})", "", "wrong kind");
  refused(R"({"a":[]})", "", "wrong kind");
  refused(R"({"a":{}})", "", "no dtype, shape or data_offsets");
  refused(R"({"a":{"dtype":"F32","shape":[1]}})", four, "no dtype, shape or data_offsets");
  refused(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":1}})", four, "unknown key");
  refused(R"({"a":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}})", four, "twice");
  refused(tensor("F33", "[1]", "[0,4]"), four, "unknown dtype 'F33'");
  refused(tensor("F32", "[1.0]", "[0,4]"), four, "wrong kind");
  refused(tensor("F32", "[-1]", "[0,4]"), four, "wrong kind");
  refused(tensor("F32", "[[1]]", "[0,4]"), four, "wrong kind");
  refused(tensor("F32", "1", "[0,4]"), four, "wrong kind");
  refused(tensor("F32", "[null]", "[0,4]"), four, "wrong kind");
  refused(tensor("F32", "[1]", "[0]"), four, "not two numbers");
  refused(tensor("F32", "[1]", "[0,4,8]"), four, "wrong kind");
  refused(tensor("F32", "[1]", "[4,0]"), four, "lies at bytes 4 to 0");
  refused(tensor("F32", "[1]", "[0,8]"), four, "lies at bytes 0 to 8");
  refused(tensor("F32", "[1]", "[0,18446744073709551615]"), four, "lies at bytes");
  refused(tensor("F32", "[2]", "[0,4]"), four, "needs 64 bits");
  refused(tensor("F32", "[1]", "[4,8]"), four + four, "a hole");
  refused(tensor("F32", "[1]", "[0,4]"), four + "x", "1 bytes lie behind");
  refused(tensor("I32", "[4611686018427387904,4,4]", "[0,0]"), "", "overflows");
  refused(tensor("F32", "[9223372036854775807,2,0]", "[0,0]"), "", "overflows");
  refused(tensor("F32", "[0,9223372036854775807,2]", "[0,0]"), "", "overflows");
  refused(tensor("F32", "[18446744073709551615]", "[0,0]"), "", "63 bits");
  refused(tensor("F4", "[1]", "[0,1]"), "x", "needs 4 bits");
  refused(R"({"__metadata__":{"a":1}})", "", "wrong kind");
  refused(R"({"__metadata__":{"a":"1","a":"2"}})", "", "twice");
  refused(R"({"__metadata__":{},"__metadata__":{}})", "", "twice");
  refused(R"({"__metadata__":"a"})", "", "wrong kind");
}

TEST_F(SafetensorsFile, TwoTensorsMayNotOverlapOrShareAName) {
  const auto two = [](const std::string& name, const std::string& offsets) {
    return R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},")" + name +
           R"(":{"dtype":"F32","shape":[1],"data_offsets":)" + offsets + "}}";
  };
  EXPECT_EQ(read(file_of(two("b", "[4,8]"), "aaaabbbb")).tensors.size(), 2u);
  expect_refused(file_of(two("a", "[4,8]"), "aaaabbbb"), "twice");
  expect_refused(file_of(two("\\u0061", "[4,8]"), "aaaabbbb"), "twice");
  expect_refused(file_of(two("b", "[0,4]"), "aaaa"), "an overlap");
  expect_refused(file_of(two("b", "[2,6]"), "aaaabb"), "an overlap");
}

TEST_F(SafetensorsFile, SizesAreNotTrusted) {
  expect_refused("", "truncated");
  expect_refused(std::string("\xff\xff\xff\xff\xff\xff\xff\xff", 8) + "{}", "at most 100000000");
  expect_refused(std::string("\x10\0\0\0\0\0\0\0", 8) + "{}", "truncated");
  memory::reset_peak();
  const auto before = memory::stats().peak;
  expect_refused(file_of(tensor("F32", "[1099511627776]", "[0,4398046511104]")), "lies at bytes");
  EXPECT_LT(memory::stats().peak - before, 1 << 20);
}

TEST_F(SafetensorsFile, DeepNestingIsRefusedAtOnce) {
  expect_refused(file_of(R"({"a":)" + std::string(1000000, '[')), "wrong kind");
  expect_refused(file_of(R"({"a":)" +
                         [] {
                           std::string deep;
                           for (int i = 0; i < 100000; i++) deep += R"({"a":)";
                           return deep;
                         }()),
                 "unknown key");
}

TEST_F(SafetensorsFile, EveryPrefixAndNoFlippedByteCrashes) {
  write_safetensors(path_, {{{"w", Random(1).normal({2, 2})}, {"n", arange(2)}}, {{"k", "v"}}});
  const std::string whole = read_bytes(path_);
  for (std::size_t n = 0; n < whole.size(); n++) EXPECT_ERROR(read(whole.substr(0, n)), path_);
  for (std::size_t i = 0; i < whole.size(); i++)
    for (const int flip : {1, 4, 32, 128, 255}) {
      std::string bytes = whole;
      bytes[i] = static_cast<char>(bytes[i] ^ flip);
      try {
        read(bytes);
      } catch (const Error& error) {
        EXPECT_NE(std::string(error.what()).find(path_), std::string::npos) << error.what();
      }
    }
}

TEST_F(SafetensorsFile, WhatCannotBeWritten) {
  const Tensor x = ones({2});
  const auto write = [&](std::vector<NamedTensor> tensors,
                         std::map<std::string, std::string> meta) {
    write_safetensors(path_, {std::move(tensors), std::move(meta)});
  };
  EXPECT_ERROR(write({{"a", x}, {"a", x}}, {}), path_, "'a' is named twice");
  EXPECT_ERROR(write({{"a", Tensor()}}, {}), path_, "'a' is undefined");
  EXPECT_ERROR(write({{"__metadata__", x}}, {}), path_, "reserved");
  EXPECT_ERROR(write({{"\xff", x}}, {}), path_, "UTF-8");
  EXPECT_ERROR(write({}, {{"a", "\xff"}}), path_, "UTF-8");
  EXPECT_ERROR(write_safetensors(folder_ / "no/x", {}), "no/x", "does not exist");
  EXPECT_EQ(folder_.entries(), 0);
}

TEST_F(SafetensorsFile, LookingUpANameThatIsNotThere) {
  const Safetensors content{{{"a", ones({2})}}, {}};
  EXPECT_EQ(content.find("b"), nullptr);
  EXPECT_NE(content.find("a"), nullptr);
  EXPECT_ERROR(content["b"], "'b'");
}

}  // namespace
}  // namespace unroll
