// The matrix product, called from other kernels. Only for hot kernel files.
#pragma once

#include "kernels/matmul.h"

namespace unroll::UNROLL_ISA_NS {

// C = alpha A B + beta C, as cpu::matmul.
template <class T>
void matmul(const MatmulShape&, const MatmulArgs<T>&) noexcept;

// Scratch in bytes, a multiple of 64, for one thread's part of the product. cpu::matmul_scratch is
// this times the number of threads.
template <class T>
std::size_t matmul_slot_bytes(const MatmulShape&) noexcept;

// The most of that for any layout of any sizes up to M, N and K.
template <class T>
std::size_t matmul_slot_bytes_within(const MatmulShape&) noexcept;

}  // namespace unroll::UNROLL_ISA_NS
