# Folders whose headers users see, as <unroll/core/tensor.h>.
set(unroll_header_folders core io kernels autograd models inversion)

# Sources write "core/tensor.h" (the repository root is an include directory), users write
# <unroll/core/tensor.h>. In this project's own build tree the second form goes through links. Inside
# another project, where "core/tensor.h" may be a header of that project, users get the headers as
# they would be installed; see InstallHeaders.cmake.
function(unroll_build_include_tree)
  if(PROJECT_IS_TOP_LEVEL)
    file(MAKE_DIRECTORY "${PROJECT_BINARY_DIR}/include/unroll")
    foreach(folder IN LISTS unroll_header_folders)
      set(link "${PROJECT_BINARY_DIR}/include/unroll/${folder}")
      if(NOT EXISTS "${link}")
        file(CREATE_LINK "${PROJECT_SOURCE_DIR}/${folder}" "${link}" SYMBOLIC)
      endif()
    endforeach()
  else()
    foreach(folder IN LISTS unroll_header_folders)
      file(GLOB headers CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/${folder}/*.h")
      set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${headers})
    endforeach()
    set(unroll_source "${PROJECT_SOURCE_DIR}")
    set(unroll_folders "${unroll_header_folders}")
    set(unroll_prefix "${PROJECT_BINARY_DIR}/include/unroll")
    include("${PROJECT_SOURCE_DIR}/cmake/InstallHeaders.cmake")
  endif()
endfunction()

# unroll_library(<target> EXPORT_NAME <name> FOLDERS <folder>... [LINKS <target>...]
#                [PRIVATE_LINKS <target>...] [PRIVATE_HEADERS <target>...])
# One library from every .cpp of its folders, with the alias unroll::<name>. PRIVATE_HEADERS are
# header-only needs of the .cpp files: users of the library neither see nor need them. PRIVATE_LINKS
# are libraries: who links a static library needs them too, nobody their headers.
function(unroll_library target)
  cmake_parse_arguments(arg "" "EXPORT_NAME" "FOLDERS;LINKS;PRIVATE_LINKS;PRIVATE_HEADERS" ${ARGN})
  set(sources "")
  foreach(folder IN LISTS arg_FOLDERS)
    file(GLOB found CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/${folder}/*.cpp")
    if(folder STREQUAL "kernels")  # the others are built once per instruction set
      list(FILTER found INCLUDE REGEX "/(isa|dispatch[^/]*)\\.cpp$")
    endif()
    list(APPEND sources ${found})
  endforeach()

  if(sources)
    add_library(${target} ${sources})
    set(scope PUBLIC)
    target_link_libraries(${target}
      PUBLIC ${arg_LINKS}
      PRIVATE $<BUILD_INTERFACE:unroll_options> ${arg_PRIVATE_LINKS} Threads::Threads)
    foreach(headers IN LISTS arg_PRIVATE_HEADERS)
      target_link_libraries(${target} PRIVATE $<BUILD_INTERFACE:${headers}>)
    endforeach()
    if(unroll_openmp)
      target_link_libraries(${target} PRIVATE OpenMP::OpenMP_CXX)
    endif()
  else()  # a folder that is still empty
    add_library(${target} INTERFACE)
    set(scope INTERFACE)
    target_link_libraries(${target} INTERFACE ${arg_LINKS})
  endif()

  add_library(unroll::${arg_EXPORT_NAME} ALIAS ${target})
  # Versions promise no binary compatibility beyond their patch level.
  set_target_properties(${target} PROPERTIES EXPORT_NAME ${arg_EXPORT_NAME}
    VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
  target_compile_features(${target} ${scope} cxx_std_20)
  target_include_directories(${target} ${scope}
    $<BUILD_INTERFACE:${PROJECT_BINARY_DIR}/include>
    $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  if(PROJECT_IS_TOP_LEVEL)
    target_include_directories(${target} ${scope} $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}>)
  elseif(sources)
    target_include_directories(${target} PRIVATE "${PROJECT_SOURCE_DIR}")
  endif()
endfunction()
