#include "autograd/parameters.h"

#include <algorithm>

#include "core/view.h"

namespace unroll {
namespace {

// Lets every handle of `view` show `offset` in another storage of the same dtype.
void rebase(const Tensor& view, const Tensor& storage, std::int64_t offset) {
  detail::TensorNode* node = view.node();
  const Tensor target = view::strided(storage, node->shape, node->strides, offset);
  std::swap(node->storage, target.node()->storage);
  std::swap(node->data, target.node()->data);
  std::swap(node->device, target.node()->device);
}

Tensor flat_view(const Tensor& storage, std::int64_t size, std::int64_t offset = 0) {
  return view::strided(storage, Shape{size}, Shape{1}, offset);
}

}  // namespace

Parameters::Parameters(Dtype dtype, Device device) : dtype_(dtype) {
  if (!is_real(dtype)) fail("parameters", "dtype must be float32 or float64");
  flat_ = zeros({0}, dtype, device);
  gradients_ = zeros({0}, dtype, device);
}

void Parameters::reserve(std::int64_t size) {
  if (size > capacity_) move(std::max(size, 2 * capacity_), device());
}

void Parameters::move_to(Device device) {
  if (!(device == this->device())) move(capacity_, device);
}

// To buffers of another size or on another device.
void Parameters::move(std::int64_t capacity, Device device) {
  Tensor larger[] = {zeros({capacity}, dtype_, device), zeros({capacity}, dtype_, device)};
  Tensor* const flats[] = {&flat_, &gradients_};
  const Tensors* const views[] = {&tensors_, &gradient_views_};
  for (int i = 0; i < 2; i++) {
    Tensor start = flat_view(larger[i], size_);
    copy_into(start, *flats[i]);
    // The same values: what was recorded stays valid, and later changes still show.
    larger[i].node()->version = flats[i]->version();
    std::int64_t offset = 0;
    for (const Tensor& view : *views[i]) {
      rebase(view, larger[i], offset);
      offset += view.numel();
    }
    *flats[i] = flat_view(larger[i], size_);
  }
  capacity_ = capacity;
}

Tensor Parameters::add(const std::string& name, const Shape& shape) {
  if (name.empty()) fail("parameters", "a parameter needs a name");
  if (std::find(names_.begin(), names_.end(), name) != names_.end())
    fail("parameters", "there is already a parameter " + name);
  const std::int64_t count = shape.numel();
  std::int64_t size;
  if (__builtin_add_overflow(size_, count, &size))
    fail("parameters", name + " of shape " + to_string(shape) + " is too large");
  reserve(size);
  const Shape strides = contiguous_strides(shape);
  names_.push_back(name);
  tensors_.push_back(view::strided(flat_, shape, strides, size_));
  gradient_views_.push_back(view::strided(gradients_, shape, strides, size_));
  size_ += count;
  flat_ = flat_view(flat_, size_);
  gradients_ = flat_view(gradients_, size_);
  return tensors_.back();
}

std::size_t Parameters::index_of(const std::string& name) const {
  const auto at = std::find(names_.begin(), names_.end(), name);
  if (at == names_.end()) {
    std::string all;
    for (const std::string& n : names_) all += (all.empty() ? "" : ", ") + n;
    fail("parameters", "there is no parameter " + name + "; there are: " + all);
  }
  return static_cast<std::size_t>(at - names_.begin());
}

const Tensor& Parameters::get(const std::string& name) const { return tensors_[index_of(name)]; }

Tensor Parameters::gradient(const std::string& name) const {
  return gradient_views_[index_of(name)];
}

void Parameters::zero_gradients() { fill(gradients_, 0); }

}  // namespace unroll
