// The measurements of invert_claims, one for each claim. Private to inversion/claims_*.
#pragma once

#include "inversion/claims_invert.h"
#include "inversion/claims_tools.h"

namespace UNROLL_API unroll {
namespace claims {

// claims_stepwise.cpp
ClaimRow closed_form_runs(const ClaimContext& context);        // 1
ClaimRow gated_runs(const ClaimContext& context);              // 2
ClaimRow inputs_of_a_step(const ClaimContext& context);        // 3
ClaimRow two_layers(const ClaimContext& context);              // 9
ClaimRow unknown_start(const ClaimContext& context);           // 10
ClaimRow growth_through_readout(const ClaimContext& context);  // 11
ClaimRow batch_through_readout(const ClaimContext& context);   // 12
ClaimRow every_kth(const ClaimContext& context);               // 25

// claims_final.cpp
ClaimRow last_state_orthogonal(const ClaimContext& context);  // 20
ClaimRow last_state_default(const ClaimContext& context);     // 21
ClaimRow last_state_gated(const ClaimContext& context);       // 22
ClaimRow optimisers(const ClaimContext& context);             // 23
ClaimRow under_a_prior(const ClaimContext& context);          // 30

}  // namespace claims
}  // namespace unroll
