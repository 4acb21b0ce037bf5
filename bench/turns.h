// Times of calls that take turns, so that what disturbs the machine disturbs them alike.
//
//   const std::vector<double> seconds = time_in_turns({[&] { mine(); }, [&] { theirs(); }});
#pragma once

#include <atomic>
#include <functional>
#include <vector>

namespace unroll::bench {

struct Turns {
  int rounds = 5;
  double batch = 0.06;                      // seconds
  const std::atomic<bool>* stop = nullptr;  // ends the work once it is true
};

/// Seconds per call of each, the median of the rounds. In a round each runs a batch of calls, after
/// a few that warm it up; the first of a round is another one each time. Throws what calls throw,
/// Error once *turns.stop is true, and as require_turns.
std::vector<double> time_in_turns(const std::vector<std::function<void()>>& calls,
                                  const Turns& turns = {});

/// The middle one, or the mean of the two in the middle.
double median(std::vector<double> values);

/// Throws Error without a round or a batch longer than nothing.
void require_turns(const Turns& turns);

/// Throws Error once *stop is true; null: never.
void stop_if(const std::atomic<bool>* stop);

}  // namespace unroll::bench
