# Device::cuda(i): cuda/*.cu by nvcc, for the GPUs of UNROLL_CUDA_ARCHITECTURES.
find_program(UNROLL_NVCC nvcc PATHS /usr/local/cuda/bin)
mark_as_advanced(UNROLL_NVCC)
set(unroll_cuda ${UNROLL_CUDA})
if(UNROLL_CUDA STREQUAL "AUTO")
  set(unroll_cuda OFF)
  if(UNROLL_NVCC AND EXISTS /proc/driver/nvidia/version AND PROJECT_IS_TOP_LEVEL
      AND NOT BUILD_SHARED_LIBS AND NOT UNROLL_SANITIZE)
    set(unroll_cuda ON)
  endif()
endif()

if(unroll_cuda)
  if(NOT UNROLL_NVCC)
    message(FATAL_ERROR "UNROLL_CUDA=ON, but nvcc is not here: install CUDA's toolkit, or name it by -DUNROLL_NVCC=")
  endif()
  if(BUILD_SHARED_LIBS)
    message(FATAL_ERROR "UNROLL_CUDA=ON needs static libraries: configure with -DBUILD_SHARED_LIBS=OFF")
  endif()
  set(CMAKE_CUDA_ARCHITECTURES "${UNROLL_CUDA_ARCHITECTURES}")
  set(CMAKE_CUDA_COMPILER "${UNROLL_NVCC}" CACHE FILEPATH "nvcc")
  enable_language(CUDA)
  find_package(CUDAToolkit REQUIRED)
  # CMake 3.25 does not know how nvcc is asked for the standard that CUDA targets take from C++'s.
  set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION "-std=c++20")
  set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION "-std=c++20")
  add_subdirectory(cuda)
endif()

# Kernels beside the library's own, by nvcc: an object library. Not from a folder where
# unroll_sim_kernels() has made the same file C++.
function(unroll_cuda_kernels target)
  add_library(${target} OBJECT ${ARGN})
  target_include_directories(${target} PRIVATE "${PROJECT_SOURCE_DIR}")
  target_compile_options(${target} PRIVATE --Werror all-warnings)
endfunction()
