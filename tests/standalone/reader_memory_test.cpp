// No input makes a reader hold more than 4 bytes for each byte that it has read or inflated, and
// 1 MB. Inputs of some MB in which each byte costs much, counted by operator new and the pool.
#include <gtest/gtest.h>

#include <malloc.h>

#include <atomic>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <new>
#include <string>

#include "core/memory.h"
#include "core/view.h"
#include "io/csv.h"
#include "io/npy.h"
#include "io/npz.h"
#include "io/safetensors.h"
#include "io/sharded_safetensors.h"
#include "tests/temporary.h"

namespace {

std::atomic<std::int64_t> live{0}, peak{0};

void count(std::int64_t bytes) {
  const std::int64_t now = live.fetch_add(bytes) + bytes;
  std::int64_t top = peak.load();
  while (now > top && !peak.compare_exchange_weak(top, now)) {
  }
}

}  // namespace

void* operator new(std::size_t bytes) {
  void* const p = std::malloc(bytes ? bytes : 1);
  if (!p) throw std::bad_alloc();
  count(static_cast<std::int64_t>(malloc_usable_size(p)));
  return p;
}
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
  void* const p = std::malloc(bytes ? bytes : 1);
  if (p) count(static_cast<std::int64_t>(malloc_usable_size(p)));
  return p;
}
void operator delete(void* p) noexcept {
  if (p) count(-static_cast<std::int64_t>(malloc_usable_size(p)));
  std::free(p);
}
void operator delete(void* p, std::size_t) noexcept { operator delete(p); }

