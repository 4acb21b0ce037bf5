// Threads of the recurrent kernels: how many work on a call, what each of them owns, and where they
// wait for one another.
//
//   run_team(plan.threads, [&](const Team& team) { ...; team.barrier(); ... });
//
// One parallel region serves a whole sequence. Two ways to share a step's work:
//
//   by rows    each thread has sequences of its own and nothing waits within the loop over time;
//              but every thread reads all the weights
//   by units   each thread has hidden units of its own, and so its part of the weights, which then
//              stay in its cache; all wait for one another once a step
//
// `plan_recurrence` chooses. No choice changes a bit of the result.
#pragma once

#ifdef _OPENMP
#include <omp.h>
#endif
#include <sched.h>

#include <cstdint>

#include "kernels/counts.h"

#if defined(__SSE2__)
#include <immintrin.h>
#endif

namespace unroll::UNROLL_ISA_NS {

using Index = std::int64_t;

// ---- Meeting

// Threads of a team at most.
inline constexpr int most_threads = 64;

inline void pause_a_little() {
#if defined(__SSE2__)
  _mm_pause();
#endif
}

// Where a team waits for its last member. Each counts its arrivals in a cache line of its own and
// looks at those of the others. A waiting thread soon gives way: on a machine that is busy with
// other work, OpenMP's own barrier spins away the time that the last member needs.
class Meeting {
 public:
  explicit Meeting(int size) {
    for (int i = 0; i < size; ++i) arrivals_[i].count = 0;
  }
  void wait(int member, int size) {
    const unsigned mine = arrivals_[member].count + 1;
    __atomic_store_n(&arrivals_[member].count, mine, __ATOMIC_RELEASE);
    for (int i = 0; i < size; ++i) {
      for (int tries = 0; int(of(i) - mine) < 0; ++tries) {
        tries < 4000 ? pause_a_little() : void(sched_yield());
      }
    }
  }

 private:
  struct alignas(64) Arrivals {
    unsigned count;
  };
  unsigned of(int member) const {
    return __atomic_load_n(&arrivals_[member].count, __ATOMIC_ACQUIRE);
  }
  Arrivals arrivals_[most_threads];
};

// One thread of those that work on a call.
struct Team {
  int index, size;
  Meeting* meeting;
  // All or none of a team call it, in the same order.
  void barrier() const {
    if (size > 1) meeting->wait(index, size);
  }
  // This thread's part of n equal pieces of work.
  Index begin(Index n) const { return n * index / size; }
  Index end(Index n) const { return n * (index + 1) / size; }
};

template <class Body>
inline void run_team(int threads, const Body& body) {
#ifdef _OPENMP
  if (threads > 1) {
    Meeting meeting(threads);
#pragma omp parallel num_threads(threads)
    body(Team{omp_get_thread_num(), omp_get_num_threads(), &meeting});
    return;
  }
#endif
  (void)threads;
  body(Team{0, 1, nullptr});
}

// ---- Plan

// Threads that this many multiply-adds pay for: each needs about 10 microseconds of work to be
// worth waking.
inline int threads_worth(double multiply_adds) {
#ifdef _OPENMP
  if (omp_in_parallel()) return 1;
  const double by_work = multiply_adds / 5e5;
  const Index most = smaller(omp_get_max_threads(), most_threads);
  return int(larger(by_work < double(most) ? Index(by_work) : most, 1));
#else
  (void)multiply_adds;
  return 1;
#endif
}

// Rows that a thread needs to have rows of its own: fewer leave the weights, which every thread
// then reads for itself, too little to do.
inline constexpr Index least_rows = 4;

// Threads for `rows` independent rows.
inline int useful_threads(Index rows, double multiply_adds) {
  return int(larger(smaller(threads_worth(multiply_adds), rows / least_rows), 1));
}

struct RecurrentPlan {
  int threads;
  bool by_units;
};

// For `rows` rows a step, on the average, and hidden units that can be shared out in `pieces`.
inline RecurrentPlan plan_recurrence(Index rows, Index pieces, Index steps, double multiply_adds) {
  const int by_rows = useful_threads(rows, multiply_adds);
  // A step by units must pay for its barrier, about 0.2 microseconds.
  const double each = multiply_adds / double(larger(steps, 1));
  const Index worth = each < 1e9 ? Index(each / 1e4) : threads_worth(multiply_adds);
  const Index by_units = smaller(smaller(pieces, worth), Index(threads_worth(multiply_adds)));
  if (by_units > by_rows) return {int(by_units), true};
  return {by_rows, false};
}

// Two calls with this plan are done sooner side by side, each by one thread, than one after the
// other: nothing is shared out that threads of one call would wait for.
inline bool side_by_side(const RecurrentPlan& plan, double multiply_adds) {
  const bool alone = plan.threads == 1 || (plan.by_units && plan.threads == 2);
  return alone && threads_worth(2 * multiply_adds) >= 2;
}

// Rows, or pieces of the hidden units, [begin, end).
struct RowRange {
  Index begin, end;
  Index size() const { return end - begin; }
  RowRange before(Index limit) const { return {smaller(begin, limit), smaller(end, limit)}; }
};

inline RowRange part_of(const Team& team, Index n) { return {team.begin(n), team.end(n)}; }

}  // namespace unroll::UNROLL_ISA_NS
