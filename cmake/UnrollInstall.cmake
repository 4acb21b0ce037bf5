include(CMakePackageConfigHelpers)

install(TARGETS unroll unroll_io unroll_models EXPORT unroll
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
  RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
if(TARGET unroll_cli)
  install(TARGETS unroll_cli RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
# The prefix is read when installing, so that `cmake --install --prefix` works.
install(CODE "
  set(unroll_source [[${PROJECT_SOURCE_DIR}]])
  set(unroll_folders [[${unroll_header_folders}]])
  if(IS_ABSOLUTE [[${CMAKE_INSTALL_INCLUDEDIR}]])
    set(unroll_destination [[${CMAKE_INSTALL_INCLUDEDIR}/unroll]])
  else()
    set(unroll_destination \"\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_INCLUDEDIR}/unroll\")
  endif()
  include([[${PROJECT_SOURCE_DIR}/cmake/InstallHeaders.cmake]])")

get_target_property(unroll_io_type unroll_io TYPE)
set(unroll_cmake_dir ${CMAKE_INSTALL_LIBDIR}/cmake/unroll)
install(EXPORT unroll NAMESPACE unroll:: FILE unrollTargets.cmake DESTINATION ${unroll_cmake_dir})
configure_package_config_file(cmake/unrollConfig.cmake.in
  "${PROJECT_BINARY_DIR}/unrollConfig.cmake" INSTALL_DESTINATION ${unroll_cmake_dir})
write_basic_package_version_file("${PROJECT_BINARY_DIR}/unrollConfigVersion.cmake"
  COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/unrollConfig.cmake"
  "${PROJECT_BINARY_DIR}/unrollConfigVersion.cmake" DESTINATION ${unroll_cmake_dir})

# pkg-config: one file for all three libraries, dependants first.
set(unroll_pc_libs "")
foreach(library unroll_models unroll_io unroll)
  get_target_property(type ${library} TYPE)
  if(NOT type STREQUAL "INTERFACE_LIBRARY")
    string(APPEND unroll_pc_libs " -l${library}")
  endif()
endforeach()
if(unroll_openmp)
  string(APPEND unroll_pc_libs " ${OpenMP_CXX_FLAGS}")
endif()
if(unroll_io_type STREQUAL "STATIC_LIBRARY")
  string(APPEND unroll_pc_libs " -lz")
endif()
string(APPEND unroll_pc_libs " -pthread")
# The file finds its prefix by its own place, so that an installed tree can be moved.
foreach(kind LIBDIR INCLUDEDIR)
  if(IS_ABSOLUTE "${CMAKE_INSTALL_${kind}}")
    set(unroll_pc_${kind} "${CMAKE_INSTALL_${kind}}")
  else()
    set(unroll_pc_${kind} "\${prefix}/${CMAKE_INSTALL_${kind}}")
  endif()
endforeach()
file(RELATIVE_PATH unroll_pc_prefix "${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig" "${CMAKE_INSTALL_PREFIX}")
configure_file(cmake/unroll.pc.in "${PROJECT_BINARY_DIR}/unroll.pc" @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/unroll.pc" DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