namespace unroll {
namespace {

using unroll::testing::TemporaryFolder;
using unroll::testing::write_bytes;

// Bytes that this process has read.
std::int64_t bytes_read() {
  std::ifstream file("/proc/self/io");
  std::string word;
  std::int64_t value = -1;
  file >> word >> value;
  return word == "rchar:" ? value : -1;
}

struct Use {
  std::int64_t held, read;
  std::string error;  // none: the reader succeeded
};

Use use_of(const std::function<void()>& reader) {
  memory::trim();
  memory::reset_peak();
  const std::int64_t before_new = live, before_pool = memory::stats().live;
  peak = live.load();
  Use use{};
  const std::int64_t before_read = bytes_read();
  try {
    reader();
  } catch (const Error& error) {
    use.error = error.what();
  }
  use.read = bytes_read() - before_read;
  // A block of the pool may be 25 % larger than what was asked for; that part is never touched.
  use.held = peak - before_new + (memory::stats().peak - before_pool) * 4 / 5;
  return use;
}

class ReaderMemory : public ::testing::Test {
 protected:
  void SetUp() override {
    if (bytes_read() < 0) GTEST_SKIP() << "/proc/self/io is not to be had here";
  }
  // `inflated`: bytes that are no bytes of the file.
  std::string check(const std::string& what, const std::function<void()>& reader,
                    std::int64_t inflated = 0) {
    const Use use = use_of(reader);
    EXPECT_LE(use.held, 4 * (use.read + inflated) + (1 << 20))
        << what << ": " << use.read << " bytes read; " << use.error;
    return use.error;
  }
  std::string file(const std::string& name, const std::string& bytes) {
    write_bytes(folder_ / name, bytes);
    return folder_ / name;
  }
  TemporaryFolder folder_;
};

std::string repeat(const std::string& text, std::size_t count) {
  std::string out;
  out.reserve(text.size() * count);
  for (std::size_t i = 0; i < count; i++) out += text;
  return out;
}

std::string safetensors(std::string header, const std::string& data = "") {
  std::string size(8, '\0');
  for (std::size_t i = 0; i < 8; i++) size[i] = static_cast<char>(header.size() >> 8 * i);
  return size + header + data;
}

// `count` entries of this name and shape; F32, without data.
std::string entries(std::size_t count, const std::string& name, const std::string& shape) {
  std::string text = "{";
  for (std::size_t i = 0; i < count; i++)
    text += (i ? ",\"" : "\"") + name + std::to_string(i) +
            "\":{\"dtype\":\"F32\",\"shape\":" + shape + ",\"data_offsets\":[0,0]}";
  return text + "}";
}

TEST_F(ReaderMemory, HeadersOfSafetensors) {
  std::string metadata = "{\"__metadata__\":{";
  for (int i = 0; i < 200000; i++) metadata += (i ? ",\"" : "\"") + std::to_string(i) + "\":\"\"";
  const std::string headers[] = {
      entries(30000, "", "[0]"),
      entries(30000, "a.long.name.as.models.have.them.", "[0,64]"),
      entries(20000, "", "[0" + repeat(",1", 63) + "]"),
      entries(1, "", "[0" + repeat(",1", 2000000) + "]"),
      metadata + "}}",
      "{\"__metadata__\":{\"a\":\"" + std::string(5'000'000, 'x') + "\"}}",
      "{\"" + std::string(5'000'000, 'x') + "\":1}",
      "{\"" + repeat("\\\"", 2'500'000) + "\":1}",
      std::string(5'000'000, '{'),
      repeat("{\"a\":", 1'000'000),
  };
  for (const std::string& header : headers) {
    const std::string path = file("x.safetensors", safetensors(header));
    check("list " + header.substr(0, 100), [&] { list_safetensors(path); });
    check("read " + header.substr(0, 100), [&] { read_safetensors(path); });
  }
  const std::string path = file("x.safetensors", safetensors(headers[1]));
  EXPECT_EQ(check("names as models have them", [&] { list_safetensors(path); }), "");
}

TEST_F(ReaderMemory, ManyTensorsOfAModelAreRead) {
  Safetensors content;
  for (int i = 0; i < 20000; i++)
    content.tensors.push_back({"model.layers." + std::to_string(i) + ".bias", zeros({64})});
  const std::string path = folder_ / "x.safetensors";
  write_safetensors(path, content);
  content = {};
  EXPECT_EQ(check("20000 biases", [&] { read_safetensors(path); }), "");
}

TEST_F(ReaderMemory, IndicesOfShards) {
  std::string tiny = "{\"weight_map\":{", usual = tiny;
  for (int i = 0; i < 100000; i++) {
    const std::string n = std::to_string(i), comma = i ? ",\"" : "\"";
    tiny += comma + n + "\":\"s\"";
    usual +=
        comma + "model.layers." + n + ".self_attention.query.weight\":\"model-00001-of-00002.s\"";
  }
  const std::string path = file("i.json", tiny + "}}");
  check("short names", [&] { list_sharded_safetensors(path); });
  file("i.json", usual + "}}");
  EXPECT_EQ(check("usual names", [&] { list_sharded_safetensors(path); }), "");
  file("i.json", "{\"" + std::string(4'000'000, ':') + "\":1}");
  check("colons", [&] { list_sharded_safetensors(path); });
}

std::string npy(const std::string& descr, const std::string& order, const std::string& shape,
                const std::string& data) {
  const std::string header =
      "{'descr': '" + descr + "', 'fortran_order': " + order + ", 'shape': " + shape + "}";
  std::string out("\x93NUMPY\x02\x00", 8);
  for (int i = 0; i < 4; i++) out += static_cast<char>(header.size() >> 8 * i);
  return out + header + data;
}

TEST_F(ReaderMemory, ArraysOfEachTypeAndOrder) {
  const std::string data(1 << 22, '\1');
  for (const char* descr : {"|b1", "|i1", "|u1", "<i2", ">u2", "<f2", "<i4", ">f8", "<u8", "<f4"})
    for (const char* order : {"True", "False"}) {
      const int width = descr[2] - '0';
      const std::string shape = "(1024, " + std::to_string((1 << 12) / width) + ")";
      const std::string path = file("x.npy", npy(descr, order, shape, data));
      EXPECT_EQ(check(std::string(descr) + order, [&] { read_npy(path); }), "");
    }
}

TEST_F(ReaderMemory, ArraysThatLie) {
  const std::string data(1 << 20, '\xff');
  for (const std::string& bytes :
       {npy("<f4", "False", "(1000000000000,)", data), npy("<u8", "False", "(131072,)", data),
        npy("<f4", "False", "(" + repeat("1,", 400000) + ")", data),
        npy(std::string(900000, 'x'), "False", "()", data)}) {
    const std::string path = file("x.npy", bytes);
    EXPECT_NE(check(bytes.substr(12, 60), [&] { read_npy(path); }), "");
  }
}

TEST_F(ReaderMemory, Archives) {
  const std::string path = folder_ / "x.npz";
  std::vector<NamedTensor> many(70000);  // more than 16 bits count
  for (std::size_t i = 0; i < many.size(); i++) many[i] = {std::to_string(i), zeros({0})};
  write_npz(path, many);
  EXPECT_EQ(check("many members", [&] { read_npz(path); }), "");
  EXPECT_EQ(check("many members", [&] { list_npz(path); }), "");
  many.clear();
  write_npz(path, {{"a", zeros({5'000'000})}}, {.compress = true});
  EXPECT_EQ(check(
                "zeros", [&] { read_npz(path); }, 20'000'000),
            "");
  std::string bytes = testing::read_bytes(path);
  bytes[bytes.size() / 2] ^= 1;
  file("x.npz", bytes);
  EXPECT_NE(check("corrupt zeros", [&] { read_npz(path); }), "");
}

TEST_F(ReaderMemory, Tables) {
  std::string wide;
  for (int i = 0; i < 8191; i++) wide += "1,";
  const std::string texts[] = {repeat("1\n", 1'000'000),
                               "1,1,1\n" + repeat(",,\n", 500'000),
                               wide + "\n" + wide + "1\n",
                               repeat("1,", 1'000'000),
                               std::string(20'000'000, 'x'),
                               "\"" + repeat("\"\"", 3'000'000),
                               std::string(10'000'000, 'x') + "\n1\n",
                               std::string(3'000'000, '\n')};
  for (const std::string& text : texts) {
    const std::string path = file("x.csv", text);
    for (const Missing missing : {Missing::error, Missing::drop, Missing::interpolate})
      check(text.substr(0, 20), [&] { read_csv(path, {.missing = missing}); });
  }
  const std::string path = file("x.csv", repeat("1.5,2\n", 300'000));
  const Use use = use_of([&] {
    CsvStream stream(path);
    while (stream.next(100)) {
    }
  });
  EXPECT_EQ(use.error, "");
  EXPECT_LT(use.held, 300'000) << "a stream holds a row and a block";
}

}  // namespace
}  // namespace unroll
