// Values made of the elements of tensors, kept with them as long as they live and do not change:
// weights packed for a kernel.
//
//   const Derivation panels({&w_ih, &w_hh, &b_ih, &b_hh}, {isa, layout});
//   if (!panels.found()) panels.keep(pack());
//
// The storage of the first tensor owns what is kept, and frees it with itself. What a changed
// tensor left is never found, and replaced by what keep() brings of the same first tensor. Thread-
// safe; what is found needs no allocation.
//
// A change is what Tensor::version() counts. Memory that is written in other ways is left alone:
// what somebody else lent (core/blob.h), and what is lent to somebody else (lend).
#pragma once

#include <array>
#include <cstdint>

#include "core/tensor.h"

namespace UNROLL_API unroll {

/// What a value is made of: the tensors as they are now, and what else it depends on.
class Derivation {
 public:
  static constexpr int tensors = 4, numbers = 5;
  /// Looks for it. The first tensor is defined; all must live as long as this.
  Derivation(const Tensor* const (&from)[tensors], const std::array<std::int64_t, numbers>& kind);

  /// What keep() was given for the same, or undefined.
  const Tensor& found() const noexcept { return found_; }
  /// False where the tensors may change unseen: keep() then does nothing.
  bool can_keep() const noexcept { return can_keep_; }
  /// Nor is anything kept of tensors that have changed meanwhile.
  void keep(const Tensor& value) const;

 private:
  friend struct detail::Derived;
  struct Part {
    detail::TensorNode* storage = nullptr;  // null where the tensor is undefined
    std::uint64_t id = 0;                   // of the storage: an address may come back
    const std::byte* data = nullptr;
    std::uint64_t version = 0, lendings = 0;
  };
  using Parts = std::array<Part, tensors>;
  using Kind = std::array<std::int64_t, numbers>;

  Parts parts_;
  Kind kind_;
  bool can_keep_ = true;
  Tensor found_;
};

/// Another tensor over the same elements, which whoever holds it may write at any time, seen by no
/// version: until it is gone, nothing is kept that is made of them.
Tensor lend(const Tensor& x);

}  // namespace unroll
