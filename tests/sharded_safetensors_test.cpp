// Sharded safetensors: what the index names is read, and what it must not name is refused.
#include "io/sharded_safetensors.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "tests/temporary.h"

namespace unroll {
namespace {

using unroll::testing::TemporaryFolder;
using unroll::testing::write_bytes;

class Sharded : public ::testing::Test {
 protected:
  Sharded() {
    write_safetensors(folder_ / "m-1.safetensors", {{{"a", arange(3)}, {"b", ones({2})}}, {}});
    write_safetensors(folder_ / "m-2.safetensors", {{{"c", scalar(7)}, {"a", arange(5)}}, {}});
  }
  std::string index(const std::string& text) {
    write_bytes(path_, text);
    return path_;
  }
  std::string map(const std::string& entries) {
    return index("{\"weight_map\":{" + entries + "}}");
  }

  TemporaryFolder folder_;
  std::string path_ = folder_ / "m.safetensors.index.json";
};

TEST_F(Sharded, ReadsWhatTheIndexNames) {
  index(R"({"metadata": {"total_size": 8, "of": [1, {"x": null}]}, "weight_map":
           {"c": "m-2.safetensors", "b": "m-1.safetensors", "a": "m-2.safetensors"}})");
  const std::vector<ShardedEntry> list = list_sharded_safetensors(path_);
  const Safetensors all = read_sharded_safetensors(path_);
  ASSERT_EQ(list.size(), 3u);
  ASSERT_EQ(all.tensors.size(), 3u);
  for (std::size_t i = 0; i < 3; i++) {
    EXPECT_EQ(list[i].name, std::string(1, "cba"[i]));
    EXPECT_EQ(all.tensors[i].name, list[i].name);
    EXPECT_EQ(to_string(read_sharded_safetensors(path_, list[i].name)),
              to_string(all.tensors[i].tensor));
  }
  EXPECT_EQ(list[1].shard, "m-1.safetensors");
  EXPECT_EQ(all["a"].numel(), 5) << "the map says which of two";
  EXPECT_EQ(all["c"].item(), 7);
  EXPECT_TRUE(read_sharded_safetensors(map("")).tensors.empty());
}

TEST_F(Sharded, TheIndexMayNotLeadElsewhere) {
  for (const std::string name :
       {"../m-1.safetensors", "/etc/passwd", "sub/m-1.safetensors", "..", ".", "",
        "a\\\\m-1.safetensors", "C:m-1.safetensors", "m-1.safetensors\\u0000.txt"})
    EXPECT_ERROR(list_sharded_safetensors(map("\"a\":\"" + name + "\"")), path_, "'a'",
                 "in the folder of its index");
}

TEST_F(Sharded, WhatIsMissingIsNamed) {
  EXPECT_ERROR(read_sharded_safetensors(folder_ / "no.json"), "no.json", "does not exist");
  map(R"("a": "m-1.safetensors", "c": "m-3.safetensors")");
  EXPECT_ERROR(read_sharded_safetensors(path_), path_, "'m-3.safetensors'", "does not exist");
  EXPECT_EQ(read_sharded_safetensors(path_, "a").numel(), 3) << "only its shard is opened";
  EXPECT_ERROR(read_sharded_safetensors(path_, "d"), path_, "no tensor 'd'");
  map(R"("a": "m-1.safetensors", "c": "m-1.safetensors")");
  EXPECT_ERROR(read_sharded_safetensors(path_), "m-1.safetensors", "lacks the tensor 'c'");
  write_bytes(folder_ / "m-1.safetensors", "damaged!damaged!");
  EXPECT_ERROR(read_sharded_safetensors(path_), "m-1.safetensors");
  std::filesystem::remove(folder_ / "m-1.safetensors");
  std::filesystem::create_directory(folder_ / "m-1.safetensors");
  EXPECT_ERROR(read_sharded_safetensors(path_), "m-1.safetensors", "is a folder");
}

TEST_F(Sharded, MalformedIndices) {
  EXPECT_ERROR(list_sharded_safetensors(index("")), path_, "not JSON");
  for (const char* text : {"[]", "1", "null", "\"weight_map\"", "[{\"weight_map\":{}}]"})
    EXPECT_ERROR(list_sharded_safetensors(index(text)), path_, "not a JSON object");
  for (const char* text : {"{}", R"({"metadata": {"weight_map": {}}})"})
    EXPECT_ERROR(list_sharded_safetensors(index(text)), path_, "no 'weight_map'");
  for (const char* value : {"1", "[]", "null", "\"m-1.safetensors\""})
    EXPECT_ERROR(list_sharded_safetensors(index("{\"weight_map\":" + std::string(value) + "}")),
                 path_, "that is no object");
  for (const char* value : {"1", "[\"m-1.safetensors\"]", "{}", "true"})
    EXPECT_ERROR(list_sharded_safetensors(map("\"a\":" + std::string(value))), path_,
                 "no file for the tensor 'a'");
  EXPECT_ERROR(list_sharded_safetensors(index(R"({"weight_map":{}, "weight_map":{}})")), "twice");
  EXPECT_ERROR(list_sharded_safetensors(map(R"("a": "m-1.safetensors", "a": "m-2.safetensors")")),
               path_, "'a' twice");
  EXPECT_ERROR(list_sharded_safetensors(index(std::string(1 << 20, '['))), "not a JSON object");
  EXPECT_ERROR(list_sharded_safetensors(index("{\"x\":" + std::string(1 << 20, '['))), "not JSON");
}

}  // namespace
}  // namespace unroll
