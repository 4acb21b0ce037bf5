// Certificate: a collision as a file that holds all that is needed to run it again elsewhere.
//
//   write_certificate("collision.npz", facts, collision);
//
// Arrays of the file, float64:
//   x, other            [T,1,I]  two inputs
//   y, y_other          [m]      what is seen of their runs: the facts, steps then numbers
//   weight_ih_l0, ...            the encoder, under PyTorch's names
//   h0, c0              [L*D,1,*] the state that both start from, where it is known and not zero
//   h0_other, c0_other           and of the other, where the start is sought too
//   readout             [M,width] C, where C times the outputs was seen
// and in words, as the metadata of a safetensors file or as the code points `readme` of an npz:
// the cell, what was seen, both distances, and how to check. docs/certify.md has a check in Python.
#pragma once

#include "inversion/collision.h"

namespace UNROLL_API unroll {

/// To *.npz, or else as safetensors; whole or not at all. Throws Error for a collision without
/// rows, or where the file cannot be written.
void write_certificate(const std::string& path, const Facts& facts, const Collision& collision);

/// Reads a certificate and runs both inputs again: the collision with its distances measured anew,
/// `found` where the two runs agree with each other and with the file's y to `agreement` (as
/// CollisionOptions), and the inputs differ. Throws Error, naming the file, where it is no
/// certificate.
Collision check_certificate(const std::string& path, double agreement = 1e-10);

}  // namespace unroll
