// NumPy's .npz files: named arrays, each an npy file in one zip archive.
//
//   std::vector<NamedTensor> all = read_npz("data.npz");
//   Tensor x = read_npz("data.npz", "x");
//   write_npz("copy.npz", all);                          // np.load("copy.npz") reads it
//
// Read: members stored or compressed with deflate (numpy.savez and savez_compressed), zip64, data
// descriptors, comments. Types and layouts as in npy.h. Strict elsewhere: a bad checksum, a header
// that disagrees with the directory, overlaps, bytes that belong to no member, a size that lies,
// encryption and other compressions are errors that name the file and the member. Of two members
// with one name the last counts, as in NumPy. Written: the same bytes for the same tensors,
// whatever the time. Thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "io/named_tensor.h"
#include "io/npy.h"

namespace UNROLL_API unroll {

/// One array of a file.
struct NpzEntry {
  std::string name;              // without ".npy"
  NpyInfo array;                 // as its header says
  std::uint64_t compressed = 0;  // its bytes in the file
  bool deflated = false;
};

/// What the file holds, in its order. Compressed members are inflated and checked, others not read
/// beyond their headers. Throws Error, naming the file and the member, as read_npz does.
std::vector<NpzEntry> list_npz(const std::string& path);

/// All arrays, in the order of the file. Throws Error, naming the file and the member, where the
/// archive is malformed, a member is corrupt, encrypted, compressed in another way than by deflate
/// or not named *.npy, or its array cannot be read (see read_npy).
std::vector<NamedTensor> read_npz(const std::string& path);

/// One array. Throws Error as read_npz, but for other members only where the archive is malformed;
/// and where there is no such name.
Tensor read_npz(const std::string& path, const std::string& name);

/// How to write.
struct NpzOptions {
  bool compress = false;  // deflate: smaller and slower
  bool zip64 = false;     // fields of 64 bits also where no size needs them, as recent NumPy does
};

/// Writes tensors of the CPU, whole or not at all. Throws Error, naming the file, for an undefined
/// or bfloat16 tensor, a name that is there twice, is not UTF-8, holds a zero byte or has more than
/// 65531 bytes, or where the file cannot be written.
void write_npz(const std::string& path, const std::vector<NamedTensor>& tensors,
               const NpzOptions& options = {});

}  // namespace unroll
