# The CUDA simulator, cuda/sim, and kernels compiled for it.
#
#   unroll_sim_kernels(my_kernels a.cu b.cu)            # an object library
#   unroll_sim_kernels(my_checked_kernels a.cu CHECKS)  # the same with a check at every access
#   target_link_libraries(my_test PRIVATE my_kernels unroll_sim)
#
# A program whose kernels have checks links unroll_sim_hooks too, and no sanitizer. The library `unroll`
# brings its kernels without checks, in an archive: who links unroll_gpu_checked has those instead,
# since objects come before what archives hold.

file(GLOB unroll_sim_sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/cuda/sim/*.cpp")
list(FILTER unroll_sim_sources EXCLUDE REGEX "/hooks\\.cpp$")

# unroll_sim_library(<target> [<definition>...])
function(unroll_sim_library target)
  add_library(${target} STATIC ${unroll_sim_sources})
  target_link_libraries(${target} PUBLIC unroll ${CMAKE_DL_LIBS}
    PRIVATE $<BUILD_INTERFACE:unroll_options> Threads::Threads)
  target_include_directories(${target} PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}>)
  target_compile_definitions(${target} PUBLIC ${ARGN})
  target_compile_options(${target} PRIVATE -O2)  # each access of a kernel with checks passes through it
endfunction()
unroll_sim_library(unroll_sim)

add_library(unroll_sim_hooks STATIC EXCLUDE_FROM_ALL "${PROJECT_SOURCE_DIR}/cuda/sim/hooks.cpp")
target_link_libraries(unroll_sim_hooks PUBLIC unroll_sim PRIVATE unroll_options)

function(unroll_sim_kernels target)
  cmake_parse_arguments(arg "CHECKS" "" "" ${ARGN})
  set_source_files_properties(${arg_UNPARSED_ARGUMENTS} PROPERTIES LANGUAGE CXX)
  add_library(${target} OBJECT ${arg_UNPARSED_ARGUMENTS})
  target_include_directories(${target} PRIVATE
    "${PROJECT_SOURCE_DIR}" "${PROJECT_SOURCE_DIR}/cuda/sim/include")
  target_link_libraries(${target} PRIVATE unroll_options)
  target_compile_options(${target} PRIVATE -Wno-unknown-pragmas -Wno-pass-failed -O1 -g1)  # #pragma unroll; lines in reports
  if(arg_CHECKS)
    target_compile_options(${target} PRIVATE -fsanitize=thread)
  endif()
endfunction()

# The library's own kernels.
file(GLOB unroll_gpu_sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/cuda/*.cu")
unroll_sim_kernels(unroll_gpu_plain ${unroll_gpu_sources})
unroll_sim_kernels(unroll_gpu_checked ${unroll_gpu_sources} CHECKS)
set_target_properties(unroll_gpu_checked PROPERTIES EXCLUDE_FROM_ALL ON)

# Device::sim() of the library. Archives may need each other: the simulator throws the library's Error.
add_library(unroll_gpu_sim STATIC $<TARGET_OBJECTS:unroll_gpu_plain>)
target_link_libraries(unroll_gpu_sim PUBLIC unroll unroll_sim)
set_target_properties(unroll_gpu_sim PROPERTIES EXPORT_NAME gpu_sim)
set_target_properties(unroll_sim PROPERTIES EXPORT_NAME sim)
target_link_libraries(unroll PRIVATE unroll_gpu_sim)
target_compile_definitions(unroll PRIVATE UNROLL_HAS_SIM=1)

# unroll_sim_tests(<target> <prefix of its tests in ctest> SOURCES <file>... LINKS <linked>...)
function(unroll_sim_tests target prefix)
  cmake_parse_arguments(arg "" "" "SOURCES;LINKS" ${ARGN})
  add_executable(${target} ${arg_SOURCES})
  target_include_directories(${target} PRIVATE "${PROJECT_SOURCE_DIR}/cuda/sim/include")
  target_link_libraries(${target} PRIVATE unroll_options ${arg_LINKS}
    GTest::gtest GTest::gtest_main Threads::Threads)
  target_compile_options(${target} PRIVATE ${UNROLL_TEST_FLAGS} -g1)
  unroll_add_gtests(${target} PREFIX "${prefix}" PROPERTIES LABELS sim)
endfunction()
