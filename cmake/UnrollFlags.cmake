# unroll_options: the flags of every target of this project. It is linked as BUILD_INTERFACE, so
# that none of them reaches a user's own targets.
add_library(unroll_options INTERFACE)
target_compile_features(unroll_options INTERFACE cxx_std_20)
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)

# Results must not depend on where the compiler happens to fuse a multiply and an add: code that
# wants fma says so.
target_compile_options(unroll_options INTERFACE -ffp-contract=off
  -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual -Wextra-semi
  -Wcast-qual -Wvla
  # Kernels take structs by designated initialisers and leave out what they do not use.
  -Wno-missing-field-initializers)

if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  # False alarms on std::string's operator+ (gcc.gnu.org/PR105651).
  target_compile_options(unroll_options INTERFACE -Wno-restrict)
endif()

if(UNROLL_WERROR)
  target_compile_options(unroll_options INTERFACE -Werror)
endif()

if(UNROLL_NATIVE)
  target_compile_options(unroll_options INTERFACE -march=native)
endif()

if(UNROLL_SANITIZE)
  string(REPLACE "," ";" unroll_sanitizers "${UNROLL_SANITIZE}")
  list(JOIN unroll_sanitizers "," unroll_sanitizers)
  target_compile_options(unroll_options INTERFACE -fsanitize=${unroll_sanitizers}
    -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(unroll_options INTERFACE -fsanitize=${unroll_sanitizers})
  # For code that must step aside, such as the memory pool, which would hide errors.
  target_compile_definitions(unroll_options INTERFACE UNROLL_SANITIZED=1)
endif()
