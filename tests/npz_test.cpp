// npz files: round trips, what other programs write, and archives that are wrong in each way.
#include "io/npz.h"

#include <gtest/gtest.h>

#include <string>
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

constexpr char kLocal[] = "PK\3\4", kEntry[] = "PK\1\2", kEnd[] = "PK\5\6";

// The k-th record with a signature.
std::size_t find(const std::string& bytes, const char* signature, int k = 0) {
  std::size_t at = bytes.find(signature);
  while (k-- > 0) at = bytes.find(signature, at + 4);
  EXPECT_NE(at, std::string::npos);
  return at;
}

void put(std::string& bytes, std::size_t at, std::uint64_t value, int width) {
  for (int i = 0; i < width; i++)
    bytes[at + static_cast<std::size_t>(i)] = static_cast<char>(value >> 8 * i);
}

std::uint64_t get(const std::string& bytes, std::size_t at, int width) {
  std::uint64_t value = 0;
  for (int i = width; i-- > 0;)
    value = value << 8 | static_cast<unsigned char>(bytes[at + static_cast<std::size_t>(i)]);
  return value;
}

class Npz : public ::testing::Test {
 protected:
  // An archive of a = [0, 1, 2] and b, 1000 zeros; its bytes for tests that damage them.
  std::string archive(const NpzOptions& options = {}) {
    write_npz(path_, {{"a", arange(3)}, {"b", zeros({1000}, Dtype::float32)}}, options);
    return read_bytes(path_);
  }
  std::vector<NamedTensor> read(const std::string& bytes) {
    write_bytes(path_, bytes);
    return read_npz(path_);
  }
  // The archive with a field of the first entry changed, in its header, in the directory or both.
  std::string with(const NpzOptions& options, int local, int entry, std::uint64_t value,
                   int width) {
    std::string bytes = archive(options);
    if (local >= 0) put(bytes, find(bytes, kLocal) + static_cast<std::size_t>(local), value, width);
    if (entry >= 0) put(bytes, find(bytes, kEntry) + static_cast<std::size_t>(entry), value, width);
    return bytes;
  }
  TemporaryFolder folder_;
  std::string path_ = folder_ / "x.npz";
};

TEST_F(Npz, RoundTrips) {
  Random random(3);
  const std::vector<NamedTensor> tensors = {
      {"w", random.normal({7, 5}, 0, 1, Dtype::float64)},
      {"layer/b", view::transpose(random.normal({3, 2}), 0, 1)},
      {"größe", scalar(2.5)},
      {"none", zeros({0, 4})},
      {"", from_values<bool>({true, false}, {2})},
      {"large", random.uniform({70000}, 0, 1)},
      {"half", cast_copy(random.normal({9}), Dtype::float16)},
      {"zeros", zeros({300000}, Dtype::int64)}};
  for (const bool compress : {false, true})
    for (const bool zip64 : {false, true}) {
      write_npz(path_, tensors, {.compress = compress, .zip64 = zip64});
      const std::vector<NamedTensor> all = read_npz(path_);
      const std::vector<NpzEntry> list = list_npz(path_);
      ASSERT_EQ(all.size(), tensors.size());
      ASSERT_EQ(list.size(), tensors.size());
      for (std::size_t i = 0; i < tensors.size(); i++) {
        EXPECT_EQ(all[i].name, tensors[i].name);
        EXPECT_EQ(list[i].name, tensors[i].name);
        EXPECT_EQ(list[i].deflated, compress);
        EXPECT_EQ(Shape(list[i].array.shape), tensors[i].tensor.shape());
        EXPECT_EQ(all[i].tensor.dtype(), tensors[i].tensor.dtype());
        EXPECT_EQ(to_vector<double>(cast_copy(all[i].tensor, Dtype::float64)),
                  to_vector<double>(cast_copy(tensors[i].tensor, Dtype::float64)));
        EXPECT_EQ(to_string(read_npz(path_, tensors[i].name)), to_string(tensors[i].tensor));
      }
      if (compress) {
        EXPECT_LT(list.back().compressed, 5000u);
      }
    }
  EXPECT_EQ(folder_.entries(), 1);
  EXPECT_ERROR(read_npz(path_, "absent"), path_, "no array 'absent'");
}

TEST_F(Npz, TheSameTensorsGiveTheSameBytes) {
  const std::string first = archive({.compress = true});
  EXPECT_EQ(archive({.compress = true}), first);
  write_npz(path_, {});
  EXPECT_EQ(read_bytes(path_), std::string(kEnd) + std::string(18, '\0'));
  EXPECT_TRUE(read_npz(path_).empty());
}

