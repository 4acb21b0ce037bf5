# unroll_measure: what bench/, bench/compare/, the command and the examples measure with. Never installed,
# and built only where something needs it.
add_library(unroll_measure STATIC EXCLUDE_FROM_ALL)
foreach(stem limits own_kernel turns work)
  target_sources(unroll_measure PRIVATE "${PROJECT_SOURCE_DIR}/bench/${stem}.cpp")
endforeach()
target_link_libraries(unroll_measure PUBLIC unroll PRIVATE unroll_options)
target_include_directories(unroll_measure PUBLIC "${PROJECT_SOURCE_DIR}")
if(unroll_openmp)
  target_link_libraries(unroll_measure PRIVATE OpenMP::OpenMP_CXX)
endif()
unroll_compile_per_isa(unroll_measure unroll_measure_loops "${PROJECT_SOURCE_DIR}/bench/limit_loops.cpp")
