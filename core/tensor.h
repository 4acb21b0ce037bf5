// Tensor: a strided view over shared, reference-counted storage; the one type for values.
//
//   Tensor x = zeros({2, 3});                                // float32 on the CPU
//   Tensor w = from_values<double>({1, 2, 3, 4}, {2, 2});    // float64
//   double s = w.item({1, 0});                               // 3
//
// Copying a Tensor copies a handle: both see the same elements. Elements are read through data()
// and written only through mutable_data(), which bumps the storage's version so that a tape notices
// a change of something it saved. Handles may be copied and dropped in any thread; writing while
// another thread reads is the caller's race. Views made in this layer (core/view.h) are never
// recorded: under a tape use the functions of autograd/ops.h.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <iosfwd>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/device.h"
#include "core/dtype.h"
#include "core/export.h"
#include "core/memory.h"
#include "core/shape.h"

namespace UNROLL_API unroll {

namespace detail {

/// Memory that is not the tensor's own (core/blob.h); kept by the node that shows all of it.
struct Foreign {
  std::function<void()> release;  // runs with the last handle or view; may be empty
  bool read_only = false;
};

/// What is kept with a storage because it was made of its elements (core/derived.h).
struct Derived;
void destroy(Derived* derived) noexcept;

/// A tensor's one allocation: this header, then (for fresh tensors) the elements, 64-byte aligned.
/// A view's node owns a count on the node whose allocation holds the elements.
struct TensorNode {
  std::atomic<std::int64_t> refs{1};
  TensorNode* storage;                    // this for a fresh tensor
  std::byte* data;                        // first element of the view
  std::atomic<std::uint64_t> version{0};  // of the storage; counted at the storage's node
  std::size_t bytes;                      // of this allocation
  std::uint64_t id;                       // birth number, unique in the process
  // Written once, when a tape records the op that made this tensor: its place in that log.
  std::uint64_t epoch = 0;
  std::int32_t slot = -1;
  Dtype dtype;
  Device device;
  Shape shape, strides;
  Foreign* foreign = nullptr;  // of a storage whose elements lie elsewhere; of a lent view
  Derived* derived = nullptr;  // of a storage
};

void destroy(TensorNode* node) noexcept;

}  // namespace detail

/// A handle to a strided array; copies see the same elements.
class Tensor {
 public:
  /// The undefined tensor: false, without shape or elements.
  Tensor() = default;
  Tensor(const Tensor& other) noexcept : node_(other.node_) {
    if (node_) node_->refs.fetch_add(1, std::memory_order_relaxed);
  }
  Tensor(Tensor&& other) noexcept : node_(std::exchange(other.node_, nullptr)) {}
  Tensor& operator=(const Tensor& other) noexcept {
    Tensor copy(other);
    std::swap(node_, copy.node_);
    return *this;
  }
  Tensor& operator=(Tensor&& other) noexcept {
    std::swap(node_, other.node_);
    return *this;
  }
  ~Tensor() {
    if (node_ && node_->refs.fetch_sub(1, std::memory_order_acq_rel) == 1) detail::destroy(node_);
  }

  /// False for the undefined tensor, which none of the following may be asked.
  explicit operator bool() const noexcept { return node_ != nullptr; }

  /// Sizes of the axes.
  const Shape& shape() const noexcept { return node_->shape; }
  const Shape& strides() const noexcept { return node_->strides; }  // in elements
  /// Number of axes.
  int rank() const noexcept { return node_->shape.rank(); }
  /// Size of an axis; a negative one counts from the right. Throws Error where it is out of range.
  std::int64_t size(int axis) const { return shape()[normal_axis("size", axis, rank())]; }
  /// Product of the sizes.
  std::int64_t numel() const { return node_->shape.numel(); }
  /// Type of the elements, and where they lie.
  Dtype dtype() const noexcept { return node_->dtype; }
  Device device() const noexcept { return node_->device; }

  /// True where the elements lie in row-major order without gaps.
  bool is_contiguous() const noexcept;

  /// First element, in the memory of the tensor's device: the host may touch it on the CPU alone.
  /// Throws Error unless T is the tensor's type.
  template <class T>
  const T* data() const {
    require_type(dtype_of<T>());
    return reinterpret_cast<const T*>(node_->data);
  }
  /// First element, for writing: bumps the version. The only door for writing. Ask again after each
  /// call that reads the tensor: what is written through an older pointer, no version tells of.
  /// Throws Error as data(), and where the memory is somebody else's and read-only (core/blob.h).
  template <class T>
  T* mutable_data() {
    require_type(dtype_of<T>());
    return reinterpret_cast<T*>(mutable_raw_data());
  }
  /// As data() and mutable_data(), of any type.
  const void* raw_data() const noexcept { return node_->data; }
  void* mutable_raw_data() {
    if (node_->storage->foreign) require_writable();
    bump_version();
    return node_->data;
  }
  /// True where the elements may not be written.
  bool is_read_only() const noexcept {
    return node_->storage->foreign && node_->storage->foreign->read_only;
  }

