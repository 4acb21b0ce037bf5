// Parameters: named tensors that are views into one flat buffer, and so are their gradients.
//
//   Parameters parameters;
//   Tensor w = parameters.add("fc.weight", {3, 4});     // a view, zero; same name as in files
//   tape.backward(loss, parameters);                     // adds into parameters.gradients()
//
// The buffer is unpadded: parameter i occupies numel() elements right behind parameter i-1. Handles
// stay valid while parameters are added: they are moved to the larger buffer. Not for concurrent
// writing; reading from several threads is safe.
#pragma once

#include <string>
#include <vector>

#include "core/tensor.h"

namespace UNROLL_API unroll {

/// Named tensors in one flat buffer, and their gradients in another.
class Parameters {
 public:
  /// Without parameters yet, of one type, float32 or float64, and on one device.
  explicit Parameters(Dtype dtype = Dtype::float32, Device device = {});
  Parameters(const Parameters&) = delete;
  Parameters& operator=(const Parameters&) = delete;

  /// Registers a zero tensor. Throws Error for an empty or taken name.
  Tensor add(const std::string& name, const Shape& shape);

  /// float32 or float64.
  Dtype dtype() const noexcept { return dtype_; }
  Device device() const noexcept { return flat_.device(); }
  std::int64_t size() const noexcept { return size_; }  // P, all elements
  /// In the order in which they were added.
  const std::vector<std::string>& names() const noexcept { return names_; }
  const Tensors& tensors() const noexcept { return tensors_; }

  /// The parameter, or its gradient, of that name; Error, listing what there is, if there is none.
  const Tensor& get(const std::string& name) const;
  Tensor gradient(const std::string& name) const;

  /// [P]: all parameters, all gradients; views, in the order of names().
  const Tensor& flat() const noexcept { return flat_; }
  const Tensor& gradients() const noexcept { return gradients_; }
  Tensor& mutable_flat() noexcept { return flat_; }
  Tensor& mutable_gradients() noexcept { return gradients_; }
  /// The gradients one by one, in the order of tensors().
  const Tensors& gradient_views() const noexcept { return gradient_views_; }

  /// Moves all to a device; handles stay valid. Nothing may be recorded with them before and swept
  /// after, and optimisers are made after it.
  void move_to(Device device);

  /// Sets all gradients to zero: backward() adds to them.
  void zero_gradients();

 private:
  std::size_t index_of(const std::string& name) const;
  void reserve(std::int64_t size);
  void move(std::int64_t capacity, Device device);

  Dtype dtype_;
  std::int64_t size_ = 0, capacity_ = 0;
  std::vector<std::string> names_;
  Tensors tensors_, gradient_views_;
  Tensor flat_, gradients_;
};

}  // namespace unroll