TEST_F(Npz, WhatIsNotWritten) {
  EXPECT_ERROR(write_npz(path_, {{"a", Tensor()}}), path_, "'a' is undefined");
  EXPECT_ERROR(write_npz(path_, {{"a", ones({1})}, {"a", ones({1})}}), "named twice");
  EXPECT_ERROR(write_npz(path_, {{"\xff", ones({1})}}), "not UTF-8");
  EXPECT_ERROR(write_npz(path_, {{std::string("a\0", 2), ones({1})}}), "zero byte");
  EXPECT_ERROR(write_npz(path_, {{std::string(65532, 'a'), ones({1})}}), "too long a name");
  EXPECT_EQ(folder_.entries(), 0);
  const std::string longest(65531, 'a');
  write_npz(path_, {{longest, ones({1})}});
  EXPECT_EQ(read_npz(path_)[0].name, longest);
}

TEST_F(Npz, WhatIsNoArchive) {
  EXPECT_ERROR(read(""), path_, "not a zip archive");
  EXPECT_ERROR(read("PK\3\4"), path_, "not a zip archive");
  EXPECT_ERROR(read(std::string(100000, 'x')), path_, "not a zip archive");
  const std::string whole = archive();
  EXPECT_ERROR(read(whole + "x"), "no end record");
  EXPECT_ERROR(read("x" + whole), path_, "does not end where");
  EXPECT_ERROR(read_npz(folder_ / "absent.npz"), "does not exist");
  std::string comment = whole;
  put(comment, comment.size() - 2, 5, 2);
  EXPECT_EQ(read(comment + "hello").size(), 2u);
  EXPECT_ERROR(read(comment + "hell"), "no end record");
  put(comment, comment.size() - 2, 22, 2);
  EXPECT_ERROR(read(comment + kEnd + std::string(18, '\0')), "two end records");
}

TEST_F(Npz, ACutArchiveIsRefused) {
  for (const bool compress : {false, true})
    for (const bool zip64 : {false, true}) {
      const std::string whole = archive({.compress = compress, .zip64 = zip64});
      for (std::size_t n = 0; n < whole.size(); n += n + 100 < whole.size() ? 137 : 1)
        EXPECT_ERROR(read(whole.substr(0, n)), path_);
    }
}

TEST_F(Npz, HeadersThatDisagree) {
  EXPECT_ERROR(read(with({}, 8, -1, 8, 2)), "'a.npy'", "one method");
  EXPECT_ERROR(read(with({}, 6, -1, 8, 2)), "one flags");
  EXPECT_ERROR(read(with({}, 14, -1, 7, 4)), "one checksum");
  EXPECT_ERROR(read(with({}, 18, -1, 7, 4)), "one size");
  EXPECT_ERROR(read(with({}, 22, -1, 7, 4)), "one size");
  EXPECT_ERROR(read(with({}, 30, -1, 'z', 1)), "one name");
  EXPECT_ERROR(read(with({}, -1, 46, 'z', 1)), "one name");
  EXPECT_ERROR(read(with({}, 0, -1, 7, 1)), "no header at byte 0");
  EXPECT_ERROR(read(with({}, -1, 42, 5, 4)), "no header at byte 5");
  EXPECT_ERROR(read(with({}, -1, 42, 1 << 30, 4)), "where no member can be");
  EXPECT_ERROR(read(with({}, -1, 0, 7, 1)), "no entry at byte 0");
  EXPECT_ERROR(read(with({}, -1, 28, 60000, 2)), "reaches beyond");
  EXPECT_ERROR(read(with({}, -1, 34, 1, 2)), "split");
  EXPECT_ERROR(read(with({}, 18, 20, 0xffffffff, 4)), "zip64 field", "missing");
  EXPECT_ERROR(read(with({}, -1, 24, 7, 4)), "two sizes");
  std::string bytes = archive();
  put(bytes, find(bytes, kEnd) + 10, 3, 2);
  EXPECT_ERROR(read(bytes), "split");
  put(bytes, find(bytes, kEnd) + 8, 3, 2);
  EXPECT_ERROR(read(bytes), "2 members", "states 3");
}

