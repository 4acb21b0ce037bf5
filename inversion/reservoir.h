// Reservoirs: recurrent networks drawn at random for studies of memory, as an Encoder.
//
//   Random random(1);
//   Encoder net = reservoir({.kind = ReservoirKind::ring, .N = 50, .rho = 0.9}, random);
//   LinearNetwork linear = linear_network(net);    // its W and w
//
// h_t = f(W h_{t-1} + w u_t), one input, no bias. Sources: Jaeger, "Short term memory in echo state
// networks" (2001); Rodan & Tino, "Minimum complexity echo state network" (2011) for the ring.
#pragma once

#include <string>
#include <vector>

#include "models/encoder.h"

namespace UNROLL_API unroll {

enum class ReservoirKind : std::uint8_t {
  orthogonal,  // W = rho times a uniformly random orthogonal matrix, w normal with E|w|^2 = gain^2
  ring,        // unit i feeds unit i+1 with weight rho, the last one the first; w = gain e_1
  gaussian,    // independent normal weights, scaled to spectral radius rho; w as orthogonal
  delay,       // the ring without its closing weight: a delay line
};

/// "orth", "ring", "gaussian", "delay". Parsing throws Error, listing them.
const char* name(ReservoirKind kind) noexcept;
ReservoirKind reservoir_kind(const std::string& name);
std::vector<std::string> reservoir_kinds();

struct ReservoirOptions {
  ReservoirKind kind = ReservoirKind::orthogonal;
  std::int64_t N = 50;
  double rho = 0.9;
  double gain = 1;
  Cell cell = Cell::linear;  // or tanh, relu
};

/// Throws Error for N below 1, a negative or infinite rho or gain, or a gated cell.
Encoder reservoir(const ReservoirOptions& options, Random& random);

/// W [N,N] and w [N] of h' = W h + w u. A bias shifts the states and leaves memory as it is.
struct LinearNetwork {
  Tensor W, w;
};
/// Throws Error unless the encoder is one linear layer of one direction with one input.
LinearNetwork linear_network(const Encoder& encoder);

}  // namespace unroll
