#include "cuda/sim/meter.h"

#include <algorithm>
#include <cstdio>
#include <map>
#include <tuple>
#include <unordered_map>

#include "cuda/sim/machine.h"

namespace unroll::sim::detail {
namespace {

constexpr std::uintptr_t sector_bytes = 32, banks = 32, bank_bytes = 4;

struct Lane {
  std::uintptr_t address;
  unsigned lane, bytes;
};

// What a warp asks for at one place of the program for the k-th time.
struct WarpRequest {
  std::vector<Lane> lanes;
  Region::Kind kind;
  bool write;
};

// Warp of a block, place, and how often each of its lanes has been there.
struct Place {
  std::array<std::uint32_t, warp_lanes> times{};
  std::map<std::uint32_t, WarpRequest> open;
};
using PlaceKey = std::tuple<std::uint32_t, unsigned, std::uintptr_t>;

struct Meter {
  std::map<std::string, KernelMeter> rows;
  std::map<PlaceKey, Place> places;
  std::uint32_t launch = 0;
};
Meter& meter_state() {
  static Meter& m = *new Meter;
  return m;
}

std::int64_t distinct_sectors(const WarpRequest& r) {
  std::vector<std::uintptr_t> sectors;
  for (const Lane& l : r.lanes)
    for (std::uintptr_t s = l.address / sector_bytes; s <= (l.address + l.bytes - 1) / sector_bytes;
         s++)
      sectors.push_back(s);
  std::sort(sectors.begin(), sectors.end());
  return std::unique(sectors.begin(), sectors.end()) - sectors.begin();
}

// Turns beyond one for each part of the warp.
std::int64_t conflicts(const WarpRequest& r) {
  unsigned widest = bank_bytes;
  for (const Lane& l : r.lanes) widest = std::max(widest, l.bytes);
  const unsigned lanes_per_part = std::max(1u, unsigned(warp_lanes * bank_bytes / widest));
  std::int64_t extra = 0;
  for (unsigned first = 0; first < warp_lanes; first += lanes_per_part) {
    std::vector<std::uintptr_t> words;
    for (const Lane& l : r.lanes) {
      if (l.lane - first >= lanes_per_part) continue;
      for (std::uintptr_t w = l.address / bank_bytes; w <= (l.address + l.bytes - 1) / bank_bytes;
           w++)
        words.push_back(w);
    }
    std::sort(words.begin(), words.end());
    words.erase(std::unique(words.begin(), words.end()), words.end());
    std::array<std::int64_t, banks> turns{};
    for (std::uintptr_t w : words) turns[w % banks]++;
    extra += std::max<std::int64_t>(0, *std::max_element(turns.begin(), turns.end()) - 1);
  }
  return extra;
}

void count(const WarpRequest& r) {
  KernelMeter& row = *machine().row;
  if (r.kind == Region::Kind::shared) {
    row.shared_requests++;
    row.bank_conflicts += conflicts(r);
    return;
  }
  Traffic& traffic = r.write ? row.written : row.read;
  traffic.requests++;
  for (const Lane& l : r.lanes) traffic.bytes += l.bytes;
  traffic.sectors += distinct_sectors(r);
}

}  // namespace

KernelMeter& meter_row(const char* kernel) {
  KernelMeter& row = meter_state().rows[kernel];
  row.kernel = kernel;
  return row;
}

void meter_access(Region& region, std::uintptr_t address, std::size_t bytes, Touch touch,
                  std::uintptr_t pc) {
  const Thread& t = *running;
  const bool write = touch != Touch::read;
  if (region.kind == Region::Kind::device) {
    Traffic& traffic = write ? machine().row->written : machine().row->read;
    traffic.least += std::int64_t(
        region.shadow.mark(write, region.offset(address), bytes, meter_state().launch));
  }
  Place& place = meter_state().places[{t.block->number, t.here.warp, pc}];
  const std::uint32_t time = place.times[t.here.lane]++;
  WarpRequest& r = place.open[time];
  r.kind = region.kind, r.write = write;
  r.lanes.push_back({address, t.here.lane, unsigned(bytes)});
  if (r.lanes.size() < warp_lanes) return;
  count(r);
  place.open.erase(time);
}

void meter_launch() { meter_state().launch++; }

void meter_block_done(std::uint32_t block) {
  auto& places = meter_state().places;
  const auto first = places.lower_bound({block, 0, 0}),
             last = places.lower_bound({block + 1, 0, 0});
  for (auto it = first; it != last; ++it)
    for (const auto& [time, request] : it->second.open) count(request);
  places.erase(first, last);
}

}  // namespace unroll::sim::detail

namespace unroll::sim {

std::vector<KernelMeter> meter() {
  const std::lock_guard lock(detail::machine().mutex);
  std::vector<KernelMeter> rows;
  for (const auto& [name, row] : detail::meter_state().rows) rows.push_back(row);
  return rows;
}

std::string meter_table() {
  const auto moved = [](const Traffic& t) {
    const double bytes = double(t.sectors) * double(detail::sector_bytes);
    char text[64];
    std::snprintf(text, sizeof text, "%.0f | %.2f", bytes,
                  t.least > 0 ? bytes / double(t.least) : 0);
    return std::string(text);
  };
  std::string table =
      "| kernel | launches | bytes read | / least | bytes written | / least | shared requests | "
      "bank "
      "conflicts | barriers | collectives | atomics "
      "|\n|---|---|---|---|---|---|---|---|---|---|---|\n";
  for (const KernelMeter& row : meter()) {
    table += "| " + row.kernel + " | " + std::to_string(row.launches) + " | " + moved(row.read) +
             " | " + moved(row.written);
    for (const std::int64_t n :
         {row.shared_requests, row.bank_conflicts, row.block_barriers + row.grid_barriers,
          row.collectives, row.atomics})
      table += " | " + std::to_string(n);
    table += " |\n";
  }
  return table;
}

void reset_meter() {
  const std::lock_guard lock(detail::machine().mutex);
  detail::meter_state().rows.clear();
}

}  // namespace unroll::sim
