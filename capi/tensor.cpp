#include "capi/handles.h"
#include "core/blob.h"
#include "core/derived.h"

using namespace unroll;
using namespace unroll::capi;

unroll_status unroll_tensor_create(int dtype, int rank, const int64_t* shape, unroll_tensor** out) {
  return guarded([&] {
    constexpr const char* op = "tensor_create";
    *out = handle(zeros(shape_from(op, rank, shape), dtype_from(op, dtype)));
  });
}

unroll_status unroll_tensor_wrap(void* data, int dtype, int rank, const int64_t* shape,
                                 const int64_t* strides, int read_only,
                                 void (*release)(void* context), void* context,
                                 unroll_tensor** out) {
  return guarded([&] {
    constexpr const char* op = "tensor_wrap";
    const Shape sizes = shape_from(op, rank, shape);
    const Shape steps = strides ? shape_from(op, rank, strides) : Shape();
    const Dtype type = dtype_from(op, dtype);
    auto result = std::make_unique<unroll_tensor>();  // first: what follows may not fail
    std::function<void()> done;
    if (release) done = [release, context] { release(context); };
    result->tensor = read_only ? from_read_only_blob(data, sizes, steps, type, std::move(done))
                               : from_blob(data, sizes, steps, type, std::move(done));
    *out = result.release();
  });
}

unroll_status unroll_tensor_copy(const unroll_tensor* tensor, int dtype, unroll_tensor** out) {
  return guarded([&] {
    constexpr const char* op = "tensor_copy";
    *out = handle(cast_copy(the(op, tensor), dtype_from(op, dtype)));
  });
}

unroll_status unroll_tensor_alias(const unroll_tensor* tensor, unroll_tensor** out) {
  return guarded([&] {
    const Tensor& x = the("tensor_alias", tensor);
    *out = handle(lend(x));
  });
}

void unroll_tensor_release(unroll_tensor* tensor) { delete tensor; }

unroll_dtype unroll_tensor_dtype(const unroll_tensor* tensor) {
  return dtype_to(tensor->tensor.dtype());
}

int unroll_tensor_rank(const unroll_tensor* tensor) { return tensor->tensor.rank(); }

const int64_t* unroll_tensor_shape(const unroll_tensor* tensor) {
  return tensor->tensor.shape().begin();
}

const int64_t* unroll_tensor_strides(const unroll_tensor* tensor) {
  return tensor->tensor.strides().begin();
}

int64_t unroll_tensor_numel(const unroll_tensor* tensor) { return tensor->tensor.numel(); }

int unroll_tensor_is_read_only(const unroll_tensor* tensor) {
  return tensor->tensor.is_read_only();
}

const void* unroll_tensor_data(const unroll_tensor* tensor) { return tensor->tensor.raw_data(); }

unroll_status unroll_tensor_mutable_data(unroll_tensor* tensor, void** out) {
  return guarded([&] {
    the("tensor_mutable_data", tensor);
    *out = tensor->tensor.mutable_raw_data();
  });
}

unroll_status unroll_tensor_assign(unroll_tensor* tensor, const unroll_tensor* source) {
  return guarded([&] {
    constexpr const char* op = "tensor_assign";
    Tensor target = the(op, tensor).tensor;
    copy_into(target, cast_copy(the(op, source), target.dtype()));
  });
}
