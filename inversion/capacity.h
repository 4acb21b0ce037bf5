// Measures of memory: what the states of a recurrent network keep of its past input.
//
// | measure | of | header |
// |---|---|---|
// | Jaeger's linear memory capacity, exact | linear networks | jaeger.h |
// | the same sampled, and R^2 by lag | every Encoder | memory_profile.h |
// | information processing capacity | one input | information_capacity.h |
// | Fisher memory curve | linear networks with noise | fisher.h |
// | Lyapunov spectrum | one direction | lyapunov.h |
// | reconstruction from the last state | every Encoder | readout.h |
// | share of attention past the bottleneck | attention models | attention_share.h |
//
// Each result has the numerical rank and condition of what it was computed from, and a warning of
// one line where number and theory disagree.
#pragma once

#include "inversion/attention_share.h"
#include "inversion/fisher.h"
#include "inversion/information_capacity.h"
#include "inversion/jaeger.h"
#include "inversion/lyapunov.h"
#include "inversion/memory_profile.h"
#include "inversion/readout.h"
#include "inversion/reservoir.h"
