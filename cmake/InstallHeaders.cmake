# Writes the headers of unroll_folders, below unroll_source, to unroll_prefix as users see them.
# Installation runs it with unroll_destination, which stands in the manifest, in place of the prefix.
#
# Inside the repository headers say "core/tensor.h". A user's project may have a core/tensor.h of its
# own, so the copies say "unroll/core/tensor.h".
if(unroll_destination)
  set(unroll_prefix "$ENV{DESTDIR}${unroll_destination}")
endif()
string(REPLACE ";" "|" unroll_names "${unroll_folders}")
foreach(folder IN LISTS unroll_folders)
  file(GLOB headers RELATIVE "${unroll_source}" "${unroll_source}/${folder}/*.h")
  foreach(header IN LISTS headers)
    file(READ "${unroll_source}/${header}" text)
    string(REGEX REPLACE "(#[ \t]*include[ \t]*\")((${unroll_names})/)" "\\1unroll/\\2" text "${text}")
    set(old "")
    if(EXISTS "${unroll_prefix}/${header}")
      file(READ "${unroll_prefix}/${header}" old)
    endif()
    if(NOT old STREQUAL text)  # an unchanged header must not cause a rebuild
      file(WRITE "${unroll_prefix}/${header}" "${text}")
    endif()
    if(unroll_destination)
      message(STATUS "Installing: ${unroll_prefix}/${header}")
      list(APPEND CMAKE_INSTALL_MANIFEST_FILES "${unroll_destination}/${header}")
    endif()
  endforeach()
endforeach()
