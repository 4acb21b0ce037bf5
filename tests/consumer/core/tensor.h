// A header of the user's own whose name is also one of unroll's: neither may hide the other.
#pragma once
inline int users_own_tensor() { return 7; }
