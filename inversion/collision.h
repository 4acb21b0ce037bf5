// Collision: two inputs far apart with the same facts, found and checked. No method that sees only
// those facts can tell the two apart, so the input is not determined by them.
//
//   Facts facts(encoder, observation("final"), 24);                // 24 unknowns, 8 facts
//   Collision c = find_collision(facts, facts.rows_of(x));
//   if (c.found) write_certificate("collision.npz", facts, c);     // inversion/certificate.h
//
// Where unknowns outnumber independent facts, the inputs with one and the same facts form a surface
// through each input. find_collision walks on it: a step in the null space of the Jacobian, then
// Gauss-Newton steps of least norm back to the facts (Allgower & Georg, "Introduction to Numerical
// Continuation Methods" (2003), chapters 2 and 6; the correction is the limit of
// Levenberg-Marquardt with identity damping). Where the Jacobian has full rank there is no surface,
// but there may be other isolated inputs: second_preimage looks for them from random starts.
//
// A collision that was found is a proof, up to the rounding of its output_distance; one that was
// not found proves nothing. Rows are on the facts' device. Functions are thread-safe and record
// nothing.
#pragma once

#include "inversion/observation.h"

namespace UNROLL_API unroll {

struct CollisionOptions {
  double distance = 2;        // Euclidean, at least, between the rows
  double agreement = 1e-10;   // of the facts: at most this, times max(1, the largest fact)
  double relative = 0;        // singular values to count as 0, of the largest; 0: rounding
  std::int64_t steps = 2000;  // of the walk, over all attempts
  std::int64_t attempts = 8;  // first directions tried
  std::uint64_t seed = 1;     // of those
};

struct Collision {
  bool found = false;
  Tensor row, other;           // [1,n]: unknowns; the best pair seen where none was found
  double input_distance = 0;   // Euclidean
  double output_distance = 0;  // largest |difference| of a fact
  std::int64_t rank = 0;       // of the Jacobian at row; below n there is a surface
  std::int64_t steps = 0;      // taken, or starts tried
};

/// From row [1,n], whose Jacobian should have a null space; without one, not found after 0 steps.
/// Throws Error where the row does not fit, is not finite or on another device, or the distance is
/// not above 0.
Collision find_collision(const Facts& facts, const Tensor& row,
                         const CollisionOptions& options = {});

struct PreimageOptions {
  std::int64_t starts = 60;
  double scale = 3;          // standard deviation of the starts
  double distance = 1e-3;    // what is nearer to the row, in units of 1 + |row|, is the row itself
  double agreement = 1e-10;  // as CollisionOptions
  std::uint64_t seed = 1;
};

/// An input other than row [1,n] with its facts, by Levenberg-Marquardt from random starts: the
/// farthest of those found. Throws Error as find_collision.
Collision second_preimage(const Facts& facts, const Tensor& row,
                          const PreimageOptions& options = {});

/// Orthonormal basis of the directions in which row [1,n] may move without a change of the facts,
/// to first order: the columns of [n, n - rank], on the CPU. `relative` as in CollisionOptions.
Tensor null_basis(const Facts& facts, const Tensor& row, double relative = 0);

}  // namespace unroll
