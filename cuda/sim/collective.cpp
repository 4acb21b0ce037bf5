// Collectives of a warp. The lanes of the mask wait; the one that comes last computes the results
// of all, straight from and to the stacks where the others wait.
#include <algorithm>
#include <bit>
#include <cstring>

#include "cuda/sim/machine.h"

namespace unroll::sim::detail {
namespace {

template <class Each>
void for_lanes(Thread* lanes, unsigned mask, Each each) {
  for (; mask != 0; mask &= mask - 1) each(lanes[std::countr_zero(mask)]);
}

template <class T>
T in(const Thread& t) {
  T value;
  std::memcpy(&value, t.request.in, sizeof(T));
  return value;
}

template <class T>
void out(const Thread& t, const T& value) {
  std::memcpy(t.request.out, &value, sizeof(T));
}

void require_alike(Thread* lanes, unsigned mask, const Thread& last) {
  for_lanes(lanes, mask, [&](const Thread& t) {
    if (t.mask == mask && t.site == last.site && t.request.combine == last.request.combine) return;
    fail(Fault::divergent_collective, [&] {
      return "lanes of one warp disagree on the call or its mask, " + text(t) + " at " +
             text(t.site) + " and " + text(last) + " at " + text(last.site);
    });
  });
}

// What each lane did is now before what every lane of the mask does next.
void join_clocks(Block& b, unsigned warp, unsigned mask) {
  if (b.clocks.empty()) return;
  WarpClock* clocks = &b.clocks[warp * warp_lanes];
  WarpClock joined{};
  for (unsigned rest = mask; rest != 0; rest &= rest - 1)
    for (std::size_t k = 0; k < joined.size(); k++)
      joined[k] = std::max(joined[k], clocks[std::countr_zero(rest)][k]);
  for (unsigned rest = mask; rest != 0; rest &= rest - 1) {
    const auto lane = std::size_t(std::countr_zero(rest));
    clocks[lane] = joined;
    clocks[lane][lane]++;
  }
}

void check_mask(const Thread& t, unsigned mask, Site site) {
  if ((mask >> t.here.lane & 1) == 0) {
    fail(Fault::divergent_collective,
         [&] { return text(t) + " is not in the mask of its call at " + text(site); });
  }
  const unsigned left = unsigned(t.block->threads.size()) - t.here.warp * warp_lanes;
  if (left < warp_lanes && mask >> left != 0) {
    fail(Fault::divergent_collective,
         [&] { return "the mask at " + text(site) + " names lanes that the block does not have"; });
  }
}

void collect(unsigned mask, const Request& request, Site site) {
  Thread& t = *running;
  Block& b = *t.block;
  check_mask(t, mask, site);
  t.state = State::at_warp;
  t.site = site;
  t.mask = mask;
  t.request = request;
  unsigned& waiting = b.waiting[t.here.warp];
  waiting |= 1u << t.here.lane;
  if ((waiting & mask) == mask) {
    Thread* lanes = &b.threads[t.here.warp * warp_lanes];
    require_alike(lanes, mask, t);
    request.combine(lanes, mask);
    join_clocks(b, t.here.warp, mask);
    spread_facts(lanes, mask);
    machine().row->collectives++;
    waiting &= ~mask;
    for_lanes(lanes, mask, [](Thread& lane) { wake(lane); });
  }
  suspend();
}

// ---- What the collectives compute. `argument` is the source lane, the bytes in its upper half.

void combine_nothing(Thread*, unsigned) {}

void combine_shuffle(Thread* lanes, unsigned mask) {
  for_lanes(lanes, mask, [&](const Thread& t) {
    const int source = t.request.argument % 256 - 1;
    const auto bytes = std::size_t(t.request.argument / 256);
    if (source >= 0 && (mask >> source & 1) == 0) {
      fail(Fault::divergent_collective, [&] {
        return text(t) + " reads lane " + std::to_string(source) +
               ", which is not in the mask, at " + text(t.site);
      });
    }
    std::memcpy(t.request.out, source < 0 ? t.request.in : lanes[source].request.in, bytes);
  });
}

void combine_ballot(Thread* lanes, unsigned mask) {
  unsigned result = 0;
  for_lanes(lanes, mask, [&](const Thread& t) {
    if (in<bool>(t)) result |= 1u << t.here.lane;
  });
  for_lanes(lanes, mask, [&](const Thread& t) { out(t, result); });
}

unsigned reduced(device::Reduction kind, unsigned a, unsigned b) {
  switch (kind) {
    case device::Reduction::add: return a + b;
    case device::Reduction::min_signed: return unsigned(std::min(int(a), int(b)));
    case device::Reduction::max_signed: return unsigned(std::max(int(a), int(b)));
    case device::Reduction::min_unsigned: return std::min(a, b);
    case device::Reduction::max_unsigned: return std::max(a, b);
    case device::Reduction::bit_and: return a & b;
    case device::Reduction::bit_or: return a | b;
    case device::Reduction::bit_xor: return a ^ b;
  }
  return 0;
}

void combine_reduce(Thread* lanes, unsigned mask) {
  const Thread& first = lanes[std::countr_zero(mask)];
  const auto kind = device::Reduction(first.request.argument);
  unsigned result = in<unsigned>(first);
  for_lanes(lanes, mask & (mask - 1),
            [&](const Thread& t) { result = reduced(kind, result, in<unsigned>(t)); });
  for_lanes(lanes, mask, [&](const Thread& t) { out(t, result); });
}

struct MmaRequest {
  device::MmaShape shape;
  const float *a, *b;
};

void gather(const Thread* lanes, const float* MmaRequest::*part, int total, float* matrix) {
  for (int lane = 0; lane < warp_lanes; lane++) {
    const float* mine = static_cast<const MmaRequest*>(lanes[lane].request.in)->*part;
    for (int e = 0; e < total / warp_lanes; e++)
      matrix[device::fragment_index(lane, e, total)] = mine[e];
  }
}

void combine_mma(Thread* lanes, unsigned) {
  const auto [M, N, K] = static_cast<const MmaRequest*>(lanes->request.in)->shape;
  static std::array<float, 512> a, b;  // one warp at a time
  gather(lanes, &MmaRequest::a, M * K, a.data());
  gather(lanes, &MmaRequest::b, K * N, b.data());
  for (int lane = 0; lane < warp_lanes; lane++) {
    auto* d = static_cast<float*>(lanes[lane].request.out);
    for (int e = 0; e < M * N / warp_lanes; e++) {
      const int i = device::fragment_index(lane, e, M * N), row = i / N, column = i % N;
      float sum = 0;
      for (int k = 0; k < K; k++)
        sum += a[std::size_t(row * K + k)] * b[std::size_t(k * N + column)];
      d[e] += sum;
    }
  }
}

}  // namespace
}  // namespace unroll::sim::detail

namespace unroll::sim::device {

using namespace detail;

void warp_barrier(unsigned mask, Site site) { collect(mask, {.combine = combine_nothing}, site); }

void shuffle(unsigned mask, const void* value, void* result, unsigned bytes, int source,
             Site site) {
  collect(mask, {combine_shuffle, value, result, source + 1 + 256 * int(bytes)}, site);
}

unsigned ballot(unsigned mask, bool predicate, Site site) {
  unsigned result = 0;
  collect(mask, {combine_ballot, &predicate, &result}, site);
  return result;
}

unsigned reduce(unsigned mask, unsigned value, Reduction reduction, Site site) {
  unsigned result = 0;
  collect(mask, {combine_reduce, &value, &result, int(reduction)}, site);
  return result;
}

void mma(const MmaShape& shape, const float* a, const float* b, float* d, Site site) {
  const MmaRequest request{shape, a, b};
  collect(~0u, {combine_mma, &request, d}, site);
}

}  // namespace unroll::sim::device
