// UNROLL_API: what a shared library of this project shows to its users.
//
//   namespace UNROLL_API unroll {       // in a header: all that is declared here
//   template <class T> UNROLL_API ...   // in it: a template that a .cpp file instantiates
//   namespace unroll::detail {          // not shown: for this library's own .cpp files
//
// Everything is compiled with hidden visibility (CMAKE_CXX_VISIBILITY_PRESET), so that symbols of
// kernels and of .cpp files neither clash with a user's nor pass through the dynamic linker. A
// namespace is marked instead of each function, since then nothing can be forgotten. Every header
// of core/ brings this one.
#pragma once

#ifdef __GNUC__
#define UNROLL_API [[gnu::visibility("default")]]
#else
#define UNROLL_API
#endif
