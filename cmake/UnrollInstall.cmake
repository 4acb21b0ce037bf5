include(CMakePackageConfigHelpers)

set(unroll_targets unroll unroll_io unroll_models)
if(TARGET unroll_c)
  list(APPEND unroll_targets unroll_c)
  install(FILES capi/unroll.h capi/unroll_inversion.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/unroll)
  # Where Debian's Python looks below /usr; elsewhere PYTHONPATH names it.
  set(UNROLL_PYTHON_DIR lib/python3/dist-packages CACHE STRING "Where to install the Python module")
  install(DIRECTORY python/unroll DESTINATION ${UNROLL_PYTHON_DIR} FILES_MATCHING PATTERN "*.py")
endif()
# Shared libraries find each other, and the command finds them, wherever the tree is moved.
if(BUILD_SHARED_LIBS)
  set_target_properties(${unroll_targets} PROPERTIES INSTALL_RPATH "$ORIGIN")
  if(TARGET unroll_cli)
    file(RELATIVE_PATH unroll_to_lib "${CMAKE_INSTALL_FULL_BINDIR}" "${CMAKE_INSTALL_FULL_LIBDIR}")
    set_target_properties(unroll_cli PROPERTIES INSTALL_RPATH "$ORIGIN/${unroll_to_lib}")
  endif()
endif()
install(TARGETS ${unroll_targets} EXPORT unroll
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

# pkg-config: one file for the three libraries of C++, dependants first, and one for C.
set(unroll_pc_libs "")
foreach(library unroll_models unroll_io unroll)
  get_target_property(type ${library} TYPE)
  if(NOT type STREQUAL "INTERFACE_LIBRARY")
    string(APPEND unroll_pc_libs " -l${library}")
  endif()
endforeach()
if(unroll_io_type STREQUAL "STATIC_LIBRARY")  # a shared one brings what it needs
  if(unroll_openmp)
    string(APPEND unroll_pc_libs " ${OpenMP_CXX_FLAGS}")
  endif()
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
set(unroll_pc_name unroll)
configure_file(cmake/unroll.pc.in "${PROJECT_BINARY_DIR}/unroll.pc" @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/unroll.pc" DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
if(TARGET unroll_c)
  set(unroll_pc_name unroll_c)
  set(unroll_pc_libs " -lunroll_c")
  configure_file(cmake/unroll.pc.in "${PROJECT_BINARY_DIR}/unroll_c.pc" @ONLY)
  install(FILES "${PROJECT_BINARY_DIR}/unroll_c.pc" DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endif()

# cpack -G DEB, in the build folder: one package of all that is installed.
if(PROJECT_IS_TOP_LEVEL)
  set(CPACK_PACKAGE_NAME unroll)
  set(CPACK_PACKAGE_CONTACT "unroll maintainers <maintainers@unroll.invalid>")
  set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "${PROJECT_DESCRIPTION}")
  set(CPACK_RESOURCE_FILE_LICENSE "${PROJECT_SOURCE_DIR}/LICENSE")
  set(CPACK_STRIP_FILES ON)
  set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
  set(CPACK_DEBIAN_PACKAGE_SECTION devel)
  find_program(UNROLL_DPKG_SHLIBDEPS dpkg-shlibdeps)
  mark_as_advanced(UNROLL_DPKG_SHLIBDEPS)
  if(UNROLL_DPKG_SHLIBDEPS)  # the libraries that it needs, by their packages
    set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
    set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS "${PROJECT_BINARY_DIR}")
  endif()
  include(CPack)
endif()