TEST_F(Npz, Zip64RecordsThatDisagree) {
  const std::string whole = archive({.zip64 = true});
  EXPECT_EQ(read(whole).size(), 2u);
  const auto damaged = [&](const char* signature, std::size_t at, std::uint64_t value, int width) {
    std::string bytes = whole;
    put(bytes, find(bytes, signature) + at, value, width);
    return bytes;
  };
  EXPECT_ERROR(read(damaged("PK\6\7", 8, 0, 8)), "no zip64 end record");
  EXPECT_ERROR(read(damaged("PK\6\7", 8, ~0ull, 8)), "does not lie before");
  EXPECT_ERROR(read(damaged("PK\6\7", 16, 2, 4)), "split");
  EXPECT_ERROR(read(damaged("PK\6\6", 4, 45, 8)), "does not end where");
  EXPECT_ERROR(read(damaged("PK\6\6", 24, 5, 8)), "split");
  EXPECT_ERROR(read(damaged("PK\6\6", 40, ~0ull, 8)), "does not end where");
  EXPECT_ERROR(read(damaged("PK\6\6", 48, 0, 8)), "does not end where");
  EXPECT_ERROR(read(damaged(kEnd, 8, 1, 4)), "disagree");
  const std::size_t field = find(whole, kEntry) + 46 + 5 + 4;  // size, compressed, begin
  const auto with_field = [&](std::size_t at, std::uint64_t value) {
    std::string bytes = whole;
    put(bytes, field + at, value, 8);
    return bytes;
  };
  EXPECT_ERROR(read(with_field(0, ~0ull)), "two sizes");
  EXPECT_ERROR(read(with_field(8, ~0ull)), "truncated");
  EXPECT_ERROR(read(with_field(16, ~0ull - 10)), "where no member can be");
}

TEST_F(Npz, MembersThatOverlapOrLeaveHoles) {
  // The directory's second entry names the first member's place.
  std::string bytes = archive();
  const std::size_t first = find(bytes, kEntry), second = find(bytes, kEntry, 1);
  bytes.replace(second, 46 + 5, bytes.substr(first, 46 + 5));
  EXPECT_ERROR(read(bytes), path_, "overlap");
  // One entry less: its member's bytes belong to none.
  bytes = archive();
  bytes.erase(find(bytes, kEntry), 46 + 5);
  const std::size_t end = find(bytes, kEnd);
  put(bytes, end + 8, 1, 2);
  put(bytes, end + 10, 1, 2);
  put(bytes, end + 12, 46 + 5, 4);
  EXPECT_ERROR(read(bytes), path_, "belong to no member, from 0");
}

TEST_F(Npz, CorruptData) {
  std::string bytes = archive();
  bytes[find(bytes, kLocal, 1) - 1] ^= 1;  // the last byte of a
  EXPECT_ERROR(read(bytes), "'a.npy'", "CRC-32");
  EXPECT_EQ(read_npz(path_, "b").numel(), 1000) << "the other member is sound";
  EXPECT_EQ(list_npz(path_).size(), 2u) << "a stored member is not read beyond its header";
  const std::string whole = archive({.compress = true});
  for (std::size_t at = 35; at < find(whole, kLocal, 1); at++) {
    bytes = whole;
    bytes[at] = static_cast<char>(~bytes[at]);
    EXPECT_ERROR(read(bytes), "'a.npy'");
  }
}

TEST_F(Npz, SizesThatLieAboutDeflate) {
  const auto lie = [&](std::int64_t more) {
    std::string bytes = archive({.compress = true});
    const std::size_t local = find(bytes, kLocal), entry = find(bytes, kEntry);
    const std::uint64_t size = get(bytes, entry + 24, 4) + static_cast<std::uint64_t>(more);
    put(bytes, local + 22, size, 4);
    put(bytes, entry + 24, size, 4);
    return bytes;
  };
  EXPECT_ERROR(read(lie(1)), "'a.npy'", "inflates to fewer");
  EXPECT_ERROR(read(lie(-1)), "'a.npy'", "inflates to more");
  const std::string bytes = archive({.compress = true});
  const std::uint64_t most = 1032 * get(bytes, find(bytes, kEntry) + 20, 4);
  const auto size = static_cast<std::int64_t>(get(bytes, find(bytes, kEntry) + 24, 4));
  EXPECT_ERROR(read(lie(static_cast<std::int64_t>(most) - size)), "inflates to fewer");
  EXPECT_ERROR(read(lie(static_cast<std::int64_t>(most) - size + 1)), "more than");
}

