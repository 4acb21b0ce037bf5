# Run at installation, with unroll_source, unroll_folders and unroll_destination set.
#
# Inside the repository headers say "core/tensor.h". Installed, that name would be looked up on the
# user's include path, where any project may have a core/tensor.h of its own. So the installed copies
# say "unroll/core/tensor.h", and one include directory is enough.
string(REPLACE ";" "|" unroll_names "${unroll_folders}")
set(unroll_prefix "$ENV{DESTDIR}${unroll_destination}")
foreach(folder IN LISTS unroll_folders)
  file(GLOB headers RELATIVE "${unroll_source}" "${unroll_source}/${folder}/*.h")
  foreach(header IN LISTS headers)
    file(READ "${unroll_source}/${header}" text)
    string(REGEX REPLACE "(#[ \t]*include[ \t]*\")((${unroll_names})/)" "\\1unroll/\\2" text "${text}")
    set(old "")
    if(EXISTS "${unroll_prefix}/${header}")
      file(READ "${unroll_prefix}/${header}" old)
    endif()
    if(old STREQUAL text)
      message(STATUS "Up-to-date: ${unroll_prefix}/${header}")
    else()
      message(STATUS "Installing: ${unroll_prefix}/${header}")
      file(WRITE "${unroll_prefix}/${header}" "${text}")
    endif()
    list(APPEND CMAKE_INSTALL_MANIFEST_FILES "${unroll_destination}/${header}")
  endforeach()
endforeach()
