# How a program of GoogleTest becomes tests of ctest.
#
#   unroll_add_gtests(<target> [PREFIX <of the names>] [PROPERTIES <name> <value>...])
#
# One test for each of its own; or, where UNROLL_TEST_SHARDS is a number, so many tests that each run a
# part of them in one process: sanitizers make starting a program slower than most tests.
include(GoogleTest)

set(unroll_test_timeout 300)
if(UNROLL_SANITIZE)
  set(unroll_test_timeout 1500)
endif()

function(unroll_add_gtests target)
  cmake_parse_arguments(arg "" "PREFIX" "PROPERTIES" ${ARGN})
  # Tests run side by side: waiting threads must sleep, not spin.
  set(properties TIMEOUT ${unroll_test_timeout} ${arg_PROPERTIES})
  set(environment "OMP_WAIT_POLICY=passive")
  if(UNROLL_TEST_SHARDS EQUAL 0)
    gtest_discover_tests(${target} DISCOVERY_MODE PRE_TEST TEST_PREFIX "${arg_PREFIX}"
      PROPERTIES ${properties} ENVIRONMENT "${environment}")
    return()
  endif()
  math(EXPR last "${UNROLL_TEST_SHARDS} - 1")
  foreach(index RANGE ${last})
    set(name "${arg_PREFIX}${target}.${index}")
    add_test(NAME ${name} COMMAND ${target})
    set_tests_properties(${name} PROPERTIES ${properties} ENVIRONMENT
      "${environment};GTEST_TOTAL_SHARDS=${UNROLL_TEST_SHARDS};GTEST_SHARD_INDEX=${index}")
  endforeach()
endfunction()
