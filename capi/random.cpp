#include "autograd/dropout.h"
#include "capi/handles.h"

using namespace unroll;
using namespace unroll::capi;

unroll_status unroll_random_create(uint64_t seed, uint64_t stream, uint64_t counter,
                                   unroll_random** out) {
  return guarded([&] {
    auto random = std::make_shared<Random>(seed, stream);
    random->set_counter(counter);
    *out = new unroll_random{std::move(random)};
  });
}

void unroll_random_release(unroll_random* random) { delete random; }

uint64_t unroll_random_counter(const unroll_random* random) { return random->random->counter(); }

unroll_status unroll_dropout(const unroll_tensor* x, double p, unroll_random* random,
                             unroll_tensor** out) {
  return guarded([&] {
    constexpr const char* op = "dropout";
    *out = handle(dropout(the(op, x), p, *the(op, random).random));
  });
}
