#include "capi/dlpack.h"

#include <algorithm>

#include "capi/handles.h"
#include "core/blob.h"
#include "core/derived.h"
#include "core/view.h"

using namespace unroll;
using namespace unroll::capi;

namespace {

constexpr DLDataType to_dlpack(Dtype dtype) {
  const auto bits = static_cast<std::uint8_t>(8 * size_of(dtype));
  return {is_real(dtype) ? kDLFloat : dtype == Dtype::boolean ? kDLBool : kDLInt, bits, 1};
}

Dtype from_dlpack(const char* op, DLDataType type) {
  for (const Dtype dtype : {Dtype::float32, Dtype::float64, Dtype::int64, Dtype::boolean}) {
    const DLDataType own = to_dlpack(dtype);
    if (type.code == own.code && type.bits == own.bits && type.lanes == own.lanes) return dtype;
  }
  fail(op, "elements of DLPack's type code " + std::to_string(type.code) + " with " +
               std::to_string(type.bits) + " bits and " + std::to_string(type.lanes) +
               " lanes; a tensor holds float32, float64, int64 or bool: convert first");
}

// A lent tensor: the structure that the borrower sees and what it points to. The view has elements
// that stay where they are, also where `tensor` is a parameter; the borrower writes them unseen.
template <class Managed>
struct Loan {
  explicit Loan(const Tensor& tensor) : view(lend(tensor)) {
    std::copy_n(view.shape().begin(), view.rank(), shape);
    std::copy_n(view.strides().begin(), view.rank(), strides);
    managed.dl_tensor = {.data = const_cast<void*>(view.raw_data()),
                         .device = {kDLCPU, 0},
                         .ndim = view.rank(),
                         .dtype = to_dlpack(view.dtype()),
                         .shape = shape,
                         .strides = strides,
                         .byte_offset = 0};
    managed.manager_ctx = this;
    managed.deleter = [](Managed* self) { delete static_cast<Loan*>(self->manager_ctx); };
  }
  Loan(const Loan&) = delete;
  Loan& operator=(const Loan&) = delete;

  Managed managed{};
  Tensor view;
  std::int64_t shape[Shape::max_rank] = {}, strides[Shape::max_rank] = {};
};

template <class Managed>
Tensor borrow(const char* op, Managed* managed, bool read_only) {
  const DLTensor& from = managed->dl_tensor;
  if (from.device.device_type != kDLCPU)
    fail(op, "the elements are on DLPack's device type " + std::to_string(from.device.device_type) +
                 "; copy them to the CPU first");
  const Shape shape = shape_from(op, from.ndim, from.shape);
  const Shape strides = from.strides ? shape_from(op, from.ndim, from.strides) : Shape();
  const Dtype dtype = from_dlpack(op, from.dtype);
  auto* data = static_cast<std::byte*>(from.data);
  if (data) data += from.byte_offset;
  std::function<void()> release;
  if (managed->deleter) release = [managed] { managed->deleter(managed); };
  return read_only ? from_read_only_blob(data, shape, strides, dtype, std::move(release))
                   : from_blob(data, shape, strides, dtype, std::move(release));
}

}  // namespace

unroll_status unroll_tensor_to_dlpack(const unroll_tensor* tensor, DLManagedTensor** out) {
  return guarded([&] {
    constexpr const char* op = "tensor_to_dlpack";
    const Tensor& x = the(op, tensor);
    if (x.is_read_only())
      fail(op,
           "the tensor is read-only, which this kind of DLPack tensor cannot say; ask for a "
           "versioned one, or copy first");
    *out = &(new Loan<DLManagedTensor>(x))->managed;
  });
}

unroll_status unroll_tensor_to_dlpack_versioned(const unroll_tensor* tensor,
                                                DLManagedTensorVersioned** out) {
  return guarded([&] {
    const Tensor& x = the("tensor_to_dlpack_versioned", tensor);
    auto* loan = new Loan<DLManagedTensorVersioned>(x);
    loan->managed.version = {1, 0};
    loan->managed.flags = x.is_read_only() ? kDLFlagReadOnly : 0;
    *out = &loan->managed;
  });
}

unroll_status unroll_tensor_from_dlpack(DLManagedTensor* managed, unroll_tensor** out) {
  return guarded([&] {
    constexpr const char* op = "tensor_from_dlpack";
    the(op, managed);
    auto result = std::make_unique<unroll_tensor>();  // first: what follows may not fail
    result->tensor = borrow(op, managed, false);
    *out = result.release();
  });
}

unroll_status unroll_tensor_from_dlpack_versioned(DLManagedTensorVersioned* managed,
                                                  unroll_tensor** out) {
  return guarded([&] {
    constexpr const char* op = "tensor_from_dlpack_versioned";
    if (the(op, managed).version.major != 1)
      fail(op, "DLPack version " + std::to_string(managed->version.major) + "." +
                   std::to_string(managed->version.minor) + "; this library reads version 1");
    auto result = std::make_unique<unroll_tensor>();
    result->tensor = borrow(op, managed, managed->flags & kDLFlagReadOnly);
    *out = result.release();
  });
}