  /// The element at an index, or the only element, as a double. Throws Error where the index does
  /// not fit or there is more than one element.
  double item(std::initializer_list<std::int64_t> index) const;
  double item() const;

  /// Changes whenever elements of the storage may have changed.
  std::uint64_t version() const noexcept {
    return node_->storage->version.load(std::memory_order_relaxed);
  }
  /// Identity: equal only for handles to one and the same tensor; never reused.
  std::uint64_t id() const noexcept { return node_->id; }
  /// True where no other handle and no view shares the elements, nor whoever lent their memory.
  bool is_sole_owner() const noexcept {
    return !node_->storage->foreign && node_->refs.load(std::memory_order_acquire) == 1 &&
           (node_->storage == node_ || node_->storage->refs.load(std::memory_order_acquire) == 1);
  }
  /// True where both share one storage.
  bool shares_storage(const Tensor& other) const noexcept {
    return node_->storage == other.node_->storage;
  }

  /// For the layers that make and record tensors.
  detail::TensorNode* node() const noexcept { return node_; }
  static Tensor adopt(detail::TensorNode* node) noexcept {
    Tensor t;
    t.node_ = node;
    return t;
  }

 private:
  void bump_version() noexcept {
    auto& version = node_->storage->version;
    version.store(version.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }
  void require_type(Dtype wanted) const {
    if (!node_ || node_->dtype != wanted) wrong_type(wanted);
  }
  [[noreturn]] void wrong_type(Dtype wanted) const;
  void require_writable() const;

  detail::TensorNode* node_ = nullptr;
};

/// A list of tensors, its memory from the pool.
using Tensors = memory::Vector<Tensor>;

// ---- creation. Errors: a negative or overflowing shape, a device that is not built in, no memory.

/// Uninitialised elements.
Tensor empty(const Shape& shape, Dtype dtype = Dtype::float32, Device device = {});
Tensor empty_like(const Tensor& x);  // same shape, dtype and device; always contiguous
Tensor zeros(const Shape& shape, Dtype dtype = Dtype::float32, Device device = {});
Tensor ones(const Shape& shape, Dtype dtype = Dtype::float32, Device device = {});
Tensor full(const Shape& shape, double value, Dtype dtype = Dtype::float32, Device device = {});
/// Rank 0.
Tensor scalar(double value, Dtype dtype = Dtype::float32, Device device = {});
/// start, start + step, ... (count values).
Tensor arange(std::int64_t count, Dtype dtype = Dtype::int64, double start = 0, double step = 1,
              Device device = {});
/// [n,n] with ones on the diagonal.
Tensor eye(std::int64_t n, Dtype dtype = Dtype::float32, Device device = {});

/// Copies values, row-major. Throws Error unless there are shape.numel() of them.
template <class T>
UNROLL_API Tensor from_values(std::span<const T> values, const Shape& shape, Device device = {});
template <class T>
Tensor from_values(std::initializer_list<T> values, const Shape& shape, Device device = {}) {
  return from_values<T>(std::span<const T>(values.begin(), values.size()), shape, device);
}
template <class T>
Tensor from_values(const std::vector<T>& values, const Shape& shape, Device device = {}) {
  return from_values<T>(std::span<const T>(values), shape, device);
}

// ---- conversion, not recorded (autograd/ops.h has the differentiable ones)

/// `x` itself where it is contiguous, else a row-major copy.
Tensor contiguous_copy(const Tensor& x);
/// `x` itself where it lies on the device, else a row-major copy there.
Tensor on_device(const Tensor& x, Device device);
/// A fresh row-major copy in `dtype`. Reals to int64 truncate towards zero; anything to bool is
/// x != 0; to a smaller real, the nearest (ties to even; beyond the largest: infinity). Throws
/// Error for a NaN or a value outside int64 that would become an integer.
Tensor cast_copy(const Tensor& x, Dtype dtype);
/// Writes the elements of `source`, of one shape and dtype and any device, into `target`.
void copy_into(Tensor& target, const Tensor& source);
/// Sets every element.
void fill(Tensor& target, double value);
/// All elements, row-major, as T.
template <class T>
UNROLL_API std::vector<T> to_vector(const Tensor& x);

/// PyTorch-like text: nested brackets, long axes abbreviated, then dtype and shape.
std::string to_string(const Tensor& x);
std::ostream& operator<<(std::ostream& out, const Tensor& x);

}  // namespace unroll