TEST_F(Npz, ABombCostsNoMemory) {
  // 40 MB of zeros, and then a checksum that is wrong: nothing is allocated for them.
  write_npz(path_, {{"a", zeros({10'000'000})}}, {.compress = true});
  std::string bytes = read_bytes(path_);
  EXPECT_LT(bytes.size(), 60'000u);
  bytes[find(bytes, kLocal) + 14] ^= 1;
  bytes[find(bytes, kEntry) + 16] ^= 1;
  memory::trim();
  memory::reset_peak();
  const std::int64_t before = memory::stats().peak;
  EXPECT_ERROR(read(bytes), "CRC-32");
  EXPECT_EQ(memory::stats().peak, before);
}

TEST_F(Npz, BytesBehindTheCompressedData) {
  std::string bytes = archive({.compress = true});
  const std::uint64_t compressed = get(bytes, find(bytes, kEntry) + 20, 4);
  bytes.insert(find(bytes, kLocal, 1), "x");
  put(bytes, find(bytes, kLocal) + 18, compressed + 1, 4);
  put(bytes, find(bytes, kEntry) + 20, compressed + 1, 4);
  const std::size_t second = find(bytes, kEntry, 1), end = find(bytes, kEnd);
  put(bytes, second + 42, get(bytes, second + 42, 4) + 1, 4);
  put(bytes, end + 16, get(bytes, end + 16, 4) + 1, 4);
  EXPECT_ERROR(read(bytes), "'a.npy'", "bytes behind the end");
}

TEST_F(Npz, DataDescriptors) {
  // a's sizes and checksum behind its data, with and without a signature, of 32 and 64 bits.
  for (const bool compress : {false, true})
    for (const bool signature : {false, true})
      for (const int wide : {4, 8}) {
        std::string bytes = archive({.compress = compress});
        const std::size_t entry = find(bytes, kEntry), local = find(bytes, kLocal);
        std::string descriptor = signature ? "PK\7\x08" : "";
        const std::size_t numbers = descriptor.size();
        descriptor.resize(numbers + 4 + 2 * static_cast<std::size_t>(wide));
        put(descriptor, numbers, get(bytes, entry + 16, 4), 4);
        put(descriptor, numbers + 4, get(bytes, entry + 20, 4), wide);
        put(descriptor, descriptor.size() - static_cast<std::size_t>(wide),
            get(bytes, entry + 24, 4), wide);
        put(bytes, entry + 8, 8, 2);
        put(bytes, local + 6, 8, 2);
        for (const std::size_t at : {14u, 18u, 22u}) put(bytes, local + at, 0, 4);
        bytes.insert(find(bytes, kLocal, 1), descriptor);
        for (const std::size_t at : {find(bytes, kEntry, 1) + 42, find(bytes, kEnd) + 16})
          put(bytes, at, get(bytes, at, 4) + descriptor.size(), 4);
        EXPECT_EQ(to_string(read(bytes)[0].tensor), to_string(arange(3)));
        bytes[find(bytes, kLocal, 1) - 1] ^= 1;
        EXPECT_ERROR(read(bytes), "'a.npy'", "data descriptor");
      }
}

TEST_F(Npz, EncryptionAndOtherMethodsAreNamed) {
  std::string bytes = with({}, 6, 8, 1, 2);
  EXPECT_ERROR(read(bytes), "'a.npy'", "encrypted", "not supported");
  EXPECT_EQ(read_npz(path_, "b").numel(), 1000);
  EXPECT_ERROR(read(with({}, 8, 10, 12, 2)), "method 12", "bzip2", "not supported");
  EXPECT_ERROR(read(with({}, 8, 10, 77, 2)), "method 77", "not supported");
}

TEST_F(Npz, NamesOfMembers) {
  EXPECT_ERROR(read(with({}, 30, 46, 0, 1)), "zero byte");
  EXPECT_ERROR(read(with({}, 34, 50, 'x', 1)), "'a.npx'", "not an array");
  std::string bytes = with({}, 30, 46, 'b', 1);  // a takes the name of b, which comes later
  const std::vector<NamedTensor> all = read(bytes);
  ASSERT_EQ(all.size(), 1u) << "the last of a name counts";
  EXPECT_EQ(all[0].tensor.numel(), 1000);
  EXPECT_EQ(list_npz(path_).size(), 1u);
  EXPECT_EQ(read_npz(path_, "b").numel(), 1000);
}

TEST_F(Npz, MalformedArraysAreNamedWithTheirMember) {
  const std::string bytes = archive({});
  std::string bad = bytes;
  bad[bad.find("\x93NUMPY")] = 'x';
  EXPECT_ERROR(read(bad), path_, "'a.npy'", "not an npy file");
  bad = bytes;
  bad.replace(bad.find("(3,)"), 4, "(9,)");
  EXPECT_ERROR(read(bad), path_, "'a.npy'", "is truncated", "[9]");
}

TEST_F(Npz, FlippedBytesNeverCrash) {
  for (const bool compress : {false, true}) {
    const std::string whole = archive({.compress = compress, .zip64 = compress});
    for (std::size_t at = 0; at < whole.size(); at += whole.size() - at < 350 || at < 160 ? 1 : 397)
      for (const int flip : {1, 255}) {
        std::string bytes = whole;
        bytes[at] = static_cast<char>(bytes[at] ^ flip);
        try {
          EXPECT_LE(read(bytes).size(), 2u);
        } catch (const Error& error) {
          EXPECT_NE(std::string(error.what()).find(path_), std::string::npos) << error.what();
        }
      }
  }
}

}  // namespace
}  // namespace unroll
