# Hot files: every kernels/*.cpp except isa.cpp and dispatch*.cpp. Each is compiled once per
# instruction set, with its code in namespace unroll::UNROLL_ISA_NS; the dispatch files choose among
# the copies at run time. So one binary is fast on every machine and starts on the oldest.
include(CheckCXXCompilerFlag)

set(unroll_isa_flags_base "")
set(unroll_isa_flags_avx2 -mavx2 -mfma)
set(unroll_isa_flags_avx512 -mavx512f -mavx512vl -mavx512dq -mavx512bw -mavx2 -mfma)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # The second scheduler of g++ scrambles the weight stream of a batch of one (measured 89 against
  # 103 GFLOP/s).
  list(APPEND unroll_isa_flags_avx512 -fno-schedule-insns2)
endif()

set(unroll_isas base)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
  check_cxx_compiler_flag("-mavx2 -mfma" UNROLL_HAS_AVX2_FLAGS)
  check_cxx_compiler_flag("-mavx512f -mavx512vl -mavx512dq -mavx512bw" UNROLL_HAS_AVX512_FLAGS)
  if(UNROLL_HAS_AVX2_FLAGS)
    list(APPEND unroll_isas avx2)
    if(UNROLL_HAS_AVX512_FLAGS)
      list(APPEND unroll_isas avx512)
    endif()
  endif()
endif()
set(UNROLL_ISAS "${unroll_isas}" CACHE STRING
  "Instruction sets to build the hot kernels for: base, and on x86-64 also avx2 and avx512")
if(NOT "base" IN_LIST UNROLL_ISAS)
  message(FATAL_ERROR "UNROLL_ISAS is '${UNROLL_ISAS}': it must contain base")
endif()
foreach(isa IN LISTS UNROLL_ISAS)
  if(NOT isa IN_LIST unroll_isas)
    message(FATAL_ERROR "UNROLL_ISAS names '${isa}', but this compiler and processor can build: ${unroll_isas}")
  endif()
endforeach()

# unroll_compile_per_isa(<target> <prefix> <sources...>): compiles the sources once per instruction set,
# in object libraries <prefix>_<isa>, and makes them part of the target.
function(unroll_compile_per_isa target prefix)
  # Optimised in every configuration: what is not inlined in a hot file is a symbol that the linker may
  # hand to code of a lesser instruction set. The sanitizers make -O3 unbearably slow to compile.
  set(optimise -O3)
  if(UNROLL_SANITIZE)
    set(optimise -O1)
  endif()
  set(built "")  # tells dispatch which copies exist
  foreach(isa IN LISTS UNROLL_ISAS)
    string(TOUPPER ${isa} upper)
    list(APPEND built UNROLL_ISA_${upper}=1)
  endforeach()
  target_compile_definitions(${target} PRIVATE ${built})
  foreach(isa IN LISTS UNROLL_ISAS)
    set(objects ${prefix}_${isa})
    add_library(${objects} OBJECT ${ARGN})
    target_include_directories(${objects} PRIVATE "${PROJECT_SOURCE_DIR}")
    target_link_libraries(${objects} PRIVATE unroll_options)
    if(unroll_openmp)
      target_link_libraries(${objects} PRIVATE OpenMP::OpenMP_CXX)
    endif()
    target_compile_options(${objects} PRIVATE ${optimise} -fno-math-errno -Wno-psabi ${unroll_isa_flags_${isa}})
    target_compile_definitions(${objects} PRIVATE UNROLL_ISA_NS=${isa} ${built})
    target_sources(${target} PRIVATE $<TARGET_OBJECTS:${objects}>)
  endforeach()
endfunction()

function(unroll_add_hot_kernels target)
  file(GLOB hot CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/kernels/*.cpp")
  list(FILTER hot EXCLUDE REGEX "/(isa|dispatch[^/]*)\\.cpp$")
  unroll_compile_per_isa(${target} unroll_hot ${hot})
endfunction()
