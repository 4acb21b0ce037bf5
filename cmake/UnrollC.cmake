# libunroll_c: the C interface, always a shared library. With static libraries below it, it is one file
# that needs nothing else of this project, and shows nothing but the functions of unroll.h and unroll_inversion.h.
file(STRINGS "${PROJECT_SOURCE_DIR}/capi/unroll.h" unroll_abi REGEX "^#define UNROLL_ABI_VERSION ")
string(REGEX REPLACE ".* " "" unroll_abi "${unroll_abi}")

file(GLOB unroll_c_sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/capi/*.cpp")
add_library(unroll_c SHARED ${unroll_c_sources})
add_library(unroll::c ALIAS unroll_c)
set_target_properties(unroll_c PROPERTIES EXPORT_NAME c
  VERSION ${unroll_abi}.${PROJECT_VERSION} SOVERSION ${unroll_abi})
target_compile_definitions(unroll_c PRIVATE UNROLL_VERSION="${PROJECT_VERSION}")
target_link_libraries(unroll_c PRIVATE $<BUILD_INTERFACE:unroll_options> unroll_models unroll_io unroll)
target_include_directories(unroll_c PRIVATE "${PROJECT_SOURCE_DIR}" INTERFACE
  $<BUILD_INTERFACE:${PROJECT_BINARY_DIR}/include>
  $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
# A list of what is shown: templates of the C++ headers that this library instantiates stay inside.
if(NOT APPLE)
  set(unroll_c_symbols "${PROJECT_SOURCE_DIR}/cmake/unroll_c.symbols")
  target_link_options(unroll_c PRIVATE "LINKER:--version-script,${unroll_c_symbols}")
  set_target_properties(unroll_c PROPERTIES LINK_DEPENDS "${unroll_c_symbols}")
endif()

# Users write <unroll/unroll.h>.
foreach(header unroll unroll_inversion)
  configure_file("${PROJECT_SOURCE_DIR}/capi/${header}.h" "${PROJECT_BINARY_DIR}/include/unroll/${header}.h" COPYONLY)
endforeach()
